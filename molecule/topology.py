# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two topologies that the scenarios default and segregated prepare, and who looks at which NIC.

Both scenarios run the same tests.
"""

from __future__ import annotations

import os
from typing import Any

import guide
import wanted
from module_run import Node

SEGREGATED = os.environ["MOLECULE_SCENARIO_NAME"] == "segregated"
MODE = "segregated" if SEGREGATED else "shared"

if SEGREGATED:
    NODES = ("server1", "server2", "agent1")
    # As converge.yml sets them.
    VARIABLES = wanted.SEGREGATED
    EXTERNAL = "eth1"
    ZONES = {"eth0": "k3s-cluster", "eth1": "k3s-external"}
    # Sender, its NIC, and the NIC of the node that receives its packets.
    FORGERS = (
        ("client1", "eth0", "eth1"),
        ("client2", "eth1", "eth0"),
        ("server2", "eth0", "eth0"),
        ("server2", "eth1", "eth1"),
    )
    # Sources, destinations, and the NIC of the destination.
    _VIEWS = (
        (("server1", "agent1"), NODES, "eth0"),
        (("client2",), NODES, "eth0"),
        (("client1", "client2"), NODES, "eth1"),
        (("server1", "agent1"), ("server2",), "eth1"),
    )
else:
    NODES = ("server1", "server2", "agent1", "agent2")
    VARIABLES = {}
    EXTERNAL = "eth0"
    ZONES = {"eth0": "public"}
    FORGERS = (("client1", "eth0", "eth0"), ("server2", "eth0", "eth0"))
    _VIEWS = ((("server1", "agent1", "client1"), NODES, "eth0"),)

# A node reaches itself by its loopback.
VIEWS = [
    (source, destination, nic)
    for sources, destinations, nic in _VIEWS
    for source in sources
    for destination in destinations
    if source != destination
]


def admitted(source: str, destination: str, nic: str) -> set[tuple[str, int]]:
    """Return what a host may reach on a NIC of a node, after the guide."""
    if not SEGREGATED:
        return guide.admitted(source, destination)
    if nic == EXTERNAL:
        return guide.OUTSIDE_TO_NODES
    if source.startswith("client"):
        return set()
    # 6379 and 9095 are rules of both tables; the other ports for clients belong to the other NIC.
    return guide.admitted(source, destination) - (guide.OUTSIDE_TO_NODES - guide.NODES_TO_NODES)


def prepare(node: Node, **variables: Any) -> dict[str, Any]:
    """Apply what the scenario's topology wants of a node and return the module's result."""
    return wanted.prepare(node, nodes=NODES, **VARIABLES, **variables)
