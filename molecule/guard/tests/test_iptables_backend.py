# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""firewalld with the backend iptables, which uses iptables and ipset instead of nftables."""

from __future__ import annotations

import re

import datagrams
import guide
import overlay
import pytest
from module_run import Node
from wanted import NODES as CLUSTER
from wanted import SEGREGATED, address, prepare, remove

OUTSIDE = "outside1"
TCP = {one for one in guide.EVERYTHING if one[0] == "tcp"}
UDP = guide.EVERYTHING - TCP
# The others only look at these.
NODES = ("server1", "agent1")
PATHS = [
    ("server2", "server1"),
    ("agent1", "server1"),
    ("server2", "agent1"),
    (OUTSIDE, "server1"),
    (OUTSIDE, "agent1"),
]
RULES = "iptables-save; ip6tables-save; ipset list -name"
COUNTERS = re.compile(r" \[\d+:\d+\]$|counter packets \d+ bytes \d+")
CONFIGURATION = "/etc/firewalld/firewalld.conf"
KEPT = "/run/firewalld.conf"
# The backend iptables leaves its tables behind.
RESTART = "systemctl stop firewalld; nft flush ruleset; systemctl start firewalld"


def snapshot(node):
    """Return all that prepare may change, without counters, which packets change."""
    lines = [*node.snapshot(), *node.run(RULES).splitlines()]
    return sorted(COUNTERS.sub("", line) for line in lines if not line.startswith("#"))


def members(node, name="k3s-nodes"):
    """Return the members of an ipset in the kernel."""
    return set(re.findall(rf"^add {name} (\S+)", node.run(f"ipset save {name}"), re.MULTILINE))


@pytest.fixture(scope="module")
def switched():
    """Return the nodes with the backend iptables; restore them after the tests."""
    nodes = [Node(name) for name in NODES]
    for node in nodes:
        remove(node)
    before = [node.snapshot() for node in nodes]
    try:
        for node in nodes:
            node.run(f"cp -p {CONFIGURATION} {KEPT}")
            node.run(f"sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ {CONFIGURATION}")
            node.run(RESTART)
        for node in nodes:
            # Waits for firewalld.
            assert not [line for line in node.snapshot() if "table inet firewalld" in line]
        yield nodes
    finally:
        for node in nodes:
            node.run(f"mv {KEPT} {CONFIGURATION} && {{ {RESTART}; }}")
    assert [node.snapshot() for node in nodes] == before
    assert {node.run("ipset list -name") for node in nodes} == {""}


@pytest.fixture
def nodes(switched):
    """Return nodes that are not prepared; restore them after the test."""
    before = [snapshot(node) for node in switched]
    yield switched
    for node in switched:
        remove(node)
    assert [snapshot(node) for node in switched] == before


def expected(source, destination, segregated):
    """Return the ports that the guide opens on the cluster network."""
    ports = guide.admitted("client" if source == OUTSIDE else source, destination)
    if segregated:
        # External clients have a network of their own.
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
    arrived = datagrams.received(source, destination, address(destination.name), ports)
    return {("udp", port) for port in arrived}


@pytest.mark.parametrize("mode", [{}, SEGREGATED], ids=["shared", "segregated"])
def test_ports_of_the_guide_are_reachable(nodes, observer, mode):
    for node in nodes:
        prepare(node, **mode)
        assert prepare(node, **mode)["changed"] is False
    for source, destination in PATHS:
        ports = expected(source, destination, bool(mode))
        assert tcp_paths(observer(source), address(destination)) == ports & TCP
        if destination == "agent1":
            assert udp_paths(observer(source), observer(destination)) == ports & UDP
    if mode:
        external = address("agent1", "eth1")
        assert tcp_paths(observer(OUTSIDE), external) == guide.OUTSIDE_TO_NODES & TCP


def test_members_change_in_the_ipset_of_the_kernel(nodes):
    node = nodes[0]
    for names in (CLUSTER, ("server1", "server2"), CLUSTER):
        prepare(node, nodes=names)
        assert members(node) == {address(name) for name in names}


def test_pods_reach_each_other_and_the_ports_for_pods(nodes, observer):
    for node in nodes:
        prepare(node)
    machines = {node.name: observer(node.name) for node in nodes}
    with overlay.pods(list(machines.values())) as pods:
        here, there = pods["agent1"], pods["server1"]
        assert overlay.ways(there[0], here[0]) == overlay.EVERY_WAY
        assert overlay.ways(here[0], here[1]) == overlay.EVERY_WAY
        # Flannel masquerades pods towards other nodes; their own node sees their addresses.
        answers = overlay.answers(there[0], address("server1"), overlay.PODS_TO_NODES)
        answer = f"server1 {there[0].address()}"
        assert answers == dict.fromkeys(overlay.PODS_TO_NODES, answer)
        with overlay.without_rules(machines["agent1"], "k3s-overlay", '"10.42.'):
            assert overlay.ways(there[0], here[0]) <= overlay.ALWAYS
