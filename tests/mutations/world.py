# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The truth: what a machine sees of a port of another, and what a report has to say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from . import causes
from .cluster import CLUSTER, Cluster, Packet
from .filters import PacketFilter
from .firewall import ACCEPT, DROP, REJECT, RESET, Decision, Firewall, prepared
from .outcome import (
    NOT_DETERMINED,
    OPEN,
    PREPARE,
    REFUSED,
    REJECTED,
    TIMEOUT,
    UNREACHABLE,
    WRONG_HOST,
    Cause,
    Finding,
    Outcome,
)
from .table import CLIENT, PORT_RULES, SMALL

MTU = 1500
VXLAN = ("udp", 8472)
LOOPBACK = "127.0.0.1"
# A kernel sends one host so many ICMP errors at once; of more probes, some are left unanswered.
ICMP_BURST = 5
# From the first port of a range that is sampled to one in its middle.
_SAMPLED = {rule.first: (rule.first + rule.last) // 2 for rule in PORT_RULES if not rule.is_small}


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
    # Addresses from which nodes send instead of their own.
    sent_from: Mapping[str, str] = field(default_factory=dict)
    # Of other software, by node.
    filters: Mapping[str, PacketFilter] = field(default_factory=dict)
    # Units of services that do not run, by port, of nodes.
    stopped_services: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    # That do not follow from the firewalls' runtime configuration.
    other_findings: tuple[Finding, ...] = ()

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings of level error or warning that a report must have."""
        before = intact(self.cluster).firewalls
        found = [
            finding
            for name, firewall in self.firewalls.items()
            if firewall != before[name]
            for finding in causes.findings(name, before[name], firewall)
        ]
        return (*found, *self.other_findings)

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
        cause = self._cause(packet)
        if action == DROP:
            return Outcome(TIMEOUT, cause)
        if action == RESET:
            return Outcome(REFUSED, cause)
        observed = REJECTED
        if packet.protocol == "udp":
            # firewalld's own reject says "port unreachable", as a closed UDP port does.
            observed |= REFUSED
        if self._rejections[packet.source, packet.destination, packet.address] > ICMP_BURST:
            observed |= TIMEOUT
        return Outcome(observed, cause)

    def action(self, packet: Packet) -> str:
        """Return what the destination does with a packet."""
        action = self._decision(packet).action
        packet_filter = self.filters.get(packet.destination)
        if packet_filter is None:
            return action
        network = self.cluster.nic_of(packet).network
        return packet_filter.action_on(network, packet.protocol, packet.port, action)

    def _decision(self, packet: Packet) -> Decision:
        nic = self.cluster.nic_of(packet)
        is_client = self.cluster.machine(packet.source).kind == CLIENT
        home = self.cluster.outside if is_client else CLUSTER
        own = packet.source not in self.sent_from
        return self.firewalls[packet.destination].decide(
            nic.interface,
            packet.source,
            packet.protocol,
            packet.port,
            in_sets=own and nic.network == CLUSTER,
            in_rules=own and nic.network == home,
        )

    def _cause(self, packet: Packet) -> Cause:
        """Return the cause of what a firewall does, if the prepared one does something else."""
        before = intact(self.cluster)
        is_open = self.action(packet) == ACCEPT
        if self is before or is_open == (before.action(packet) == ACCEPT):
            return Cause()
        name = packet.destination
        address = self.sent_from.get(packet.source)
        if address is not None:
            return Cause((f"{packet.source} sends from {address}",))
        decision = self._decision(packet)
        packet_filter = self.filters.get(name)
        if packet_filter is not None and decision.action == ACCEPT:
            return Cause((name, *packet_filter.names), (PREPARE,))
        firewalls = before.firewalls[name], self.firewalls[name]
        return causes.cause(self.cluster, name, packet.source, decision, *firewalls)

    def _accepted(self, packet: Packet) -> Outcome:
        name = packet.destination
        if packet.protocol == "tcp" and packet.port in self.local_services.get(name, ()):
            return Outcome(REFUSED, Cause((name, LOOPBACK)))
        unit = self.stopped_services.get(name, {}).get(packet.port)
        if packet.protocol == "tcp" and unit is not None:
            start = f"systemctl start {unit}"
            return Outcome(NOT_DETERMINED, Cause((name, unit, start), (PREPARE,)))
        mtu = min(self.mtus.get(one, MTU) for one in (packet.source, name))
        if (packet.protocol, packet.port) == VXLAN and mtu < MTU:
            return Outcome(TIMEOUT, Cause((str(mtu),)))
        return Outcome(OPEN, self._cause(packet))

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
