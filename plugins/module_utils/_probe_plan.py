# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the topology to what has to be proved: which ports from whom to whom. Pure functions."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TypedDict

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._topology import (
    EXTERNAL,
    NODE_GROUPS,
    Node,
    Row,
    Topology,
)

OPEN = "open"
CLOSED = "closed"
CONTROLLER = "external"
"""The name of the controller as a source, where it probes as a client outside."""
# Of a larger range so many ports between its ends; one that is no larger is probed whole.
_SAMPLE_SIZE = 16


class Expectation(TypedDict):
    """What one source shall see of one row at one destination.

    C(ports) are the ports to probe, in order; the row has C(size) of them.
    """

    source: str
    destination: str
    address: str
    protocol: str
    rule: str
    expected: str
    ports: list[int]
    size: int


class Target(TypedDict):
    """What the prober of one source is told: ports as texts such as C(10000-30000)."""

    destination: str
    address: str
    protocol: str
    ports: list[str]


class Listener(TypedDict):
    """What the listener of one destination is told: ports as texts such as C(10000-30000)."""

    address: str
    protocol: str
    ports: list[str]


def expectations(
    topology: Topology, source: str, participants: Collection[str], coverage: str, seed: str
) -> list[Expectation]:
    """Return what a source shall see of every participating node but itself.

    C(source) is a node, one of the external clients, or CONTROLLER.
    """
    kind = EXTERNAL
    for node in topology["nodes"]:
        if node["name"] == source:
            kind = node["group"]
    result: list[Expectation] = []
    for node in topology["nodes"]:
        if node["name"] == source or node["name"] not in participants:
            continue
        for address, expected, row, intervals in _rows(topology, node, kind):
            ports = _chosen(row, expected, intervals, coverage, seed)
            result.append(
                Expectation(
                    source=source,
                    destination=node["name"],
                    address=address,
                    protocol=row["protocol"],
                    rule=row["name"],
                    expected=expected,
                    ports=ports,
                    size=_ports.size(intervals),
                )
            )
    return result


def targets(expected: Sequence[Expectation]) -> list[Target]:
    """Return what a source has to probe, each port of an address once."""
    grouped: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for one in expected:
        grouped[one["destination"], one["address"], one["protocol"]].update(one["ports"])
    return [
        Target(
            destination=destination, address=address, protocol=protocol, ports=texts(sorted(ports))
        )
        for (destination, address, protocol), ports in grouped.items()
    ]


def listeners(
    topology: Topology, name: str, kinds: Collection[str], coverage: str, seed: str
) -> list[Listener]:
    """Return where a node has to listen to answer every source of these kinds.

    That includes the ports that shall be closed: only a port that answers shows a firewall that
    lets one in.
    """
    grouped: dict[tuple[str, str], set[int]] = defaultdict(set)
    for node in topology["nodes"]:
        if node["name"] != name:
            continue
        for kind in kinds:
            for address, expected, row, intervals in _rows(topology, node, kind):
                ports = _chosen(row, expected, intervals, coverage, seed)
                grouped[address, row["protocol"]].update(ports)
    return [
        Listener(address=address, protocol=protocol, ports=texts(sorted(ports)))
        for (address, protocol), ports in sorted(grouped.items())
    ]


def kinds(topology: Topology, sources: Collection[str]) -> list[str]:
    """Return which kinds of source are among these names."""
    found = {node["group"] for node in topology["nodes"] if node["name"] in sources}
    names = {node["name"] for node in topology["nodes"]}
    if set(sources) - names:
        found.add(EXTERNAL)
    return sorted(found)


def sample(intervals: Sequence[_ports.Interval], coverage: str, seed: str) -> list[int]:
    """Return the ports of these intervals to probe, sorted.

    A small range is probed whole; of a larger one both ends and a sample, which is the same for
    the same seed, so that all sources and the listener agree on it.
    """
    ports: set[int] = set()
    for first, last in intervals:
        if coverage == "full" or last - first - 1 <= _SAMPLE_SIZE:
            ports.update(range(first, last + 1))
            continue
        chosen = random.Random(f"{seed} {first}").sample(range(first + 1, last), _SAMPLE_SIZE)
        ports.update((first, last, *chosen))
    return sorted(ports)


def _chosen(
    row: Row, expected: str, intervals: Sequence[_ports.Interval], coverage: str, seed: str
) -> list[int]:
    # Each closed port costs a whole timeout, so full coverage is for what shall be open.
    return sample(intervals, coverage if expected == OPEN else "sample", f"{seed} {row['name']}")


def texts(ports: Sequence[int]) -> list[str]:
    """Return sorted ports as texts, consecutive ones as a range."""
    return [_ports.format_port(one) for one in _ports.merge((port, port) for port in ports)]


def _rows(
    topology: Topology, node: Node, kind: str
) -> list[tuple[str, str, Row, list[_ports.Interval]]]:
    """Return (address, expected, row, intervals) for each row that a kind of source can prove."""
    address = node["address"]
    if kind == EXTERNAL:
        if node["external_address"] is None:
            return []
        address = node["external_address"]
    result = []
    rows = [row for row in topology["rows"] if node["group"] in row["destination"]]
    for row in rows:
        if kind in row["source"]:
            result.append((address, OPEN, row, [(row["first"], row["last"])]))
            continue
        if EXTERNAL in row["source"]:
            # Open to anyone outside, it is not closed to the nodes either.
            continue
        admitted = [
            (other["first"], other["last"])
            for other in rows
            if other["protocol"] == row["protocol"] and _admits(topology, node, other, kind)
        ]
        closed = _ports.subtract([(row["first"], row["last"])], admitted)
        if not closed:
            continue
        result.append((address, CLOSED, row, closed))
        if kind == EXTERNAL and address != node["address"]:
            # From outside, the cluster's network must not be reachable by its own address either.
            result.append((node["address"], CLOSED, row, closed))
    return result


def _admits(topology: Topology, node: Node, row: Row, kind: str) -> bool:
    if kind in row["source"]:
        return True
    if EXTERNAL in row["source"] and node["mode"] == "shared":
        # Clients come in by the same NIC, so the nodes may well be among those that it admits.
        return True
    # As a plain port in the zone of the NIC, it is open to whoever reaches that NIC.
    plain = not topology["restrict_sources"] and any(one in row["source"] for one in NODE_GROUPS)
    return plain and (kind in NODE_GROUPS or node["mode"] == "shared")
