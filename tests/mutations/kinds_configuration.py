# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of the firewall's configuration that probes see in part or not at all."""

from __future__ import annotations

import random
from dataclasses import replace

from .changes import PolicyChange, rich_rule
from .cluster import CLUSTER
from .firewall import FROM_CLIENTS, FROM_NODES
from .mutation import PREPARE as PREPARE_MENDS
from .mutation import Mutation, of_firewall
from .outcome import ERROR, PREPARE, Cause, Finding
from .world import World

FROM_PODS = "k3s-from-pods"
OVERLAY = "k3s-overlay"
_POLICIES = (FROM_NODES, FROM_CLIENTS, FROM_PODS, OVERLAY)
_FILE = "/etc/firewalld/policies/{}.xml"
_KEPT = "/run/k3s-mutation.xml"
# Those of the pod and service networks of K3s.
_OVERLAY_RULES = tuple(
    f'rule family="ipv4" source address="{cidr}" accept'
    for cidr in ("10.42.0.0/16", "10.43.0.0/16")
)


def emptied(rng: random.Random, world: World) -> Mutation | None:
    """A policy loses all its rules in the runtime configuration."""
    node = rng.choice(world.cluster.nodes)
    policy = rng.choice((FROM_NODES, FROM_CLIENTS, OVERLAY))
    if policy == OVERLAY:
        return _emptied_overlay(node.name, world)
    rules = world.firewalls[node.name].rules[policy]
    change = PolicyChange(policy, rules, add=False)
    return of_firewall("emptied", f"{policy} without rules", world, node, [change])


def _emptied_overlay(name: str, world: World) -> Mutation:
    """No check sends packets of pods, so that a finding is all that there is."""

    def command(verb: str) -> str:
        options = " ".join(f"--{verb}-rich-rule='{rule}'" for rule in _OVERLAY_RULES)
        return f"firewall-cmd --policy={OVERLAY} {options}"

    cause = Cause((f"policy {OVERLAY} differs", "runtime configuration", PREPARE))
    return Mutation(
        "emptied",
        f"{name}: {OVERLAY} without rules",
        replace(world, other_findings=(Finding(ERROR, name, cause),)),
        {name: [command("remove")]},
        {name: [command("add")]},
        remedy=PREPARE_MENDS,
    )


def permanent(rng: random.Random, world: World) -> Mutation | None:
    """A policy differs or is missing in the permanent configuration, and holds until a restart."""
    node = rng.choice(world.cluster.nodes)
    policy = rng.choice(_POLICIES)
    file = _FILE.format(policy)
    command = f"firewall-cmd --permanent --delete-policy={policy}"
    text = f"policy {policy} is missing in"
    if policy in (FROM_NODES, FROM_CLIENTS) and rng.random() < 0.5:
        rules = sorted(world.firewalls[node.name].rules[policy], key=str)
        rule = rich_rule(world.cluster, rng.choice(rules))
        command = f"firewall-cmd --permanent --policy={policy} --remove-rich-rule='{rule}'"
        text = f"policy {policy} differs from the topology in"
    cause = Cause((text, "permanent configuration", PREPARE))
    return Mutation(
        "permanent",
        f"{node.name}: {command}",
        replace(world, other_findings=(Finding(ERROR, node.name, cause),)),
        {node.name: [f"cp {file} {_KEPT}", command]},
        # firewalld keeps the former file beside the new one.
        {node.name: [_restored(policy), f"rm -f {_KEPT} {file}.old"]},
        remedy=PREPARE_MENDS,
    )


def _restored(policy: str) -> str:
    """Return the command that gives firewalld a policy as it was kept."""
    return (
        f"firewall-cmd -q --permanent --delete-policy={policy} || true; "
        f"firewall-cmd --permanent --new-policy-from-file={_KEPT} --name={policy}"
    )


def overlay_down(rng: random.Random, world: World) -> Mutation | None:
    """A node's VXLAN device is down."""
    node = rng.choice(world.cluster.nodes)
    nic = world.cluster.nic(node, CLUSTER)
    cause = Cause(("flannel.1 is down", "ip link set flannel.1 up"), (PREPARE,))
    return Mutation(
        "overlay-down",
        f"{node.name}: flannel.1 is down",
        replace(world, other_findings=(Finding(ERROR, node.name, cause),)),
        {
            node.name: [
                f"ip link add flannel.1 type vxlan id 1 local {nic.address} dev {nic.interface} "
                "dstport 8472 nolearning"
            ]
        },
        {node.name: ["ip link delete flannel.1"]},
    )
