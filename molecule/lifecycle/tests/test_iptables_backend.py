# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same promises where firewalld keeps its rules with iptables and ipset, not with nftables."""

from __future__ import annotations

import re
from pathlib import Path

import datagrams
import guide
import overlay
import pytest

pytestmark = pytest.mark.thorough

NODES = ("server1", "server2", "agent1")
# A machine on the cluster's network that no inventory of the cluster's has.
OUTSIDE = "bare1"
TCP = {one for one in guide.EVERYTHING if one[0] == "tcp"}
UDP = guide.EVERYTHING - TCP
PATHS = [
    ("server1", "server2"),
    ("agent1", "server2"),
    ("server1", "agent1"),
    (OUTSIDE, "server2"),
    (OUTSIDE, "agent1"),
]
SEGREGATED = {
    "k3s_topology_mode": "segregated",
    "k3s_topology_cluster_interface": "eth0",
    "k3s_topology_external_interface": "eth1",
}
SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()
RULES = "iptables-save; ip6tables-save; ipset list -name"
COUNTERS = re.compile(r" \[\d+:\d+\]$|counter packets \d+ bytes \d+", re.MULTILINE)
CONFIGURATION = "/etc/firewalld/firewalld.conf"
KEPT = "/run/firewalld.conf"
# NetworkManager tells a new firewalld its interfaces, in a moment.
RESTART = """systemctl restart firewalld
for interface in eth0 eth1; do
  timeout 20 sh -c "until firewall-cmd --get-zone-of-interface=$interface; do sleep 0.2; done"
done >/dev/null 2>&1
"""


def succeed(run):
    assert run.returncode == 0, run.output
    return run


def snapshot(node):
    """Return what remove has to give back; order and counters tell nothing."""
    text = COUNTERS.sub("", node.run(SNAPSHOT) + node.run(RULES))
    return sorted(line for line in text.splitlines() if not line.startswith("#"))


def tables(node):
    return set(node.run("nft list tables").splitlines())


def members(node, name="k3s-nodes"):
    """Return whom the kernel has in an ipset."""
    return set(re.findall(rf"^add {name} (\S+)", node.run(f"ipset save {name}"), re.MULTILINE))


@pytest.fixture(scope="module")
def switched(machine):
    """Hand nodes with the other backend, and take back what that leaves."""
    nodes = [machine(name) for name in NODES]
    before = [tables(node) for node in nodes]
    try:
        for node in nodes:
            node.run(f"cp -p {CONFIGURATION} {KEPT}")
            node.run(f"sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ {CONFIGURATION}")
            node.run(RESTART)
            assert "table inet firewalld" not in tables(node)
        yield nodes
    finally:
        for node, had in zip(nodes, before):
            node.host.run(f"mv {KEPT} {CONFIGURATION} && {RESTART}")
            # Those of iptables, by now without a rule.
            left = sorted(tables(node) - had)
            node.host.run("; ".join(["true", *(f"nft delete {table}" for table in left)]))
        assert [tables(node) for node in nodes] == before
        assert {node.run("ipset list -name") for node in nodes} == {""}


@pytest.fixture
def nodes(switched, playbook):
    """Hand nodes that nothing of ours is on, before and after."""
    succeed(playbook("remove"))
    yield switched
    succeed(playbook("remove"))


def expected(source, destination, segregated):
    """Return what the guide says of the cluster's NIC."""
    ports = guide.admitted("client" if source == OUTSIDE else source, destination)
    if segregated:
        # Those outside have a NIC of their own.
        ports -= guide.OUTSIDE_TO_NODES - guide.NODES_TO_NODES
        return set() if source == OUTSIDE else ports
    return ports


def tcp_paths(source, address):
    states = source.nmap(address, TCP)
    assert set(states.values()) <= {"closed", "filtered"}, states
    return {one for one, state in states.items() if state == "closed"}


def udp_paths(source, destination):
    """Return the ports to which a datagram comes; nmap takes this backend's reject for open."""
    ports = {port for _protocol, port in UDP}
    arrived = datagrams.received(source, destination, destination.address(), ports)
    return {("udp", port) for port in arrived}


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param({}, marks=pytest.mark.also_on("bullseye")),
        pytest.param(SEGREGATED, marks=pytest.mark.also_on("trixie")),
    ],
    ids=["shared", "segregated"],
)
def test_prepared_twice_seen_from_outside_and_removed(machine, playbook, nodes, mode):
    before = [snapshot(node) for node in nodes]
    succeed(playbook("prepare", "--tags", "firewall", **mode))
    again = succeed(playbook("prepare", "--tags", "firewall", **mode))
    assert [again.changed(name) for name in NODES] == [0, 0, 0]

    for source, destination in PATHS:
        wanted = expected(source, destination, bool(mode))
        target = machine(destination)
        assert tcp_paths(machine(source), target.address()) == wanted & TCP
        if destination == "agent1":
            assert udp_paths(machine(source), target) == wanted & UDP
    if mode:
        address = machine("agent1").address("eth1")
        assert tcp_paths(machine("server1"), address) == guide.OUTSIDE_TO_NODES & TCP

    succeed(playbook("remove"))
    for node, had in zip(nodes, before):
        assert snapshot(node) == had, node.name


@pytest.mark.also_on("trixie")
def test_members_change_in_the_kernels_ipsets(machine, playbook, variables, nodes):
    addresses = {node.name: node.address() for node in nodes}
    two = {"k3s_cluster": {"children": {"server": {"hosts": {
        name: variables(name) for name in ("server1", "server2")}}}}}  # fmt: skip
    for inventory, names in ((None, NODES), (two, ("server1", "server2")), (None, NODES)):
        succeed(playbook("prepare", "--tags", "firewall", inventory=inventory))
        assert members(machine("server1")) == {addresses[name] for name in names}


@pytest.mark.also_on("bullseye")
def test_pods_reach_each_other_and_the_ports_for_pods(machine, playbook, nodes):
    succeed(playbook("prepare", "--tags", "firewall"))
    with overlay.pods(nodes) as pods:
        here, there = pods["agent1"], pods["server1"]
        assert overlay.ways(there[0], here[0]) == overlay.EVERY_WAY
        assert overlay.ways(here[0], here[1]) == overlay.EVERY_WAY
        # Flannel masquerades pods towards other nodes; their own node sees their addresses.
        answers = overlay.answers(there[0], machine("server1").address(), overlay.PODS_TO_NODES)
        answer = f"server1 {there[0].address()}"
        assert answers == dict.fromkeys(overlay.PODS_TO_NODES, answer)
        with overlay.without_rules(machine("agent1"), "k3s-overlay", '"10.42.'):
            assert overlay.ways(there[0], here[0]) <= overlay.ALWAYS
