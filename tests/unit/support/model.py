# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An independent model of what a cluster admits, and random clusters to hold it against.

It reads the table rule by rule, one packet at a time, and shares no code with the collection.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    port_rule,
    topology,
)
from hypothesis import strategies as st

PORTS = range(1, 41)
CLIENT = "198.51.100.200"
CLIENT_V6 = "2001:db8:c::200"
POD = "10.42.3.4"
NICS = ("cluster", "external")


@dataclass(frozen=True)
class Packet:
    """A packet to a node: who sent it, by which NIC it came in, and what it wants."""

    kind: str
    source: str
    interface: str
    protocol: str
    port: int


def admits(cluster, destination, packet: Packet) -> bool:
    """Tell whether the table admits a packet to a node itself."""
    return any(
        _rule_admits(cluster, destination, one, packet)
        for one in cluster["rules"]
        if destination["group"] in one["destination"]
        and one["protocol"] == packet.protocol
        and one["first"] <= packet.port <= one["last"]
    )


def _rule_admits(cluster, destination, one, packet: Packet) -> bool:
    apart = destination["mode"] == "segregated"
    for_nodes = "server" in one["source"] or "agent" in one["source"]
    on_cluster_nic = packet.interface == destination["cluster_interface"]
    from_node = packet.kind in ("server", "agent") and packet.kind in one["source"]
    if from_node and cluster["restrict_sources"] and (on_cluster_nic or not apart):
        return True
    if packet.kind == "pod" and "pod" in one["source"]:
        return True
    # A plain port asks for nobody's address, only for the NIC.
    if not cluster["restrict_sources"] and for_nodes and on_cluster_nic:
        return True
    if "external" in one["source"]:
        if apart and packet.interface != destination["external_interface"]:
            return False
        sources = cluster["external_sources"]
        return not sources or any(
            ipaddress.ip_address(packet.source) in ipaddress.ip_network(cidr) for cidr in sources
        )
    return False


@st.composite
def rules(draw):
    """Draw a table of few ports, so that its rules overlap often."""
    result = []
    for number in range(draw(st.integers(0, 6))):
        first = draw(st.sampled_from(PORTS))
        last = draw(st.integers(first, PORTS[-1]))
        result.append(
            port_rule(
                first,
                last,
                name=f"rule{number}",
                protocol=draw(st.sampled_from(["tcp", "udp"])),
                source=_some(draw, ["server", "agent", "pod", "external"]),
                destination=_some(draw, ["server", "agent"]),
            )
        )
    return result


@st.composite
def clusters(draw):
    """Draw a cluster: nodes of either mode and family, and a table."""
    nodes = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        group = "server" if number == 1 else draw(st.sampled_from(["server", "agent"]))
        six = draw(st.booleans())
        address = f"2001:db8::{number}" if six else f"192.0.2.{number}"
        external = f"2001:db8:c::{number}" if six else f"198.51.100.{number}"
        apart = draw(st.booleans())
        two_nics = apart or draw(st.booleans())
        nodes.append(
            node(
                f"node{number}",
                group,
                address,
                mode="segregated" if apart else "shared",
                external_interface="eth1" if two_nics else "eth0",
                external_address=external if two_nics else address,
            )
        )
    return topology(
        nodes,
        draw(rules()),
        restrict_sources=draw(st.booleans()),
        external_sources=draw(
            st.sampled_from(
                [
                    [],
                    ["198.51.100.0/24"],
                    ["203.0.113.0/24", "203.0.113.128/25"],
                    ["198.51.100.0/24", "2001:db8:c::/48", "192.0.2.0/30"],
                ]
            )
        ),
        external_clients=["client1"],
    )


@st.composite
def packets(draw, cluster, destination):
    """Draw a packet to a node: from another node, a pod or a client outside."""
    others = [one for one in cluster["nodes"] if one is not destination]
    version = ipaddress.ip_address(destination["address"]).version
    senders = [(one["group"], one["address"], destination["cluster_interface"]) for one in others]
    client = CLIENT if version == 4 else CLIENT_V6
    senders += [("pod", POD, "cni0"), ("external", client, destination["external_interface"])]
    # A pod's address proves nothing on another interface.
    senders += [("forged", POD, destination[f"{which}_interface"]) for which in NICS]
    kind, source, interface = draw(st.sampled_from(senders))
    return Packet(
        kind,
        source,
        interface,
        draw(st.sampled_from(["tcp", "udp"])),
        draw(st.sampled_from(PORTS)),
    )


def _some(draw, values):
    chosen = draw(st.sets(st.sampled_from(values), min_size=1))
    return [value for value in values if value in chosen]
