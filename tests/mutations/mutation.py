# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a mutation is: commands that break a cluster, commands that mend it, and the truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from . import causes
from .changes import Change
from .cluster import Machine, Packet
from .world import World, differs, intact

# In the place of a machine's name: commands for the network that the machines are on.
LAB = "(lab)"

PREPARE = "prepare"
"""The playbook."""
COMMANDS = "commands"
"""Those of firewall-cmd that the report names."""
FILTER_COMMANDS = "filter commands"
"""Those of nft and iptables that the report names. What they leave drops nothing."""

Commands = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Mutation:
    """One break of a prepared cluster."""

    kind: str
    text: str
    world: World
    breaks: Commands
    mends: Commands
    # For the playbook validate.
    variables: Mapping[str, Any] = field(default_factory=dict)
    # Connections from before the break would not survive it.
    fresh_connections: bool = False
    # Nothing is broken, and a report must say so.
    harmless: bool = False
    # The model is compared with packets before the report is.
    measured: bool = False
    # What restores everything: PREPARE, COMMANDS or FILTER_COMMANDS.
    remedy: Optional[str] = None

    @property
    def is_full(self) -> bool:
        """Whether validate probes every port of a large range."""
        return self.variables.get("k3s_connectivity_range_coverage") == "full"

    def effect(self, packet: Packet) -> frozenset[str] | None:
        """Return what may be observed of a packet, None where the mutation does not touch it."""
        before, after = intact(self.world.cluster).outcome(packet), self.world.outcome(packet)
        if after is None or not differs(before, after):
            return None
        return after.observed

    def breaks_something(self) -> bool:
        """Tell whether something is open that was closed, or the reverse, or there is a finding.

        If a closed port answers in another way than before, a report has nothing to fail of.
        """
        if self.world.findings:
            return True
        intact_world = intact(self.world.cluster)
        everywhere = {node.name for node in self.world.cluster.nodes}
        all_nodes = LAB in self.breaks or self.world.sent_from
        where = everywhere if all_nodes else everywhere & set(self.breaks)
        packets = self.world.cluster.packets(self.is_full, where)
        for packet in packets:
            before, after = intact_world.outcome(packet), self.world.outcome(packet)
            if before and after and ("open" in before.observed) != ("open" in after.observed):
                return True
        return False

    def touched(self) -> list[Packet]:
        """Return the packets of which a report has to say something else."""
        packets = self.world.cluster.packets(self.is_full)
        return [packet for packet in packets if self.effect(packet) is not None]


Draw = Callable[[random.Random, World], Optional[Mutation]]
"""Makes a mutation of its kind, or None where what it has drawn does not exist there."""


def of_firewall(
    kind: str,
    text: str,
    world: World,
    node: Machine,
    changes: Sequence[Change],
    variables: Mapping[str, Any] | None = None,
) -> Mutation:
    """Return the mutation that makes these changes of a node's firewall, one after the other."""
    before = firewall = world.firewalls[node.name]
    for change in changes:
        firewall = change.apply(firewall)
    back = [change.inverse() for change in reversed(changes)]
    after = replace(world, firewalls={**world.firewalls, node.name: firewall})
    return Mutation(
        kind,
        f"{node.name}: {text}",
        after,
        {node.name: [change.command(world.cluster) for change in changes]},
        {node.name: [change.command(world.cluster) for change in back]},
        variables or {},
        measured=not variables,
        remedy=PREPARE if any(causes.changed(before, firewall)) else COMMANDS,
    )
