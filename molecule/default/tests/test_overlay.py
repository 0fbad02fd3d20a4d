# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network in both topologies, before there is a K3s: pods joined by VXLAN."""

from __future__ import annotations

from typing import Any

import overlay
import pod_paths
import pytest
import topology

NODES = ("server1", "server2", "agent1")


def zone_of(node: Any, device: str, *options: str) -> str:
    """Return the zone that holds an interface, or firewalld's words that none does."""
    command = f"firewall-cmd --get-zone-of-interface={device} {' '.join(options)}"
    done = node.host.run(command)
    return (done.stdout or done.stderr).strip()


@pytest.mark.parametrize("where", ["runtime", "permanent"])
@pytest.mark.parametrize("device", ["cni0", "flannel.1"])
def test_zone_holds_interfaces_that_do_not_exist_yet(machine, device, where):
    node = machine("agent1")
    assert node.host.run(f"ip link show {device}").rc != 0
    assert zone_of(node, device, *(["--permanent"] * (where == "permanent"))) == "k3s-pods"


@pytest.fixture(scope="module")
def cluster(machine):
    with pod_paths.cluster(machine, NODES, topology.EXTERNAL) as made:
        yield made


@pytest.fixture(scope="module")
def deviations(cluster):
    paths = pod_paths.expected(cluster)
    assert set(paths) == set(pod_paths.PATHS)
    return pod_paths.deviations(cluster, paths)


@pytest.mark.parametrize("path", pod_paths.PATHS)
def test_path_is_open_where_the_guide_says(deviations, path):
    assert deviations.get(path, []) == []


def test_forged_pod_address_reaches_neither_host_nor_pod(machine, cluster):
    lies, arrived = pod_paths.forge(machine, cluster, topology.FORGERS)
    assert lies
    assert arrived == set()


@pytest.mark.parametrize("device", ["cni0", "flannel.1"])
def test_networkmanager_does_not_move_the_overlay(machine, cluster, device):
    node = machine("agent1")
    assert zone_of(node, device) == "k3s-pods"
    node.run("nmcli general reload")
    assert zone_of(node, device) == "k3s-pods"


@pytest.mark.parametrize(
    ("policy", "word", "left"),
    [("k3s-overlay", '"10.42.', overlay.ALWAYS), ("k3s-from-nodes", '"8472"', set())],
    ids=["overlay", "vxlan"],
)
def test_pods_are_cut_off_without_a_rule(machine, cluster, policy, word, left):
    here, there = cluster.pods["agent1"], cluster.pods["server1"]
    node = machine("agent1")
    with overlay.without_rules(node, policy, word):
        assert overlay.ways(there[0], here[0]) <= left
        assert overlay.ways(here[0], there[0]) <= left
        if policy == "k3s-overlay" and overlay.filters_bridges(node):
            assert overlay.ways(here[0], here[1]) <= left
        assert overlay.ways(there[0], cluster.pods["server2"][0]) == overlay.EVERY_WAY
    assert overlay.ways(there[0], here[0]) == overlay.EVERY_WAY
