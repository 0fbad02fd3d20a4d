# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide's table once more, by hand, so that tests compare with the guide and not with the code.

A port stands for its rule: of a range both ends and a port in between.
"""

from __future__ import annotations

SERVERS_TO_SERVERS = {("tcp", 2379), ("tcp", 2380)}
NODES_TO_SERVERS = {("tcp", 6443), ("tcp", 5001)}
NODES_TO_NODES = {
    *(("tcp", port) for port in (10250, 10000, 17777, 30000, 3260, 2049)),
    *(("tcp", port) for port in range(9500, 9504)),
    *(("tcp", port) for port in range(8500, 8505)),
    *(("tcp", port) for port in (6379, 9093, 9095, 8086)),
    ("udp", 8472),
}
# On their own node; Flannel masquerades pods towards other nodes.
API_PORT = 6443
PODS_TO_SERVERS = {("tcp", API_PORT)}
PODS_TO_NODES = {("tcp", port) for port in (10250, 6379, 9093, 9095, 8086)}
OUTSIDE_TO_NODES = {
    *(("tcp", port) for port in (80, 443, 9095, 6379, 8125)),
    ("udp", 8125),
}
EVERYTHING = SERVERS_TO_SERVERS | NODES_TO_SERVERS | NODES_TO_NODES | OUTSIDE_TO_NODES


def admitted(source: str, destination: str) -> set[tuple[str, int]]:
    """Return what a host may reach on a node over the cluster's network.

    Hosts are told by their names: server1, agent1, client1. On a shared interface the nodes reach
    what anyone outside reaches.
    """
    ports = set(OUTSIDE_TO_NODES)
    if not source.startswith("client"):
        ports |= NODES_TO_NODES
        if destination.startswith("server"):
            ports |= NODES_TO_SERVERS
            if source.startswith("server"):
                ports |= SERVERS_TO_SERVERS
    return ports


def pods_admitted(destination: str) -> set[tuple[str, int]]:
    """Return what a pod may reach on its own node, besides what anyone outside reaches."""
    return PODS_TO_NODES | (PODS_TO_SERVERS if destination.startswith("server") else set())
