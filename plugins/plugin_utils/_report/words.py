# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says whom failures concern by what a reader knows hosts and ports as. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from .._topology.model import Topology
from .causes import Cause, Scope, scopes
from .evaluate import Check
from .text import plural, some


class Order:
    """A sort key that puts names in the order of the topology."""

    def __init__(self, topology: Topology) -> None:
        self._order = {node["name"]: number for number, node in enumerate(topology["nodes"])}

    def __call__(self, name: str) -> int:
        return self._order.get(name, len(self._order))


class Describer:
    """Calls hosts and ports by what a reader knows them as."""

    def __init__(self, checks: Iterable[Check], topology: Topology) -> None:
        self._order = Order(topology)
        nodes = topology["nodes"]
        self._groups = {
            "nodes": [node["name"] for node in nodes],
            "servers": [node["name"] for node in nodes if node["group"] == "server"],
            "agents": [node["name"] for node in nodes if node["group"] == "agent"],
        }
        self._all = Counter(
            (check["source"], check["destination"], expected)
            for check in checks
            # An empty one stands for both, as in Cause.
            for expected in (check["expected"], "")
        )

    def hosts(self, names: Collection[str], apart: Collection[str] = ()) -> str:
        """Return a short text for these names; C(apart) could not be among them."""
        outside = sorted(set(names) - set(self._groups["nodes"]))
        inside = set(names) - set(outside)
        if len(inside) > 3:
            for word, members in self._groups.items():
                missing = [name for name in members if name not in inside and name not in apart]
                if inside <= set(members) and len(missing) <= min(2, len(members) // 4):
                    but = f" but {' and '.join(missing)}" if missing else ""
                    before = f"{some(outside, 2)} and " if outside else ""
                    return f"{before}all {len(members)} {word}{but}"
        return some([*sorted(inside, key=self._order), *outside], 4)

    def cause(self, cause: Cause, limit: int) -> list[tuple[str, str]]:
        """Return from whom to whom, and which rules; the last of them stands for the rest."""
        found = scopes(cause.checks)
        shown = found if len(found) <= limit else found[: limit - 1]
        texts = [(self._pairs(scope), self._missed(scope, cause)) for scope in shown]
        rest = found[len(shown) :]
        if rest:
            sources = self.hosts({name for scope in rest for name in scope.sources})
            destinations = self.hosts({name for scope in rest for name in scope.destinations})
            count = plural(sum(scope.count for scope in rest), "check")
            texts.append((f"{sources} -> {destinations}", f"{count} more"))
        return texts

    def _pairs(self, scope: Scope) -> str:
        sources, destinations = scope.sources, scope.destinations
        # A node does not probe itself.
        if len(sources) > 1 and set(sources) == set(destinations):
            return f"{self.hosts(sources)} -> each other"
        return (
            self.hosts(sources, destinations if len(destinations) == 1 else ())
            + " -> "
            + self.hosts(destinations, sources if len(sources) == 1 else ())
        )

    def _missed(self, scope: Scope, cause: Cause) -> str:
        """Return rules with their ports, such as C(etcd 2379-2380/tcp)."""
        rules: dict[str, list[str]] = {}
        for rule, port, protocol in scope.ports:
            rules.setdefault(rule, []).append(f"{port}/{protocol}")
        if len(rules) > 3 and all(
            self._all[source, destination, cause.expected] == len(scope.ports)
            for source in scope.sources
            for destination in scope.destinations
            if source != destination
        ):
            return f"all {len(rules)} rules"
        return some([f"{rule} {some(ports, 4)}" for rule, ports in rules.items()], 12)
