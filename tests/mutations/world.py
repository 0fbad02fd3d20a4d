# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The truth: what a machine sees of a port of another, and what a report has to say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from .cluster import CLUSTER, Cluster, Packet
from .firewall import ACCEPT, DROP, FROM_CLIENTS, FROM_NODES, REJECT, RESET, Firewall, prepared
from .table import CLIENT, PORT_RULES, SMALL

MTU = 1500
VXLAN = ("udp", 8472)
LOOPBACK = "127.0.0.1"
# A kernel sends one host so many ICMP errors at once; of more probes, some are left unanswered.
ICMP_BURST = 5
# From the first port of a range that is sampled to one in its middle.
_SAMPLED = {rule.first: (rule.first + rule.last) // 2 for rule in PORT_RULES if not rule.is_small}

OPEN = frozenset({"open"})
REFUSED = frozenset({"refused"})
REJECTED = frozenset({"rejected"})
TIMEOUT = frozenset({"timeout"})
UNREACHABLE = frozenset({"unreachable", "timeout", "rejected"})
WRONG_HOST = frozenset({"wrong_host"})


@dataclass(frozen=True)
class Outcome:
    """What a report may say of a port; a failure must have all words in its detail."""

    observed: frozenset[str]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Duplicate:
    """A client outside that has taken a node's address."""

    node: str
    client: str


@dataclass(frozen=True)
class World:
    """A cluster as it is: firewalls, and whatever else mutations break."""

    cluster: Cluster
    firewalls: Mapping[str, Firewall]
    # Ports of nodes that a service holds on the loopback alone.
    local_services: Mapping[str, frozenset[int]] = field(default_factory=dict)
    duplicate: Duplicate | None = None
    # Of the links by which nodes are on the cluster's network, where it is not 1500.
    mtus: Mapping[str, int] = field(default_factory=dict)

    def outcome(self, packet: Packet) -> Outcome | None:
        """Return what a report has to say of a packet, None where two truths are possible."""
        if self.duplicate is not None and self.cluster.nic_of(packet).network == CLUSTER:
            blurred = {self.duplicate.node, self.duplicate.client}
            if packet.source in blurred:
                return None
            if packet.destination == self.duplicate.node:
                # A port that shall be closed may count as closed, though the wrong host says so.
                admitted = intact(self.cluster).action(packet) == ACCEPT
                return Outcome(WRONG_HOST) if admitted else None
        source = self.cluster.machine(packet.source)
        if source.on(self.cluster.nic_of(packet).network) is None:
            return Outcome(UNREACHABLE)
        action = self.action(packet)
        if action == ACCEPT:
            return self._accepted(packet)
        policy = FROM_CLIENTS if source.kind == CLIENT else FROM_NODES
        if action == DROP:
            return Outcome(TIMEOUT, (packet.destination, policy))
        if action == RESET:
            return Outcome(REFUSED, (packet.destination,))
        observed = REJECTED
        if packet.protocol == "udp":
            # firewalld's own reject says "port unreachable", as a closed UDP port does.
            observed |= REFUSED
        if self._rejections[packet.source, packet.destination, packet.address] > ICMP_BURST:
            observed |= TIMEOUT
        words = (packet.destination,) if observed & REFUSED else (packet.destination, policy)
        return Outcome(observed, words)

    def action(self, packet: Packet) -> str:
        """Return what the destination's firewall does with a packet."""
        nic = self.cluster.nic_of(packet)
        is_client = self.cluster.machine(packet.source).kind == CLIENT
        home = self.cluster.outside if is_client else CLUSTER
        return self.firewalls[packet.destination].action(
            nic.interface,
            packet.source,
            packet.protocol,
            packet.port,
            in_sets=nic.network == CLUSTER,
            in_rules=nic.network == home,
        )

    def _accepted(self, packet: Packet) -> Outcome:
        if packet.protocol == "tcp" and packet.port in self.local_services.get(
            packet.destination, ()
        ):
            return Outcome(REFUSED, (packet.destination, LOOPBACK))
        mtu = min(self.mtus.get(name, MTU) for name in (packet.source, packet.destination))
        if (packet.protocol, packet.port) == VXLAN and mtu < MTU:
            return Outcome(TIMEOUT, (str(mtu),))
        return Outcome(OPEN, (packet.destination,))

    @cached_property
    def _rejections(self) -> Counter[tuple[str, str, str]]:
        """About how many ports of a destination's address a source is turned away from."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for packet in self.cluster.packets():
            if self.action(packet) == REJECT:
                middle = _SAMPLED.get(packet.port, packet.port)
                whole = self.action(replace(packet, port=middle)) == REJECT
                is_sample = middle != packet.port and whole
                where = packet.source, packet.destination, packet.address
                counts[where] += SMALL if is_sample else 1
        return counts


@lru_cache(maxsize=4)
def intact(cluster: Cluster) -> World:
    """Return a cluster as the playbook prepare leaves it."""
    return World(cluster, {node.name: prepared(cluster, node) for node in cluster.nodes})


def differs(before: Outcome | None, after: Outcome | None) -> bool:
    """Tell whether a report has to say something else than before."""
    if before is None or after is None:
        return before is not after
    return not before.observed & after.observed
