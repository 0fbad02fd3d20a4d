# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a TCP connection or a small packet does not show is found, and its cause is named."""

from __future__ import annotations

import contextlib

import overlay

NODES = ("server1", "server2", "agent1")
OTHERS = {"server1", "server2"}
VXLAN = ("8472", "udp")
THERE = {(source, "agent1", *VXLAN) for source in OTHERS}
BACK = {("agent1", destination, *VXLAN) for destination in OTHERS}
# Not the MTU of a NIC, which would hold up Ansible's own connection.
NARROW = """
table ip mutation {
  chain narrow {
    type filter hook prerouting priority -300;
    ip length > 1400 ip protocol { icmp, udp } drop;
  }
}
"""
NAT = """
table ip mutation {
  chain elsewhere { type nat hook prerouting priority -150; tcp dport 9093 redirect to :9501; }
}
"""


@contextlib.contextmanager
def mutated(node, table):
    """Give a node a table of nftables for the while."""
    node.run(f"echo '{table}' | nft -f -")
    try:
        yield
    finally:
        node.run("nft delete table ip mutation")


# A packet passes each base chain of its hook: firewalld's verdict does not help.
FOREIGN = """
table ip mutation {
  chain closed {
    type filter hook input priority 10; policy drop;
    iifname "lo" accept
    ct state established,related accept
    tcp dport 22 accept
  }
}
"""


def findings(found, level):
    """Return the causes of a level's findings by host."""
    return {
        (host, one["cause"].partition(" (")[0])
        for one in found["findings"]
        if one["level"] == level
        for host in one["hosts"]
    }


def failures(found):
    """Return source, destination, port and protocol of each check that failed, with the check."""
    return {
        (check["source"], check["destination"], check["port"], check["protocol"]): check
        for check in found["checks"]
        if not check["ok"]
    }


def test_narrow_link_and_port_that_leads_to_another_are_found(machine, report):
    with mutated(machine("agent1"), NARROW), mutated(machine("server2"), NAT):
        run, found = report()
    assert run.returncode != 0
    failed = failures(found)
    redirected = {(source, "server2", "9093", "tcp") for source in ("server1", "agent1")}
    assert set(failed) == THERE | BACK | redirected
    for one in THERE | BACK:
        check = failed[one]
        assert check["observed"] == "timeout"
        assert "none of more than 1400 bytes does: the interface eth0 says 1500" in check["detail"]
    for one in redirected:
        assert failed[one]["observed"] == "wrong_host"
        assert "server2's port 9501 answered instead" in failed[one]["detail"]


def test_vxlan_is_probed_through_the_overlay(machine, report):
    with overlay.pods([machine(name) for name in NODES]):
        run, found = report()
        assert run.returncode == 0, run.output
        assert found["findings"] == []
        checks = [check for check in found["checks"] if check["rule"] == "flannel-vxlan"]
        assert len(checks) == len(NODES) * (len(NODES) - 1)
        for check in checks:
            assert "through the overlay: 10.42." in check["detail"]

        with overlay.without_rules(machine("agent1"), "k3s-from-nodes", '"8472"'):
            run, found = report()
        assert run.returncode != 0
        failed = failures(found)
        assert set(failed) == THERE | BACK
        for one in THERE:
            assert failed[one]["observed"] == "rejected"
            assert "agent1's firewall rejects it" in failed[one]["detail"]
        for one in BACK:
            assert failed[one]["observed"] == "timeout"
            assert "agent1's own firewall rejects what comes back" in failed[one]["detail"]


def test_faults_that_packets_do_not_show_are_findings(machine, report):
    agent, server = machine("agent1"), machine("server2")
    rules = "firewall-cmd --policy=k3s-overlay --list-rich-rules"
    with overlay.pods([machine(name) for name in NODES]), contextlib.ExitStack() as undo:
        agent.run("ip link set flannel.1 down")
        # Without --permanent: the next reload restores them.
        undo.callback(server.run, "firewall-cmd -q --reload")
        server.run(
            f"{rules} | while read -r rule; do"
            ' firewall-cmd -q --policy=k3s-overlay --remove-rich-rule="$rule"; done'
        )
        undo.enter_context(mutated(machine("server1"), FOREIGN))
        port = "firewall-cmd -q --zone=public --{}-port=2379/tcp"
        server.run(port.format("add"))
        undo.callback(server.run, port.format("remove"))
        run, found = report()
    assert run.returncode != 0
    assert findings(found, "error") == {
        (
            "agent1",
            "flannel.1 is down, so that pods of this node do not reach those of other nodes",
        ),
        ("server1", "chain closed of table ip mutation"),
        (
            "server2",
            "policy k3s-overlay differs from the topology in the runtime configuration of "
            "firewalld",
        ),
    }
    assert findings(found, "warning") == set()
    failed = failures(found)
    # What the foreign table drops, and the remedy is not prepare.
    for source in ("server2", "agent1"):
        detail = failed[source, "server1", "6443", "tcp"]["detail"]
        assert "chain closed of table ip mutation (nft, hook input) drops it" in detail
        assert "nft 'chain ip mutation closed { policy accept; }'" in detail
        assert "prepare" not in detail
    detail = failed["agent1", "server2", "2379", "tcp"]["detail"]
    assert "zone public of firewalld on server2 opens it (port=2379/tcp)" in detail
    assert "firewall-cmd --zone=public --remove-port=2379/tcp" in detail
