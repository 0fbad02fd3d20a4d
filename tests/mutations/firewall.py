# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one node's firewall does with a packet, as far as the collection and mutations go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .cluster import CLUSTER, SEGREGATED, Cluster, Machine
from .table import CLIENTS, SERVER, SERVERS, port_rules_of

ACCEPT = "accept"
DROP = "drop"
REJECT = "reject"
RESET = 'reject type="tcp-reset"'

FROM_NODES = "k3s-from-nodes"
FROM_CLIENTS = "k3s-from-clients"
ALL_NODES = "k3s-nodes"
ALL_SERVERS = "k3s-servers"

# The zone that the lab's NICs are in, and those of the collection where networks are segregated.
PUBLIC = "public"
# Admits SSH as public does; no policy of the collection names it.
WORK = "work"
TRUSTED = "trusted"
DROP_ZONE = "drop"
ZONE_CLUSTER = "k3s-cluster"
ZONE_EXTERNAL = "k3s-external"


@dataclass(frozen=True)
class Rule:
    """A rule for ports, from an ipset, from one machine, or from anyone."""

    action: str
    protocol: str
    first: int
    last: int
    ipset: str | None = None
    machine: str | None = None
    priority: int = 0
    option: str = ""
    """The option of firewall-cmd for it, such as C(port=80/tcp), if it is not a rich rule."""

    @property
    def ports(self) -> str:
        """The ports as firewalld writes them."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Decision:
    """What is done with a packet, and why."""

    action: str
    zone: str
    by_source: bool = False
    """Whether the zone has the packet by its source address."""
    place: str = ""
    """The zone or policy with the rule that decided, empty if no rule did."""
    rule: Rule | None = None


@dataclass(frozen=True)
class Firewall:
    """The zone of each NIC, the rules of zones and policies in force, and the ipsets."""

    zones: Mapping[str, str]
    rules: Mapping[str, frozenset[Rule]] = field(default_factory=dict)
    ipsets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    """Zones that have a machine by its address."""

    def action(
        self,
        interface: str,
        source: str,
        protocol: str,
        port: int,
        in_sets: bool = True,
        in_rules: bool = True,
    ) -> str:
        """Return what is done with a packet; see decide()."""
        return self.decide(interface, source, protocol, port, in_sets, in_rules).action

    def decide(
        self,
        interface: str,
        source: str,
        protocol: str,
        port: int,
        in_sets: bool = True,
        in_rules: bool = True,
    ) -> Decision:
        """Return what is done with a packet: the rules of the zone come first, then policies.

        The last two tell whether the packet comes from the address of its source that ipsets hold,
        and from the one that rules for one machine name.
        """
        by_source = in_rules and source in self.sources
        zone = self.sources[source] if by_source else self.zones[interface]
        for place in (zone, FROM_NODES, FROM_CLIENTS):
            if place == zone or self._is_asked(place, zone):
                for rule in self._ordered.get(place, ()):
                    if rule.ipset is not None and not in_sets:
                        continue
                    if rule.machine is not None and not in_rules:
                        continue
                    if self._matches(rule, source, protocol, port):
                        return Decision(rule.action, zone, by_source, place, rule)
        return Decision(_TARGETS.get(zone, REJECT), zone, by_source)

    @cached_property
    def _ordered(self) -> dict[str, list[Rule]]:
        return {place: sorted(rules, key=_order) for place, rules in self.rules.items()}

    def _is_asked(self, policy: str, zone: str) -> bool:
        segregated = ZONE_CLUSTER in self.rules
        return not segregated or zone == _INGRESS[policy]

    def _matches(self, rule: Rule, source: str, protocol: str, port: int) -> bool:
        return (
            rule.protocol == protocol
            and rule.first <= port <= rule.last
            and (rule.ipset is None or source in self.ipsets[rule.ipset])
            and rule.machine in (None, source)
        )


_TARGETS = {TRUSTED: ACCEPT, DROP_ZONE: DROP}
_INGRESS = {FROM_NODES: ZONE_CLUSTER, FROM_CLIENTS: ZONE_EXTERNAL}


def _order(rule: Rule) -> tuple[int, bool]:
    # At the same priority firewalld denies before it allows.
    return rule.priority, rule.action == ACCEPT


def prepared(cluster: Cluster, node: Machine) -> Firewall:
    """Return the firewall that a node has after the playbook prepare."""
    zones = {nic.interface: PUBLIC for nic in node.nics}
    rules: dict[str, frozenset[Rule]] = {PUBLIC: frozenset(), WORK: frozenset()}
    if cluster.mode == SEGREGATED:
        zones = {
            nic.interface: ZONE_CLUSTER if nic.network == CLUSTER else ZONE_EXTERNAL
            for nic in node.nics
        }
        rules |= {ZONE_CLUSTER: frozenset(), ZONE_EXTERNAL: frozenset()}
    from_nodes, from_clients = set(), set()
    for rule in port_rules_of(node.kind):
        if rule.sources == CLIENTS:
            from_clients.add(Rule(ACCEPT, rule.protocol, rule.first, rule.last))
        else:
            ipset = ALL_SERVERS if rule.sources == SERVERS else ALL_NODES
            from_nodes.add(Rule(ACCEPT, rule.protocol, rule.first, rule.last, ipset=ipset))
    rules[FROM_NODES] = frozenset(from_nodes)
    rules[FROM_CLIENTS] = frozenset(from_clients)
    ipsets = {ALL_NODES: frozenset(one.name for one in cluster.nodes)}
    if node.kind == SERVER:
        ipsets[ALL_SERVERS] = frozenset(one.name for one in cluster.nodes if one.kind == SERVER)
    return Firewall(zones, rules, ipsets)
