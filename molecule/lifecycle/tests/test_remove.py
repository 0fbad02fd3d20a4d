# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""remove gives back exactly the hosts that were there before, however they were prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

NODES = ("server1", "agent1")
BOTH = ("--limit", ",".join(NODES))
ONE = ("--limit", "server1")
SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()
SEGREGATED = {
    "k3s_topology_mode": "segregated",
    "k3s_topology_cluster_interface": "eth0",
    "k3s_topology_external_interface": "eth1",
}
UNRESTRICTED = {"k3s_firewall_restrict_sources": False}


def succeed(run):
    assert run.returncode == 0, run.output
    return run


def prepare(playbook, *where, **extra):
    return playbook("prepare", "--tags", "firewall", *where, **extra)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([{}], marks=pytest.mark.also_on("trixie")),
        pytest.param([SEGREGATED], marks=pytest.mark.also_on("bullseye")),
        pytest.param([UNRESTRICTED], marks=pytest.mark.also_on("bullseye")),
        pytest.param([{**SEGREGATED, **UNRESTRICTED}], marks=pytest.mark.also_on("trixie")),
        pytest.param([{}, SEGREGATED, UNRESTRICTED, {}, SEGREGATED], marks=pytest.mark.also_on()),
    ],
    ids=["shared", "segregated", "unrestricted", "segregated-unrestricted", "one-after-another"],
)
def test_remove_gives_back_the_host(machine, playbook, steps):
    for step in steps:
        succeed(prepare(playbook, *BOTH, **step))
        again = succeed(prepare(playbook, *BOTH, **step))
        assert [again.changed(name) for name in NODES] == [0, 0]
    succeed(playbook("remove", *BOTH))
    for name in NODES:
        node = machine(name)
        before = node.run("cat /var/tmp/before").splitlines()
        assert node.run(SNAPSHOT).splitlines() == before
    again = succeed(playbook("remove", *BOTH))
    assert [again.changed(name) for name in NODES] == [0, 0]


@pytest.fixture
def pristine(machine, playbook):
    """Hand a node that nothing of ours is on, and take back what a test does to its zones."""
    succeed(playbook("remove", *ONE))
    node = machine("server1")
    yield node
    succeed(playbook("remove", *ONE))
    node.run("rm -f /etc/firewalld/zones/*.xml* /etc/firewalld/policies/*.xml*")
    node.run("firewall-cmd -q --reload")


@pytest.mark.also_on("bullseye")
def test_remove_keeps_what_the_user_did_to_the_zone_in_between(pristine, playbook):
    succeed(prepare(playbook, *ONE, **UNRESTRICTED))
    pristine.run("firewall-cmd -q --permanent --zone=public --add-port=2222/tcp")
    succeed(playbook("remove", *ONE))
    assert pristine.run("firewall-cmd --permanent --zone=public --list-ports").split() == [
        "2222/tcp"
    ]


@pytest.mark.also_on("trixie")
def test_zone_of_ours_follows_the_users_zone_also_in_what_it_lacks(pristine, playbook):
    pristine.run(
        "firewall-cmd -q --permanent --zone=public --add-masquerade && "
        "firewall-cmd -q --permanent --zone=public --add-port=9100/tcp && firewall-cmd -q --reload"
    )
    succeed(prepare(playbook, *ONE, **SEGREGATED))
    assert pristine.run("firewall-cmd --zone=k3s-cluster --list-ports").split() == ["9100/tcp"]
    pristine.run("firewall-cmd --zone=k3s-cluster --query-masquerade")
    for permanent in ("", "--permanent"):
        pristine.run(f"firewall-cmd -q {permanent} --zone=public --remove-masquerade")
        pristine.run(f"firewall-cmd {permanent} --zone=public --remove-forward || true")
    succeed(prepare(playbook, *ONE, **SEGREGATED))
    for what in ("masquerade", "forward"):
        for permanent in ("", "--permanent"):
            query = f"firewall-cmd {permanent} --zone=k3s-cluster --query-{what}"
            assert pristine.host.run(query).rc == 1
    again = succeed(prepare(playbook, *ONE, **SEGREGATED))
    assert again.changed("server1") == 0


@pytest.mark.also_on("bullseye")
def test_policy_of_the_user_on_the_nics_zone_is_not_broken_silently(pristine, playbook):
    pristine.run(
        "firewall-cmd -q --permanent --new-policy=admin && "
        "firewall-cmd -q --permanent --policy=admin --add-ingress-zone=public && "
        "firewall-cmd -q --permanent --policy=admin --add-egress-zone=HOST && "
        "firewall-cmd -q --permanent --policy=admin --add-port=2222/tcp && firewall-cmd -q --reload"
    )
    before = pristine.run("nft list ruleset")
    run = prepare(playbook, *ONE, **SEGREGATED)
    assert run.returncode != 0
    assert "No changes were made. The firewalld policies admin" in " ".join(run.output.split())
    assert run.changed("server1") == 0
    assert pristine.run("nft list ruleset") == before
    succeed(prepare(playbook, *ONE))


@pytest.mark.also_on("trixie")
def test_nic_that_networkmanager_leaves_alone(pristine, playbook):
    pristine.run("nmcli device set eth1 managed no")
    try:
        before = pristine.run("firewall-cmd --get-zone-of-interface=eth1 2>&1 || true")
        succeed(prepare(playbook, *ONE, **SEGREGATED))
        zones = pristine.run("firewall-cmd --permanent --zone=k3s-external --list-interfaces")
        assert zones.split() == ["eth1"]
        pristine.run("firewall-cmd -q --reload")
        zone = pristine.run("firewall-cmd --get-zone-of-interface=eth1").strip()
        assert zone == "k3s-external"
        succeed(playbook("remove", *ONE))
        after = pristine.run("firewall-cmd --get-zone-of-interface=eth1 2>&1 || true")
        assert after == before
    finally:
        pristine.run("nmcli device set eth1 managed yes; nmcli connection up lab-eth1")


def test_remove_keeps_what_the_user_has(machine, playbook):
    node = machine("server1")
    node.run(
        "firewall-cmd -q --permanent --zone=public --add-port=10100/tcp --add-port=9100/tcp && "
        "firewall-cmd -q --reload"
    )
    try:
        for step in (UNRESTRICTED, SEGREGATED):
            succeed(prepare(playbook, *ONE, **step))
            interface = node.run("firewall-cmd --get-zone-of-interface=eth0").strip()
            ports = node.run(f"firewall-cmd --zone={interface} --list-ports")
            assert "9100/tcp" in ports
        succeed(playbook("remove", *ONE))
        for permanent in ("", "--permanent"):
            ports = node.run(f"firewall-cmd {permanent} --zone=public --list-ports").split()
            assert sorted(ports) == ["10100/tcp", "9100/tcp"]
    finally:
        node.run("rm -f /etc/firewalld/zones/public.xml* && firewall-cmd -q --reload")
