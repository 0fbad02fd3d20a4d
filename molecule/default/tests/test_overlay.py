# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pods reach, before there is a K3s; overlay.py has what stands for pods."""

from __future__ import annotations

import guide
import overlay
import pytest

pytestmark = pytest.mark.also_on("bullseye")

NODES = ("server1", "server2", "agent1")
HTTPS = ("tcp", 443)


@pytest.fixture(scope="module")
def pods(machine):
    with overlay.pods([machine(name) for name in NODES]) as made:
        yield made


@pytest.mark.parametrize("device", ["cni0", "flannel.1"])
def test_networkmanager_puts_the_overlay_into_no_zone(machine, pods, device):
    found = machine("agent1").host.run(f"firewall-cmd --get-zone-of-interface={device}")
    assert "no zone" in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("source", "destination"),
    [("server1", "agent1"), ("agent1", "server1"), ("server1", "server2")],
)
def test_pods_reach_pods_of_other_nodes(pods, source, destination):
    assert overlay.ways(pods[source][0], pods[destination][0]) == overlay.EVERY_WAY


@pytest.mark.parametrize("node", ["server1", "agent1"])
def test_pods_reach_pods_of_the_same_node(pods, node):
    assert overlay.ways(pods[node][0], pods[node][1]) == overlay.EVERY_WAY


def test_nodes_reach_pods_of_other_nodes(machine, pods):
    # The API server calls webhooks.
    pod, port = pods["agent1"][0], ("tcp", overlay.POD_PORT)
    sender = machine("server1").address("flannel.1")
    answers = overlay.answers(machine("server1"), pod.address(), [port])
    assert answers == {port: f"{pod.name} {sender}"}


@pytest.mark.parametrize("destination", NODES)
@pytest.mark.parametrize("source", ["server1", "agent1"])
def test_pods_reach_on_nodes_what_the_guide_says(machine, pods, source, destination):
    pod, address = pods[source][0], machine(destination).address()
    answers = overlay.answers(pod, address, overlay.PODS_TO_NODES)
    assert answers == dict.fromkeys(overlay.PODS_TO_NODES, f"{destination} {pod.address()}")

    reached = overlay.reached(pod, address)
    # Besides, pods may count as anyone outside.
    assert overlay.PODS_TO_NODES <= reached <= overlay.PODS_TO_NODES | guide.OUTSIDE_TO_NODES


def test_pods_reach_services_of_pods_and_the_api_of_every_server(machine, pods):
    nodes = [machine(name) for name in NODES]
    endpoints = {
        ("10.43.0.1", 443): (machine("server1").address(), overlay.API_PORT),
        ("10.43.0.2", 443): (machine("server2").address(), overlay.API_PORT),
        ("10.43.0.10", 443): (pods["agent1"][1].address(), overlay.POD_PORT),
    }
    with overlay.services(nodes, endpoints):
        for node in nodes:
            pod = pods[node.name][0]
            for service, server in (("10.43.0.1", "server1"), ("10.43.0.2", "server2")):
                # To another node, pods go as their node; their own sees the pod's address.
                source = pod if server == node.name else node
                answers = overlay.answers(pod, service, [HTTPS])
                assert answers == {HTTPS: f"{server} {source.address()}"}
            answers = overlay.answers(pod, "10.43.0.10", [HTTPS])
            assert answers == {HTTPS: f"{pods['agent1'][1].name} {pod.address()}"}


def test_clients_outside_do_not_reach_pods(machine, pods):
    client, node = machine("client1"), machine("agent1")
    network = pods["agent1"][0].address().rpartition(".")[0] + ".0/24"
    client.run(f"ip route add {network} via {node.address()}")
    try:
        assert overlay.ways(client, pods["agent1"][0]) <= overlay.ALWAYS
    finally:
        client.run(f"ip route delete {network}")


def test_without_its_policy_a_node_forwards_nothing_for_pods(machine, pods):
    node = machine("agent1")
    here, there = pods["agent1"], pods["server1"]
    with overlay.without_rules(node, "k3s-overlay", '"10.42.'):
        assert overlay.ways(there[0], here[0]) <= overlay.ALWAYS
        assert overlay.ways(here[0], there[0]) <= overlay.ALWAYS
        if overlay.filters_bridges(node):
            assert overlay.ways(here[0], here[1]) <= overlay.ALWAYS
        assert overlay.ways(there[0], pods["server2"][0]) == overlay.EVERY_WAY
    assert overlay.ways(there[0], here[0]) == overlay.EVERY_WAY


def test_without_the_rule_for_vxlan_a_node_is_cut_off(machine, pods):
    here, there = pods["server2"][0], pods["agent1"][0]
    with overlay.without_rules(machine("server2"), "k3s-from-nodes", '"8472"'):
        assert overlay.ways(there, here) == set()
        assert overlay.ways(here, there) == set()
        assert overlay.ways(there, pods["server1"][0]) == overlay.EVERY_WAY
    assert overlay.ways(there, here) == overlay.EVERY_WAY
