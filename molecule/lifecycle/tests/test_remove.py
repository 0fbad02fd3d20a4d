# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""remove gives back exactly the hosts that were there before, however they were prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

NODES = ("server1", "server2", "agent1")
SNAPSHOT = (Path(__file__).parent.parent / "snapshot.sh").read_text()
SEGREGATED = {
    "k3s_topology_mode": "segregated",
    "k3s_topology_cluster_interface": "eth0",
    "k3s_topology_external_interface": "eth1",
}
UNRESTRICTED = {"k3s_firewall_restrict_sources": False}


def succeed(run):
    assert run.returncode == 0, run.output
    return run


@pytest.mark.parametrize(
    "steps",
    [
        [{}],
        [SEGREGATED],
        [UNRESTRICTED],
        [{**SEGREGATED, **UNRESTRICTED}],
        [{}, SEGREGATED, UNRESTRICTED, {}, SEGREGATED],
    ],
    ids=["shared", "segregated", "unrestricted", "segregated-unrestricted", "one-after-another"],
)
def test_remove_gives_back_the_host(machine, playbook, steps):
    for step in steps:
        succeed(playbook("prepare", "--tags", "firewall", **step))
        again = succeed(playbook("prepare", "--tags", "firewall", **step))
        assert [again.changed(name) for name in NODES] == [0, 0, 0]
    succeed(playbook("remove"))
    for name in NODES:
        node = machine(name)
        before = node.run("cat /var/tmp/before").splitlines()
        assert node.run(SNAPSHOT).splitlines() == before
    again = succeed(playbook("remove"))
    assert [again.changed(name) for name in NODES] == [0, 0, 0]


def test_remove_keeps_what_the_user_has(machine, playbook):
    node = machine("server1")
    node.run(
        "firewall-cmd -q --permanent --zone=public --add-port=10100/tcp --add-port=9100/tcp && "
        "firewall-cmd -q --reload"
    )
    try:
        for step in (UNRESTRICTED, SEGREGATED):
            succeed(playbook("prepare", "--tags", "firewall", **step))
            interface = node.run("firewall-cmd --get-zone-of-interface=eth0").strip()
            ports = node.run(f"firewall-cmd --zone={interface} --list-ports")
            assert "9100/tcp" in ports
        succeed(playbook("remove"))
        for permanent in ("", "--permanent"):
            ports = node.run(f"firewall-cmd {permanent} --zone=public --list-ports").split()
            assert sorted(ports) == ["10100/tcp", "9100/tcp"]
    finally:
        node.run("rm -f /etc/firewalld/zones/public.xml* && firewall-cmd -q --reload")
