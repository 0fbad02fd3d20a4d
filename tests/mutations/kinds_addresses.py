# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""More addresses and NICs on a node. The node's address stays the same.

They break nothing, unless the node sends from another address.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import replace

from .cluster import CLUSTER, Cluster, Machine, Nic
from .firewall import TRUSTED
from .mutation import Mutation
from .world import World

# The lab's networks.
_PREFIX = 24
# Added to a NIC's address; hosts with these are not in a lab. Each NIC gets addresses of its own,
# since neighbours remember for some seconds who had one.
_VIRTUAL, _SECOND = 100, 150
_SPARE = "spare0"


def virtual_ip(rng: random.Random, world: World) -> Mutation | None:
    """A NIC holds a virtual IP, as that of kube-vip or keepalived."""
    node, nic = _any_nic(rng, world.cluster)
    return _with_address("virtual-ip", world, node, nic, f"{_neighbour(nic, _VIRTUAL)}/32")


def second_address(rng: random.Random, world: World) -> Mutation | None:
    """A NIC has a second address in its subnet."""
    node, nic = _any_nic(rng, world.cluster)
    address = f"{_neighbour(nic, _SECOND)}/{_PREFIX}"
    return _with_address("second-address", world, node, nic, address)


def sends_from(rng: random.Random, world: World) -> Mutation | None:
    """A NIC has a second address, which is the source address of its route."""
    node = rng.choice(world.cluster.nodes)
    nic = world.cluster.nic(node, CLUSTER)
    address = _neighbour(nic, _SECOND)
    of_nic = f"dev {nic.interface}"
    network = ipaddress.ip_network(f"{nic.address}/{_PREFIX}", strict=False)
    route = f"$(ip -4 route show {network} {of_nic} proto kernel | sed 's/src [^ ]*/src {{}}/')"
    return Mutation(
        "sends-from",
        f"{node.name}: {nic.interface} has {address} as well, from which it sends",
        replace(world, sent_from={node.name: address}),
        {
            node.name: [
                f"ip address add {address}/32 {of_nic}",
                f"ip route replace {route.format(address)} {of_nic} proto kernel",
            ]
        },
        {
            node.name: [
                f"ip route replace {route.format(nic.address)} {of_nic} proto kernel",
                f"ip address delete {address}/32 {of_nic}",
            ]
        },
        measured=True,
    )


def spare_nic(rng: random.Random, world: World) -> Mutation | None:
    """A NIC that the cluster does not use is in a zone that accepts everything."""
    node = rng.choice(world.cluster.nodes)
    return Mutation(
        "spare-nic",
        f"{node.name}: {_SPARE} is in zone {TRUSTED}",
        world,
        {
            node.name: [
                f"ip link add {_SPARE} type bridge",
                f"ip address add 198.18.7.1/24 dev {_SPARE}",
                f"ip link set {_SPARE} up",
                f"firewall-cmd --zone={TRUSTED} --change-interface={_SPARE}",
            ]
        },
        {
            node.name: [
                f"firewall-cmd --zone={TRUSTED} --remove-interface={_SPARE}",
                f"ip link delete {_SPARE}",
            ]
        },
        harmless=True,
    )


def _any_nic(rng: random.Random, cluster: Cluster) -> tuple[Machine, Nic]:
    node = rng.choice(cluster.nodes)
    return node, rng.choice(node.nics)


def _neighbour(nic: Nic, distance: int) -> str:
    """Return another address of a NIC's subnet."""
    return str(ipaddress.ip_address(nic.address) + distance)


def _with_address(kind: str, world: World, node: Machine, nic: Nic, address: str) -> Mutation:
    return Mutation(
        kind,
        f"{node.name}: {nic.interface} has {address} as well",
        world,
        {node.name: [f"ip address add {address} dev {nic.interface}"]},
        {node.name: [f"ip address delete {address} dev {nic.interface}"]},
        harmless=True,
        measured=True,
    )
