# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pods reach where each network has a NIC; overlay.py has what stands for pods."""

from __future__ import annotations

import guide
import overlay
import pytest

pytestmark = pytest.mark.also_on("trixie")

NODES = ("server1", "server2", "agent1")
HTTPS = ("tcp", 443)


@pytest.fixture(scope="module")
def pods(machine):
    with overlay.pods([machine(name) for name in NODES]) as made:
        yield made


@pytest.mark.parametrize(
    ("source", "destination"),
    [("server1", "agent1"), ("agent1", "server2"), ("server1", "server2")],
)
def test_pods_reach_pods_of_other_nodes(pods, source, destination):
    assert overlay.ways(pods[source][0], pods[destination][0]) == overlay.EVERY_WAY


def test_pods_reach_pods_of_the_same_node(pods):
    assert overlay.ways(*pods["server1"]) == overlay.EVERY_WAY


@pytest.mark.parametrize(
    ("source", "destination", "interface", "as_outside"),
    [
        ("server1", "server1", "eth0", False),
        # What comes from a pod of the node's own has come by no NIC.
        ("server1", "server1", "eth1", False),
        ("server1", "agent1", "eth0", False),
        ("agent1", "server1", "eth0", False),
        ("agent1", "server1", "eth1", True),
    ],
)
def test_pods_reach_on_nodes_what_the_guide_says(
    machine, pods, source, destination, interface, as_outside
):
    pod, address = pods[source][0], machine(destination).address(interface)
    answers = overlay.answers(pod, address, overlay.PODS_TO_NODES)
    assert answers == dict.fromkeys(overlay.PODS_TO_NODES, f"{destination} {pod.address()}")

    reached = overlay.reached(pod, address)
    # Besides, pods may count as anyone outside on the NIC for those.
    outside = guide.OUTSIDE_TO_NODES if as_outside else set()
    assert overlay.PODS_TO_NODES <= reached <= overlay.PODS_TO_NODES | outside


def test_pods_reach_the_api_of_every_server(machine, pods):
    nodes = [machine(name) for name in NODES]
    servers = [node for node in nodes if "server" in node.name]
    services = {server.name: f"10.43.0.{one}" for one, server in enumerate(servers, 1)}
    endpoints = {
        (services[server.name], 443): (server.address(), overlay.API_PORT) for server in servers
    }
    with overlay.services(nodes, endpoints):
        for node in nodes:
            for server in servers:
                # To another node, pods go as their node; their own sees the pod's address.
                source = pods[node.name][0] if server is node else node
                answers = overlay.answers(pods[node.name][0], services[server.name], [HTTPS])
                assert answers == {HTTPS: f"{server.name} {source.address()}"}


@pytest.mark.parametrize(
    ("policy", "word", "left"),
    [("k3s-overlay", '"10.42.', overlay.ALWAYS), ("k3s-from-nodes", '"8472"', set())],
    ids=["overlay", "vxlan"],
)
def test_without_a_rule_of_ours_pods_do_not_reach_each_other(machine, pods, policy, word, left):
    here, there = pods["agent1"][0], pods["server1"][0]
    with overlay.without_rules(machine("agent1"), policy, word):
        assert overlay.ways(there, here) <= left
        assert overlay.ways(here, there) <= left
    assert overlay.ways(there, here) == overlay.EVERY_WAY
