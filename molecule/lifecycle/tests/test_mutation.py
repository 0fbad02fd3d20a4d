# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manual changes are reported exactly, and prepare repairs what it manages."""

from __future__ import annotations

import contextlib

NODES = ("server1", "server2", "agent1")
RULE = 'rule family="ipv4" source ipset="{}" port port="{}" protocol="{}" accept'


def take_away(node, ipset, port, protocol, permanently=False):
    """Take a rule away from a node, as a user does."""
    command = "firewall-cmd -q" + " --permanent" * permanently
    rule = RULE.format(ipset, port, protocol)
    node.run(f"{command} --policy=k3s-from-nodes --remove-rich-rule='{rule}'")
    if permanently:
        node.run("firewall-cmd -q --reload")


@contextlib.contextmanager
def opened(node, port):
    """Open a port in the default zone, as a user does, and close it again."""
    node.run(f"firewall-cmd -q --zone=public --add-port={port}")
    try:
        yield
    finally:
        node.run(f"firewall-cmd -q --zone=public --remove-port={port}")


def named(checks):
    """Return source, destination, port and protocol of checks."""
    return {
        (check["source"], check["destination"], check["port"], check["protocol"])
        for check in checks
    }


def test_broken_rules_are_reported_and_repaired(machine, playbook, report):
    take_away(machine("server1"), "k3s-nodes", 5001, "tcp")
    take_away(machine("server1"), "k3s-nodes", 8472, "udp")
    take_away(machine("server2"), "k3s-servers", "2379-2380", "tcp", permanently=True)
    with opened(machine("server1"), "2379/tcp"):
        run, found = report()
    assert run.returncode != 0
    assert not found["ok"]
    failed = [check for check in found["checks"] if not check["ok"]]
    blocked = [check for check in failed if check["observed"] in ("rejected", "timeout")]
    assert named(blocked) == {
        *((source, "server1", "5001", "tcp") for source in ("server2", "agent1")),
        *((source, "server1", "8472", "udp") for source in ("server2", "agent1")),
        ("server1", "server2", "2379-2380", "tcp"),
    }
    assert all("k3s-from-nodes" in check["detail"] for check in blocked)
    unexpected = [check for check in failed if check["observed"] == "open"]
    assert named(unexpected) == {("agent1", "server1", "2379", "tcp")}
    assert "zone public of firewalld on server1 opens it" in unexpected[0]["detail"]
    assert all("run the playbook prepare" in check["detail"] for check in blocked)
    assert len(blocked) + len(unexpected) == len(failed)
    assert found["summary"]["blocked"] == len(blocked)
    assert found["summary"]["unexpectedly_open"] == 1

    repaired = playbook("prepare")
    assert repaired.returncode == 0, repaired.output
    assert [repaired.changed(name) > 0 for name in NODES] == [True, True, False]
    run, found = report()
    assert run.returncode == 0, run.output
    assert found["ok"]
    assert [one["level"] for one in found["findings"]] == ["info"]
    assert found["summary"]["blocked"] == found["summary"]["unexpectedly_open"] == 0
