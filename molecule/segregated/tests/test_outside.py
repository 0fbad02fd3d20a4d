# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at each NIC of the nodes from other machines."""

from __future__ import annotations

import guide
import pytest

NODES = ("server1", "server2", "agent1")
TCP = {one for one in guide.EVERYTHING if one[0] == "tcp"}
EXTERNAL_TCP = {one for one in guide.OUTSIDE_TO_NODES if one[0] == "tcp"}


def open_paths(source, address):
    return {one for one, state in source.nmap(address, TCP).items() if state == "closed"}


@pytest.mark.parametrize("destination", NODES)
@pytest.mark.parametrize("source", ["server1", "agent1"])
def test_nodes_reach_each_other_on_the_cluster_network(machine, source, destination):
    if source == destination:
        pytest.skip("a node reaches itself by its loopback")
    expected = guide.admitted(source, destination) & TCP
    # 6379 and 9095 are rows of both tables; 80, 443 and 8125 belong to the other NIC alone.
    expected -= EXTERNAL_TCP - guide.NODES_TO_NODES
    assert open_paths(machine(source), machine(destination).address("eth0")) == expected


@pytest.mark.parametrize("destination", NODES)
@pytest.mark.parametrize("source", ["client1", "client2"])
def test_clients_reach_only_external_access(machine, source, destination):
    assert open_paths(machine(source), machine(destination).address("eth1")) == EXTERNAL_TCP


@pytest.mark.parametrize("destination", NODES)
def test_client_on_the_cluster_network_reaches_nothing(machine, destination):
    assert open_paths(machine("client2"), machine(destination).address("eth0")) == set()


@pytest.mark.parametrize("source", ["server1", "agent1"])
def test_nodes_use_the_cluster_network_for_inter_node_ports(machine, source):
    assert open_paths(machine(source), machine("server2").address("eth1")) == EXTERNAL_TCP


@pytest.mark.parametrize(("interface", "zone"), [("eth0", "k3s-cluster"), ("eth1", "k3s-external")])
def test_interface_is_in_a_zone_of_ours_for_good(machine, interface, zone):
    node = machine("server1")
    assert node.run(f"firewall-cmd --get-zone-of-interface={interface}").strip() == zone
    profile = node.run(f"nmcli -g connection.zone connection show lab-{interface}")
    assert profile.strip() == zone


def test_ssh_is_still_admitted_on_both_networks(machine):
    for interface in ("eth0", "eth1"):
        states = machine("client2").nmap(machine("agent1").address(interface), {("tcp", 22)})
        assert states == {("tcp", 22): "open"}
