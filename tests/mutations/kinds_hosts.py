# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of what is around the rules: zones of NICs, services, addresses, links."""

from __future__ import annotations

import random
from dataclasses import replace

from .changes import ZoneChange
from .cluster import CLUSTER, SEGREGATED
from .firewall import WORK, ZONE_CLUSTER, ZONE_EXTERNAL
from .mutation import LAB, Mutation, of_firewall
from .table import port_rules_of
from .world import LOOPBACK, Duplicate, World

UNIT = "k3s-mutation"
# Listens, and answers nobody.
SERVICE = (
    "import socket, signal; s = socket.socket(); "
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
    's.bind(("{address}", {port})); s.listen(); signal.pause()'
)


def wrong_interface(rng: random.Random, world: World) -> Mutation | None:
    """A NIC is in another zone than it should be."""
    if world.cluster.mode != SEGREGATED:
        return None
    node = rng.choice(world.cluster.nodes)
    interface, before = rng.choice(sorted(world.firewalls[node.name].zones.items()))
    after = rng.choice([zone for zone in (WORK, ZONE_CLUSTER, ZONE_EXTERNAL) if zone != before])
    change = ZoneChange(interface, before, after)
    text = f"{interface} is in zone {after} instead of {before}"
    return of_firewall("wrong-interface", text, world, node, [change])


def wrong_address(rng: random.Random, world: World) -> Mutation | None:
    """A service listens on the loopback alone."""
    node = rng.choice(world.cluster.nodes)
    port_rules = [
        rule for rule in port_rules_of(node.kind) if rule.is_small and rule.protocol == "tcp"
    ]
    rule = rng.choice(port_rules)
    port = rng.randint(rule.first, rule.last)
    unit = f"{UNIT}-{port}"
    program = SERVICE.format(address=LOOPBACK, port=port)
    return Mutation(
        "wrong-address",
        f"{node.name}: a service holds port {port} of {LOOPBACK} alone",
        replace(world, local_services={node.name: frozenset({port})}),
        {
            node.name: [
                f"systemd-run --quiet --collect --unit={unit} /usr/bin/python3 -c '{program}'",
                f"timeout 120 sh -c 'until ss -Hltn src {LOOPBACK}:{port} | grep -q .;"
                " do sleep 0.1; done'",
            ]
        },
        {node.name: [f"systemctl stop {unit}"]},
    )


def duplicate_address(rng: random.Random, world: World) -> Mutation | None:
    """A client outside has taken a node's address on the cluster's network, and answers ARP."""
    cluster = world.cluster
    node = rng.choice(cluster.nodes)
    clients = [client for client in cluster.clients if client.on(CLUSTER)]
    if not clients:
        return None
    client = rng.choice(clients)
    taken = cluster.nic(node, CLUSTER)
    others = [one for one in cluster.machines if one != node and one.on(CLUSTER)]
    neighbours = {one.name: cluster.nic(one, CLUSTER) for one in others}
    silent = f"net.ipv4.conf.{taken.interface}.arp_ignore"
    forget = {
        name: f"ip neighbour flush to {taken.address} dev {nic.interface}"
        for name, nic in neighbours.items()
    }
    # By its own ARP requests the node would tell the others its address again.
    known = [
        f"ip neighbour replace {nic.address} lladdr {nic.mac} dev {taken.interface} nud permanent"
        for nic in neighbours.values()
    ]
    unknown = [
        f"ip neighbour delete {nic.address} dev {taken.interface}" for nic in neighbours.values()
    ]
    address = f"{taken.address}/32 dev {neighbours[client.name].interface}"
    breaks = {
        # The machines show the same host key, so Ansible would not notice that it ends elsewhere.
        LAB: [
            f"ip neighbour replace {taken.address} lladdr {taken.mac} dev {CLUSTER} nud permanent"
        ],
        node.name: [*known, f"sysctl -qw {silent}=8"],
        client.name: [f"ip address add {address}"],
    }
    mends = {
        client.name: [f"ip address delete {address}"],
        node.name: [f"sysctl -qw {silent}=0", *unknown],
    }
    for name, command in forget.items():
        breaks[name] = [*breaks.get(name, []), command]
        mends[name] = [*mends.get(name, []), command]
    mends[LAB] = [f"ip neighbour delete {taken.address} dev {CLUSTER}"]
    return Mutation(
        "duplicate-address",
        f"{client.name} has {taken.address} of {node.name} as well",
        replace(world, duplicate=Duplicate(node.name, client.name)),
        breaks,
        mends,
    )


def small_mtu(rng: random.Random, world: World) -> Mutation | None:
    """The link of a node's NIC on the cluster's network carries no full-size packets."""
    node = rng.choice(world.cluster.nodes)
    nic = world.cluster.nic(node, CLUSTER)
    # As the lab names the bridge's side of a NIC.
    link = f"{node.name}-e{nic.interface[3:]}"
    mtu = 1400
    return Mutation(
        "small-mtu",
        f"the link of {node.name}'s {nic.interface} has an MTU of {mtu}",
        replace(world, mtus={node.name: mtu}),
        {LAB: [f"ip link set dev {link} mtu {mtu}"]},
        {LAB: [f"ip link set dev {link} mtu 1500"]},
        fresh_connections=True,
    )
