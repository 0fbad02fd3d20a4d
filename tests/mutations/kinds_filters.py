# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations by packet filters of other software, beside firewalld."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import replace

from .cluster import CLUSTER, EXTERNAL, Machine
from .filters import PacketFilter, Ports
from .firewall import DROP, REJECT
from .mutation import FILTER_COMMANDS, Mutation
from .outcome import ERROR, PREPARE, Cause, Finding
from .table import PortRule, port_rules_of
from .world import World

_TABLE = "hostguard"
_EVERYWHERE = frozenset({CLUSTER, EXTERNAL})
_ESTABLISHED = "ct state established,related accept"


def foreign_drop(rng: random.Random, world: World) -> Mutation | None:
    """A table of nft drops in input whatever it does not name."""
    node = rng.choice(world.cluster.nodes)
    family = rng.choice(("inet", "ip"))
    # firewalld's chain is at 10.
    priority = rng.choice((-10, 0, 20))
    spared: Ports = frozenset()
    accepts = [_ESTABLISHED, "iifname lo accept", "tcp dport 22 accept", "ip protocol icmp accept"]
    if rng.random() < 0.5:
        rule = _small_rule(rng, node)
        spared = _ports(rule)
        accepts.append(f"{rule.protocol} dport {rule.ports} accept")
    chain = "guard_in"
    ruleset = (
        f"table {family} {_TABLE} {{ chain {chain} {{ type filter hook input "
        f"priority {priority}; policy drop; {'; '.join(accepts)}; }}; }}"
    )
    return _filtered(
        "foreign-drop",
        f"{ruleset}",
        world,
        node,
        PacketFilter((_TABLE, chain), DROP, _EVERYWHERE, None, spared, priority > 10),
        [f"nft '{ruleset}'"],
        [f"nft delete table {family} {_TABLE}"],
    )


def foreign_reject(rng: random.Random, world: World) -> Mutation | None:
    """Rules of iptables reject what comes from the cluster's network, before firewalld's chain."""
    node = rng.choice(world.cluster.nodes)
    nic = world.cluster.nic(node, CLUSTER)
    network = ipaddress.ip_network(f"{nic.address}/24", strict=False)
    rules = [
        "INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "INPUT -p tcp --dport 22 -j ACCEPT",
        f"INPUT -s {network} -j REJECT",
    ]
    return _filtered(
        "foreign-reject",
        f"iptables -A {rules[-1]}",
        world,
        node,
        PacketFilter(("filter", "INPUT"), REJECT, frozenset({CLUSTER})),
        [f"iptables -A {rule}" for rule in rules],
        ["nft delete table ip filter"],
    )


def foreign_port(rng: random.Random, world: World) -> Mutation | None:
    """A chain at another hook than input drops the packets to a port."""
    node = rng.choice(world.cluster.nodes)
    rule = _small_rule(rng, node)
    chain, networks = "early", _EVERYWHERE
    if rng.random() < 0.5:
        network = CLUSTER if rng.random() < 0.7 else world.cluster.outside
        nic = world.cluster.nic(node, network)
        networks = frozenset({nic.network})
        family, hook = "netdev", f"ingress device {nic.interface} priority 0"
    else:
        family, hook = rng.choice(("ip", "inet")), "prerouting priority -300"
    ruleset = (
        f"table {family} {_TABLE} {{ chain {chain} {{ type filter hook {hook}; policy accept; "
        f"{rule.protocol} dport {rule.ports} drop; }}; }}"
    )
    return _filtered(
        "foreign-port",
        f"{ruleset}",
        world,
        node,
        PacketFilter((_TABLE, chain), DROP, networks, _ports(rule)),
        [f"nft '{ruleset}'"],
        [f"nft delete table {family} {_TABLE}"],
    )


def _filtered(
    kind: str,
    text: str,
    world: World,
    node: Machine,
    packet_filter: PacketFilter,
    breaks: list[str],
    mends: list[str],
) -> Mutation:
    mutation = Mutation(
        kind,
        f"{node.name}: {text}",
        replace(world, filters={node.name: packet_filter}),
        {node.name: breaks},
        {node.name: mends},
        measured=True,
        remedy=FILTER_COMMANDS,
    )
    if not mutation.breaks_something():
        # It drops at a NIC what no rule admits there.
        return replace(mutation, harmless=True, remedy=None)
    finding = Finding(ERROR, node.name, Cause(packet_filter.names, (PREPARE,)))
    return replace(mutation, world=replace(mutation.world, other_findings=(finding,)))


def _small_rule(rng: random.Random, node: Machine) -> PortRule:
    return rng.choice([rule for rule in port_rules_of(node.kind) if rule.is_small])


def _ports(rule: PortRule) -> Ports:
    return frozenset((rule.protocol, port) for port in range(rule.first, rule.last + 1))
