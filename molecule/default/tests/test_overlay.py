# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network in both topologies, before there is a K3s."""

from __future__ import annotations

from typing import Any

import forged
import overlay
import pod_paths
import pytest
import topology
from prepared import prepare

NODES = ("server1", "server2", "agent1")
TWO = ("server1", "agent1")


def zone_of(node: Any, device: str, *options: str) -> str:
    """Return the zone that holds an interface, or firewalld's words that none does."""
    command = f"firewall-cmd --get-zone-of-interface={device} {' '.join(options)}"
    done = node.host.run(command)
    return (done.stdout or done.stderr).strip()


def forge(machine: Any, cluster: Any) -> tuple[set[Any], set[Any]]:
    """Send forged packets to a node and return them, and those that arrived.

    Genuine packets of the same sender to published ports and to SSH have to arrive.
    """
    node = cluster.nodes[0]
    lies, genuine = [], []
    for sender, nic, into in topology.FORGERS:
        found = pod_paths.forged_packets(cluster, machine(sender), nic, node, into)
        lies += found[0]
        genuine += found[1]
    machines = {**cluster.machines, **{name: machine(name) for name, *_nics in topology.FORGERS}}
    arrived = forged.arrived(machines, cluster.pods, lies, genuine)
    assert set(genuine) <= arrived, set(genuine) - arrived
    return set(lies), arrived & set(lies)


class TestPods:
    """Pods joined by VXLAN."""

    @pytest.mark.parametrize("where", ["runtime", "permanent"])
    @pytest.mark.parametrize("device", ["cni0", "flannel.1"])
    def test_zone_holds_interfaces_that_do_not_exist_yet(self, machine, device, where):
        node = machine("agent1")
        assert node.host.run(f"ip link show {device}").rc != 0
        assert zone_of(node, device, *(["--permanent"] * (where == "permanent"))) == "k3s-pods"

    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls, machine):
        with pod_paths.cluster(machine, NODES, topology.EXTERNAL) as made:
            yield made

    @pytest.fixture(scope="class")
    @classmethod
    def deviations(cls, cluster):
        paths = pod_paths.expected(cluster)
        assert set(paths) == set(pod_paths.PATHS)
        return pod_paths.deviations(cluster, paths)

    @pytest.mark.parametrize("path", pod_paths.PATHS)
    def test_path_is_open_where_the_guide_says(self, deviations, path):
        assert deviations.get(path, []) == []

    def test_forged_pod_address_reaches_neither_host_nor_pod(self, machine, cluster):
        lies, arrived = forge(machine, cluster)
        assert lies
        assert arrived == set()

    @pytest.mark.parametrize("device", ["cni0", "flannel.1"])
    def test_networkmanager_does_not_move_the_overlay(self, machine, cluster, device):
        node = machine("agent1")
        assert zone_of(node, device) == "k3s-pods"
        node.run("nmcli general reload")
        assert zone_of(node, device) == "k3s-pods"

    @pytest.mark.parametrize(
        ("policy", "word", "left"),
        [("k3s-overlay", '"10.42.', overlay.ALWAYS), ("k3s-from-nodes", '"8472"', set())],
        ids=["overlay", "vxlan"],
    )
    def test_pods_are_cut_off_without_a_rule(self, machine, cluster, policy, word, left):
        here, there = cluster.pods["agent1"], cluster.pods["server1"]
        node = machine("agent1")
        with overlay.without_rules(node, policy, word):
            assert overlay.ways(there[0], here[0]) <= left
            assert overlay.ways(here[0], there[0]) <= left
            if policy == "k3s-overlay" and overlay.filters_bridges(node):
                assert overlay.ways(here[0], here[1]) <= left
            assert overlay.ways(there[0], cluster.pods["server2"][0]) == overlay.EVERY_WAY
        assert overlay.ways(there[0], here[0]) == overlay.EVERY_WAY


class TestNativePods:
    """Pods whose packets arrive on the cluster NIC, as with Flannel's backend host-gw."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def prepared(cls, playbook):
        interfaces = ["cni0", "eth0"]
        prepare(playbook, k3s_topology_overlay_interfaces=interfaces)
        yield
        prepare(playbook)

    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls, machine, prepared):
        with pod_paths.cluster(machine, TWO, topology.EXTERNAL, native=True) as made:
            yield made

    def test_every_path_is_open_where_the_guide_says(self, cluster):
        assert pod_paths.deviations(cluster, pod_paths.expected(cluster)) == {}

    def test_forged_pod_address_reaches_pods_and_not_the_host(self, machine, cluster):
        lies, arrived = forge(machine, cluster)
        eth0 = cluster.nodes[0].address()
        # Nothing tells them from genuine ones, on the cluster NIC only.
        assert arrived == {
            packet
            for packet in lies
            if packet.to_pod and packet.next_hop == eth0 and packet.source.startswith("10.42.")
        }
