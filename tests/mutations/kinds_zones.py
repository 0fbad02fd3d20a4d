# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of the user's zones: what they open, and whose packets they take."""

from __future__ import annotations

import random
from dataclasses import replace

from .changes import RuleChange, SourceChange, ZoneChange
from .cluster import CLUSTER, SEGREGATED
from .firewall import ACCEPT, DROP_ZONE, PUBLIC, TRUSTED, WORK, Rule
from .mutation import COMMANDS, Mutation, of_firewall
from .table import NODES, port_rules_of
from .world import World

# Services of firewalld 0.9 to 2.3 that have one port of the table each.
_SERVICES = {
    "etcd-client": ("tcp", 2379),
    "etcd-server": ("tcp", 2380),
    "iscsi-target": ("tcp", 3260),
    "nfs": ("tcp", 2049),
}


def opened(rng: random.Random, world: World) -> Mutation | None:
    """The user's zone of a shared NIC opens ports, by a port, a service or a rich rule."""
    if world.cluster.mode == SEGREGATED:
        return None
    node = rng.choice(world.cluster.nodes)
    port_rule = rng.choice([one for one in port_rules_of(node.kind) if one.sources <= NODES])
    protocol, first, last = port_rule.protocol, port_rule.first, port_rule.last
    option = rng.choice((f"port={port_rule.ports}/{protocol}", "", "service"))
    if option == "service":
        service, (protocol, first) = rng.choice(sorted(_SERVICES.items()))
        last, option = first, f"service={service}"
    rule = Rule(ACCEPT, protocol, first, last, option=option)
    text = f"zone {PUBLIC} has {option or f'a rich rule for {rule.ports}/{protocol}'}"
    return of_firewall("opened", text, world, node, [RuleChange(PUBLIC, rule, add=True)])


def source_zone(rng: random.Random, world: World) -> Mutation | None:
    """A zone of the user takes all packets of a machine."""
    node = rng.choice(world.cluster.nodes)
    zone = rng.choice((TRUSTED, WORK, DROP_ZONE))
    clients = [one for one in world.cluster.clients if one.on(world.cluster.outside)]
    source = rng.choice([one for one in (*world.cluster.nodes, *clients) if one != node])
    mutation = of_firewall(
        "source-zone",
        f"zone {zone} has {source.name} as a source",
        world,
        node,
        [SourceChange(zone, source.name, add=True)],
    )
    # prepare keeps the user's source.
    return replace(mutation, remedy=COMMANDS if mutation.remedy == COMMANDS else None)


def trusted_interface(rng: random.Random, world: World) -> Mutation | None:
    """A shared NIC is in the zone that accepts everything."""
    if world.cluster.mode == SEGREGATED:
        return None
    node = rng.choice(world.cluster.nodes)
    interface = world.cluster.nic(node, CLUSTER).interface
    return of_firewall(
        "trusted-interface",
        f"{interface} is in zone {TRUSTED}",
        world,
        node,
        [ZoneChange(interface, PUBLIC, TRUSTED)],
    )
