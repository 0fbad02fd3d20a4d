# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of ranges: cut by one port."""

from __future__ import annotations

import random
from dataclasses import replace

from .changes import Change, RuleChange
from .firewall import FROM_NODES
from .mutation import Mutation, of_firewall
from .table import SMALL
from .world import World

FULL = {"k3s_connectivity_range_coverage": "full"}


def cut_at_end(rng: random.Random, world: World) -> Mutation | None:
    """A range lacks its first or its last port."""
    return _cut(rng, world, "cut-at-end", large=rng.random() < 0.5, at_end=True)


def cut_inside(rng: random.Random, world: World) -> Mutation | None:
    """A small range lacks any port of its middle, which is probed like each of its ports."""
    return _cut(rng, world, "cut-inside", large=False, at_end=False)


def cut_large(rng: random.Random, world: World) -> Mutation | None:
    """A large range lacks one port of its middle, which only full coverage finds."""
    return _cut(rng, world, "cut-large", large=True, at_end=False)


def _cut(rng: random.Random, world: World, kind: str, large: bool, at_end: bool) -> Mutation | None:
    node = rng.choice(world.cluster.nodes)
    rules = [
        rule
        for rule in sorted(world.firewalls[node.name].rules[FROM_NODES], key=str)
        if (rule.last - rule.first >= SMALL) == large
        and rule.last - rule.first >= (1 if at_end else 2)
    ]
    rule = rng.choice(rules)
    port = rng.choice([rule.first, rule.last])
    if not at_end:
        port = rng.randint(rule.first + 1, rule.last - 1)
    parts = [(rule.first, port - 1), (port + 1, rule.last)]
    changes: list[Change] = [RuleChange(FROM_NODES, rule, add=False)]
    changes += [
        RuleChange(FROM_NODES, replace(rule, first=first, last=last), add=True)
        for first, last in parts
        if first <= last
    ]
    return of_firewall(
        kind,
        f"{rule.ports} lacks port {port}",
        world,
        node,
        changes,
        FULL if large and not at_end else None,
    )
