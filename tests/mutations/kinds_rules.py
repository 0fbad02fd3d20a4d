# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of single rules: removed, overruled, of the wrong source, too wide."""

from __future__ import annotations

import random
from dataclasses import replace

from .changes import Change, EntryChange, RuleChange, rich_rule
from .cluster import CLUSTER, SEGREGATED, Machine
from .firewall import (
    ACCEPT,
    ALL_NODES,
    ALL_SERVERS,
    DROP,
    FROM_CLIENTS,
    FROM_NODES,
    PUBLIC,
    REJECT,
    RESET,
    ZONE_CLUSTER,
    ZONE_EXTERNAL,
    Rule,
)
from .mutation import Mutation, of_firewall
from .table import AGENT, NODES, SERVER, port_rules_of
from .world import World


def removed(rng: random.Random, world: World) -> Mutation | None:
    """A rule of a policy is taken away."""
    node, policy, rule = _any_rule(rng, world)
    return of_firewall(
        "removed",
        f"{policy} without: {rich_rule(world.cluster, rule)}",
        world,
        node,
        [RuleChange(policy, rule, add=False)],
    )


def reject(rng: random.Random, world: World) -> Mutation | None:
    """A rule that rejects by ICMP comes before one that admits."""
    return _overruled(rng, world, "reject", REJECT)


def reset(rng: random.Random, world: World) -> Mutation | None:
    """A rule that resets connections comes before one that admits."""
    return _overruled(rng, world, "reset", RESET)


def drop(rng: random.Random, world: World) -> Mutation | None:
    """A rule that drops comes before one that admits."""
    return _overruled(rng, world, "drop", DROP)


def wrong_source(rng: random.Random, world: World) -> Mutation | None:
    """A rule names another set than it should, or its set lacks a node."""
    node = rng.choice(world.cluster.nodes)
    if rng.random() < 0.3:
        firewall = world.firewalls[node.name]
        ipset = rng.choice(sorted(firewall.ipsets))
        other = rng.choice(sorted(firewall.ipsets[ipset] - {node.name}) or [node.name])
        return of_firewall(
            "wrong-source",
            f"ipset {ipset} lacks {other}",
            world,
            node,
            [EntryChange(ipset, other, add=False)],
        )
    rule = _pick(rng, world, node, FROM_NODES)
    if rule.ipset != ALL_NODES:
        return None
    others: list[Rule] = []
    if rng.random() < 0.5 and ALL_SERVERS in world.firewalls[node.name].ipsets:
        others = [replace(rule, ipset=ALL_SERVERS)]
    else:
        # firewalld takes no new set without a reload; an address each says the same.
        kind = rng.choice([SERVER, AGENT])
        others = [
            replace(rule, ipset=None, machine=one.name)
            for one in world.cluster.nodes
            if one.kind == kind and one != node
        ]
        if not others:
            return None
    changes: list[Change] = [RuleChange(FROM_NODES, rule, add=False)]
    changes += [RuleChange(FROM_NODES, other, add=True) for other in others]
    texts = ", ".join(rich_rule(world.cluster, other) for other in others)
    return of_firewall(
        "wrong-source", f"port {rule.ports} has instead of all nodes: {texts}", world, node, changes
    )


def too_wide(rng: random.Random, world: World) -> Mutation | None:
    """A rule admits whom it should not."""
    node = rng.choice(world.cluster.nodes)
    if rng.random() < 0.4:
        rule = next(
            (
                rule
                for rule in sorted(world.firewalls[node.name].rules[FROM_NODES], key=str)
                if rule.ipset == ALL_SERVERS
            ),
            None,
        )
        if rule is None:
            return None
        return of_firewall(
            "too-wide",
            f"{FROM_NODES} admits all nodes to etcd",
            world,
            node,
            [
                RuleChange(FROM_NODES, rule, add=False),
                RuleChange(FROM_NODES, replace(rule, ipset=ALL_NODES), add=True),
            ],
        )
    port_rule = rng.choice(
        [port_rule for port_rule in port_rules_of(node.kind) if port_rule.sources <= NODES]
    )
    first, last = port_rule.first, port_rule.last
    if port_rule.is_small and rng.random() < 0.5:
        # One port of a large range might not be in the sample.
        first = last = rng.randint(first, last)
    rule = Rule(ACCEPT, port_rule.protocol, first, last)
    rule = replace(rule, option=f"port={rule.ports}/{rule.protocol}")
    zone = PUBLIC
    if world.cluster.mode == SEGREGATED:
        zone = rng.choice([ZONE_CLUSTER, ZONE_EXTERNAL])
    return of_firewall(
        "too-wide",
        f"zone {zone} has port {rule.ports}/{rule.protocol}",
        world,
        node,
        [RuleChange(zone, rule, add=True)],
    )


def _overruled(rng: random.Random, world: World, kind: str, action: str) -> Mutation | None:
    node, policy, rule = _any_rule(rng, world)
    if action == RESET and rule.protocol != "tcp":
        return None
    ban = replace(rule, action=action, priority=-10)
    if rng.random() < 0.3:
        # A ban of one host.
        pool = world.cluster.nodes if policy == FROM_NODES else world.cluster.clients
        if policy == FROM_CLIENTS:
            pool = [one for one in pool if one.on(world.cluster.outside)]
        others = [one for one in pool if one != node]
        if not others:
            return None
        ban = replace(ban, ipset=None, machine=rng.choice(others).name)
    place = policy
    if rng.random() < 0.3:
        network = CLUSTER if policy == FROM_NODES else world.cluster.outside
        place = world.firewalls[node.name].zones[world.cluster.nic(node, network).interface]
    return of_firewall(
        kind,
        f"{place} has: {rich_rule(world.cluster, ban)}",
        world,
        node,
        [RuleChange(place, ban, add=True)],
    )


def _any_rule(rng: random.Random, world: World) -> tuple[Machine, str, Rule]:
    node = rng.choice(world.cluster.nodes)
    policy = rng.choice([FROM_NODES, FROM_NODES, FROM_CLIENTS])
    return node, policy, _pick(rng, world, node, policy)


def _pick(rng: random.Random, world: World, node: Machine, policy: str) -> Rule:
    # Sorted, so that the same seed draws the same rule.
    return rng.choice(sorted(world.firewalls[node.name].rules[policy], key=str))
