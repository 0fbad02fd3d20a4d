# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rule that somebody took away by hand is found, named exactly, and mended."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("prepared_cluster")


NODES = ("server1", "server2", "agent1")


@pytest.mark.parametrize(
    ("node", "port", "protocol", "ipset", "sources", "permanent"),
    [
        ("server2", 5001, "tcp", "k3s-nodes", {"server1", "agent1"}, ""),
        ("agent1", 8472, "udp", "k3s-nodes", {"server1", "server2"}, ""),
        ("server1", "2379-2380", "tcp", "k3s-servers", {"server2"}, "--permanent"),
    ],
    ids=["spegel", "vxlan", "etcd-permanently"],
)
def test_missing_rule_is_named_and_mended(
    machine, playbook, report, node, port, protocol, ipset, sources, permanent
):
    rule = (
        f'rule family="ipv4" source ipset="{ipset}" port port="{port}" protocol="{protocol}" accept'
    )
    machine(node).run(
        f"firewall-cmd --policy=k3s-from-nodes {permanent} --remove-rich-rule='{rule}'"
    )
    if permanent:
        machine(node).run("firewall-cmd --reload")

    run, found = report()
    assert run.returncode != 0
    assert not found["ok"]
    failed = [check for check in found["checks"] if not check["ok"]]
    named = {
        (check["source"], check["destination"], check["port"], check["protocol"])
        for check in failed
    }
    assert named == {(source, node, str(port), protocol) for source in sources}
    assert {check["observed"] for check in failed} <= {"rejected", "timeout"}
    assert all("k3s-from-nodes" in check["detail"] for check in failed)
    assert found["summary"]["blocked"] == len(failed)

    mended = playbook("prepare")
    assert mended.returncode == 0, mended.output
    assert [mended.changed(name) > 0 for name in NODES] == [name == node for name in NODES]
    run, found = report()
    assert run.returncode == 0, run.output
    assert found["ok"]
    assert found["summary"]["blocked"] == found["summary"]["unexpectedly_open"] == 0


def test_port_opened_by_hand_is_found(machine, report):
    machine("server1").run("firewall-cmd --zone=public --add-port=2379/tcp")
    try:
        run, found = report()
    finally:
        machine("server1").run("firewall-cmd --zone=public --remove-port=2379/tcp")
    assert run.returncode != 0
    failed = [check for check in found["checks"] if not check["ok"]]
    assert [
        (check["source"], check["destination"], check["port"], check["observed"])
        for check in failed
    ] == [("agent1", "server1", "2379", "open")]
    assert found["summary"]["unexpectedly_open"] == 1
