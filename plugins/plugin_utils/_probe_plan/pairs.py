# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who probes whom: everybody everybody, or so few that the cost per node stays flat. Pure.

In a large cluster the sources of a kind stand in a ring, shuffled by the seed, and a destination
is probed by those who follow its own place. So the load is even, and a host works out its own part
without that of the others.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from enum import Enum

from .._topology.model import (
    EXTERNAL,
    NODE_GROUPS,
    Node,
    Topology,
)


class Part(Enum):
    """What a source proves at a destination."""

    EVERY_RULE = "every rule"
    DISTINCT_RULES = "the rules that do not treat servers and agents alike"


class Pairs:
    """The destinations of each source.

    C(sources) are the names of all that probe; the nodes among them are the destinations as well.
    """

    def __init__(
        self,
        topology: Topology,
        sources: Collection[str],
        seed: str,
        full_mesh_max: int,
        sources_per_destination: int,
    ) -> None:
        probing = set(sources)
        self.nodes: list[Node] = [one for one in topology["nodes"] if one["name"] in probing]
        self._number = {one["name"]: number for number, one in enumerate(self.nodes)}
        known = {one["name"] for one in topology["nodes"]}
        self._rings: dict[str, list[str]] = {EXTERNAL: sorted(probing - known)}
        for group in NODE_GROUPS:
            self._rings[group] = [one["name"] for one in self.nodes if one["group"] == group]
        self._place: dict[str, tuple[str, int]] = {}
        for kind, ring in self._rings.items():
            random.Random(f"{seed} {kind}").shuffle(ring)
            self._place.update((name, (kind, place)) for place, name in enumerate(ring))
        self._mesh = len(self.nodes) <= full_mesh_max
        self._full_mesh_max = full_mesh_max
        self._wanted = sources_per_destination

    def sources(self) -> list[str]:
        """Return who probes: nodes in the order of the topology, then those outside."""
        return [*self._number, *sorted(self._rings[EXTERNAL])]

    def kind(self, source: str) -> str:
        """Return the kind of a source: its group, or EXTERNAL."""
        return self._place[source][0] if source in self._place else EXTERNAL

    def destinations(self, source: str) -> list[tuple[Node, Part]]:
        """Return whom a source probes, beginning behind itself.

        So that not all sources are at the same destination at the same time.
        """
        if source not in self._place:
            return []
        kind, place = self._place[source]
        own = self._number.get(source, place * len(self.nodes) // len(self._rings[kind]))
        found: dict[str, Part] = {}
        if self._mesh:
            found = {one["name"]: Part.EVERY_RULE for one in self.nodes if one["name"] != source}
        else:
            found = dict(self._followed(kind, place))
        numbers = sorted((self._number[name] - own) % len(self.nodes) for name in found)
        nodes = [self.nodes[(number + own) % len(self.nodes)] for number in numbers]
        return [(node, found[node["name"]]) for node in nodes]

    def _followed(self, kind: str, place: int) -> Iterator[tuple[str, Part]]:
        """Yield the destinations that the source at a place of its ring follows."""
        size = len(self._rings[kind])
        for group in NODE_GROUPS:
            # Nobody follows itself.
            first, most = (1, size - 1) if group == kind else (0, size)
            ring = self._rings[group]
            # Few destinations stand as far apart in a large ring as nobody has to follow two.
            step = size // len(ring) if ring and size // len(ring) >= self._wanted else 1
            for turn in range(min(self._wanted, most)):
                for position in range((place - first - turn) % size, len(ring) * step, size):
                    number, between = divmod(position, step)
                    if between == 0:
                        every = turn < self._share(kind, group, number)
                        yield ring[number], Part.EVERY_RULE if every else Part.DISTINCT_RULES

    def _share(self, kind: str, group: str, number: int) -> int:
        """Return how many sources of a kind prove every rule at a destination.

        Servers and agents together are as many as wanted. One is of the kind of which there are
        fewer, as long as that takes none of them to more destinations than a full mesh may have.
        """
        if kind == EXTERNAL:
            return self._wanted
        few, many = sorted(NODE_GROUPS, key=lambda one: len(self._rings[one]))
        available = {one: len(self._rings[one]) - (1 if one == group else 0) for one in NODE_GROUPS}
        in_reach = self._wanted > 1 and number < self._full_mesh_max * len(self._rings[few])
        of_many = min(available[many], self._wanted - min(available[few], 1 if in_reach else 0))
        return of_many if kind == many else min(available[few], self._wanted - of_many)
