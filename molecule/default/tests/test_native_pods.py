# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods whose packets arrive on the cluster NIC, as with Flannel's backend host-gw."""

from __future__ import annotations

import pod_paths
import pytest
import topology
from module_run import Node

TWO = ("server1", "agent1")


@pytest.fixture(scope="module")
def cluster(machine):
    """Join two nodes for which the cluster NIC is an interface of the overlay."""
    nodes = [Node(name) for name in TWO]
    for node in nodes:
        # What is applied here is what the playbook applies.
        assert topology.prepare(node)["changed"] is False
        topology.prepare(node, k3s_topology_overlay_interfaces=["cni0", "eth0"])
    with pod_paths.cluster(machine, TWO, topology.EXTERNAL, native=True) as made:
        yield made
    for node in nodes:
        topology.prepare(node)


def test_every_path_is_open_where_the_guide_says(cluster):
    assert pod_paths.deviations(cluster, pod_paths.expected(cluster)) == {}


def test_forged_pod_address_reaches_pods_and_not_the_host(machine, cluster):
    lies, arrived = pod_paths.forge(machine, cluster, topology.FORGERS)
    eth0 = cluster.nodes[0].address()
    # Nothing tells them from genuine ones, on the cluster NIC only.
    assert arrived == {
        packet
        for packet in lies
        if packet.to_pod and packet.next_hop == eth0 and packet.source.startswith("10.42.")
    }
