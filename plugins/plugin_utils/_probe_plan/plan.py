# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the topology to what has to be proved: which ports from whom to whom. Pure functions."""

from __future__ import annotations

import base64
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypedDict

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports

from .._packed import pack, unpack
from .._topology.model import (
    EXTERNAL,
    NODE_GROUPS,
    Node,
    Rule,
    Topology,
)
from . import rounds as probe_plan_rounds
from .pairs import Pairs, Part

SAMPLE = "sample"
FULL = "full"
OPEN = "open"
CLOSED = "closed"
CONTROLLER = "external"
"""The name of the controller as a source, where it probes as a client outside."""
_Where = tuple[bool, str]
"""Whether at the external address, and the protocol."""
# Of a larger range so many ports between its ends; one that is no larger is probed whole.
_SAMPLE_SIZE = 16
_LEASE_SECONDS = 120.0
_LEASE_SECONDS_PER_HOST = 4.0
# Ansible runs a task on as many hosts at once as it has forks, and a round takes this long at most.
_LEASE_SECONDS_PER_BATCH = 30.0


class Expectation(TypedDict):
    """What one source shall see of one rule at one destination.

    C(ports) are the ports to probe, in order; the rule has C(size) of them.
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
    """What the prober of one source is told: ports as texts such as C(10000-30000).

    C(full_size) holds in the cluster's network, whose MTU is that of its nodes.
    """

    destination: str
    address: str
    protocol: str
    ports: list[str]
    full_size: bool


class Listener(TypedDict):
    """What the listener of one destination is told: ports as texts such as C(10000-30000).

    C(services) are those of C(ports) on which a service is meant to listen: a large range has room
    for processes that keep to themselves.
    """

    address: str
    protocol: str
    ports: list[str]
    services: list[str]


class HostPart(TypedDict):
    """What one host does in a run; C(targets) are those of each round.

    C(listen) is false if services answer the probes. C(lease) is in seconds.
    """

    token: str
    listen: bool
    lease: float
    listeners: list[Listener]
    targets: list[list[Target]]


@dataclass(frozen=True)
class Settings:
    """What holds for a whole run, the same for every host.

    C(sources) are the names of all that probe: nodes, external clients, CONTROLLER. C(mode) is
    C(auto), C(listen) or C(live). Only hosts that know C(token) answer for each other.
    """

    sources: Sequence[str]
    coverage: str
    seed: str
    full_mesh_max: int = 30
    sources_per_destination: int = 3
    rounds: int = 1
    mode: str = "auto"
    token: str = ""
    forks: int = 5

    def __post_init__(self) -> None:
        if self.full_mesh_max < 0:
            raise ValueError(
                f"k3s_connectivity_full_mesh_max is {self.full_mesh_max}; give a number of nodes"
            )
        if self.sources_per_destination < 1:
            raise ValueError(
                "k3s_connectivity_sources_per_destination is "
                f"{self.sources_per_destination}; give a number of at least 1"
            )


@dataclass(frozen=True)
class _Shape:
    """What nodes have in common that the rules treat alike."""

    group: str
    mode: str
    external: bool
    """Whether it has an external address."""
    apart: bool
    """Whether that is another than its address in the cluster."""


@dataclass(frozen=True)
class _Proof:
    """What is to be seen of a rule; C(outside) says at which of the destination's addresses."""

    outside: bool
    expected: str
    rule: Rule
    intervals: list[_ports.Interval]
    ports: list[int] = field(compare=False)
    """Those of the intervals."""
    size: int


class Plan:
    """What has to be proved in a run. What nodes of a shape share is worked out once."""

    @classmethod
    def from_text(cls, text: str) -> Plan:
        """Return the plan that to_text() has written."""
        data = unpack(text.partition("\n")[0])
        return cls(data["topology"], Settings(**data["settings"]))

    def to_text(self) -> str:
        """Return the plan in lines: the whole, and then the part of each host.

        A host's own line spares it the rest, so that a run of many hosts takes no more for each.
        No line has braces, which templates would take for a structure.
        """
        whole = {"topology": self.topology, "settings": asdict(self.settings)}
        names = dict.fromkeys([*self.sources(), *(node["name"] for node in self.topology["nodes"])])
        return "\n".join(
            [pack(whole), *(f"{_line_of(name)}{pack(self.part(name))}" for name in names)]
        )

    def part(self, name: str) -> HostPart:
        """Return what one host does in a run."""
        rounds = range(1, self.settings.rounds + 1)
        return HostPart(
            token=self.settings.token,
            listen=self.settings.mode != "live",
            lease=self.lease(),
            listeners=self.listeners(name),
            targets=[self.targets(name, number) for number in rounds],
        )

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology = topology
        self.settings = settings
        self._pairs = Pairs(
            topology,
            settings.sources,
            settings.seed,
            settings.full_mesh_max,
            settings.sources_per_destination,
        )
        self._whole: dict[tuple[_Shape, str], list[_Proof]] = {}
        self._parts: dict[tuple[_Shape, str, Part], list[_Proof]] = {}
        self._merged: dict[tuple[_Shape, str, Part], dict[_Where, list[_ports.Interval]]] = {}

    def sources(self) -> list[str]:
        """Return who probes: nodes in the order of the topology, then those outside."""
        return self._pairs.sources()

    def expectations(self, source: str) -> list[Expectation]:
        """Return what a source shall see of its destinations, in the order of the topology."""
        kind = self._pairs.kind(source)
        found = {node["name"]: part for node, part in self._pairs.destinations(source)}
        return [
            Expectation(
                source=source,
                destination=node["name"],
                address=_address(node, proof.outside),
                protocol=proof.rule["protocol"],
                rule=proof.rule["name"],
                expected=proof.expected,
                ports=proof.ports,
                size=proof.size,
            )
            for node in self._pairs.nodes
            if node["name"] in found
            for proof in self._proofs(_shape(node), kind, found[node["name"]])
        ]

    def targets(self, source: str, number: int = 1) -> list[Target]:
        """Return what a source probes in a round, from 1 on, each port of an address once."""
        kind = self._pairs.kind(source)
        work = [
            ((node, outside, protocol), intervals)
            for node, part in self._pairs.destinations(source)
            for (outside, protocol), intervals in self._work(_shape(node), kind, part).items()
        ]
        return [
            Target(
                destination=node["name"],
                address=_address(node, outside),
                protocol=protocol,
                ports=texts(intervals),
                full_size=kind != EXTERNAL and not outside,
            )
            for (node, outside, protocol), intervals in probe_plan_rounds.part(
                work, number, self.settings.rounds
            )
        ]

    def in_rounds(self) -> Plan:
        """Return the same plan in as many rounds as the source with the most probes needs."""
        most = max((self._probes(source) for source in self.sources()), default=0)
        return Plan(self.topology, replace(self.settings, rounds=probe_plan_rounds.rounds(most)))

    def lease(self) -> float:
        """Return how many seconds listeners last without being renewed.

        Each round renews it; until then Ansible has to reach all hosts.
        """
        hosts = len(self.settings.sources)
        batches = -(-hosts // max(1, self.settings.forks))
        return _LEASE_SECONDS + _LEASE_SECONDS_PER_HOST * hosts + _LEASE_SECONDS_PER_BATCH * batches

    def listeners(self, name: str) -> list[Listener]:
        """Return where a node has to listen to answer the sources.

        That includes the ports that shall be closed: only a port that answers shows a firewall
        that lets one in.
        """
        kinds = {self._pairs.kind(source) for source in self.sources()}
        grouped: dict[tuple[str, str], list[_ports.Interval]] = defaultdict(list)
        services: dict[tuple[str, str], list[_ports.Interval]] = defaultdict(list)
        for node in self.topology["nodes"]:
            if node["name"] != name:
                continue
            for kind in kinds:
                for proof in self._proofs(_shape(node), kind, Part.EVERY_RULE):
                    where = _address(node, proof.outside), proof.rule["protocol"]
                    grouped[where] += proof.intervals
                    if proof.expected == OPEN and proof.size <= _SAMPLE_SIZE:
                        services[where] += proof.intervals
        return [
            Listener(
                address=address,
                protocol=protocol,
                ports=texts(_ports.merge(intervals)),
                services=texts(_ports.merge(services[address, protocol])),
            )
            for (address, protocol), intervals in sorted(grouped.items())
        ]

    def _probes(self, source: str) -> int:
        kind = self._pairs.kind(source)
        return sum(
            _ports.size(intervals)
            for node, part in self._pairs.destinations(source)
            for intervals in self._work(_shape(node), kind, part).values()
        )

    def _work(self, shape: _Shape, kind: str, part: Part) -> dict[_Where, list[_ports.Interval]]:
        """Return the ports to probe by address and protocol."""
        key = shape, kind, part
        if key not in self._merged:
            grouped: dict[_Where, list[_ports.Interval]] = defaultdict(list)
            for proof in self._proofs(*key):
                grouped[proof.outside, proof.rule["protocol"]] += proof.intervals
            self._merged[key] = {where: _ports.merge(all_) for where, all_ in grouped.items()}
        return self._merged[key]

    def _proofs(self, shape: _Shape, kind: str, part: Part) -> list[_Proof]:
        key = shape, kind, part
        if key not in self._parts:
            proofs = self._all(shape, kind)
            if part is Part.DISTINCT_RULES:
                (other,) = (group for group in NODE_GROUPS if group != kind)
                alike = self._all(shape, other)
                proofs = [proof for proof in proofs if proof not in alike]
            self._parts[key] = proofs
        return self._parts[key]

    def _all(self, shape: _Shape, kind: str) -> list[_Proof]:
        key = shape, kind
        if key not in self._whole:
            proofs = []
            for outside, expected, rule, intervals in _rules(self.topology, shape, kind):
                chosen = self._chosen(rule, expected, intervals)
                ports = [port for first, last in chosen for port in range(first, last + 1)]
                size = _ports.size(intervals)
                proofs.append(_Proof(outside, expected, rule, chosen, ports, size))
            self._whole[key] = proofs
        return self._whole[key]

    def _chosen(
        self, rule: Rule, expected: str, intervals: Sequence[_ports.Interval]
    ) -> list[_ports.Interval]:
        # Each closed port costs a whole timeout, so full coverage is for what shall be open.
        coverage = self.settings.coverage if expected == OPEN else SAMPLE
        return sample(intervals, coverage, f"{self.settings.seed} {rule['name']}")


def part_of(text: str, name: str) -> HostPart:
    """Return a host's part of the text that to_text() has written.

    Raises KeyError if the plan has no such host.
    """
    begin = _line_of(name)
    start = text.find(f"\n{begin}")
    if start < 0:
        raise KeyError(name)
    line = text[start + 1 :].partition("\n")[0]
    part: HostPart = unpack(line[len(begin) :])
    return part


def _line_of(name: str) -> str:
    return f"{base64.b64encode(name.encode()).decode()} "


def sample(intervals: Iterable[_ports.Interval], coverage: str, seed: str) -> list[_ports.Interval]:
    """Return the ports of these intervals to probe, in the form of merge().

    A small range is probed whole; of a larger one both ends and a sample, which is the same for
    the same seed, so that all sources and the listener agree on it.
    """
    chosen: list[_ports.Interval] = []
    for first, last in intervals:
        if coverage == FULL or last - first - 1 <= _SAMPLE_SIZE:
            chosen.append((first, last))
            continue
        drawn = random.Random(f"{seed} {first}").sample(range(first + 1, last), _SAMPLE_SIZE)
        chosen += [(port, port) for port in (first, last, *drawn)]
    return _ports.merge(chosen)


def texts(intervals: Iterable[_ports.Interval]) -> list[str]:
    """Return intervals as texts."""
    return [_ports.format_port(one) for one in intervals]


def _shape(node: Node) -> _Shape:
    external = node["external_address"]
    return _Shape(
        node["group"], node["mode"], external is not None, external not in (None, node["address"])
    )


def _address(node: Node, outside: bool) -> str:
    return (node["external_address"] if outside else None) or node["address"]


def _rules(
    topology: Topology, shape: _Shape, kind: str
) -> list[tuple[bool, str, Rule, list[_ports.Interval]]]:
    """Return (outside, expected, rule, intervals) for each rule that a kind of source can prove.

    C(outside) is whether it is proved at the external address.
    """
    rules = [rule for rule in topology["rules"] if shape.group in rule["destination"]]
    result = []
    for outside in (False, True):
        if not _is_probed(shape, kind, outside):
            continue
        for rule in rules:
            if kind in rule["source"] and outside == (kind == EXTERNAL):
                result.append((outside, OPEN, rule, [(rule["first"], rule["last"])]))
                continue
            if EXTERNAL in rule["source"]:
                # Open to anyone outside, it is not closed to the nodes either.
                continue
            admitted = [
                (other["first"], other["last"])
                for other in rules
                if other["protocol"] == rule["protocol"]
                and _admits(topology, shape, other, kind, outside)
            ]
            closed = _ports.subtract([(rule["first"], rule["last"])], admitted)
            if closed:
                result.append((outside, CLOSED, rule, closed))
    return result


def _is_probed(shape: _Shape, kind: str, outside: bool) -> bool:
    """Tell whether a kind of source can prove something at the external or the cluster's address.

    From outside, the cluster's network must not be reachable by its own address either. Nor must
    nodes reach each other's ports by the NIC for clients, where that is another.
    """
    if kind == EXTERNAL:
        return shape.external and (outside or shape.apart)
    return not outside or (shape.apart and shape.mode == "segregated")


def _admits(topology: Topology, shape: _Shape, rule: Rule, kind: str, outside: bool) -> bool:
    if EXTERNAL in rule["source"] and (kind == EXTERNAL or outside or shape.mode == "shared"):
        # Clients come in by the same NIC, so the nodes may well be among those that it admits.
        return True
    if kind in NODE_GROUPS and outside:
        return False
    if kind in rule["source"]:
        return True
    # As a plain port in the zone of the NIC, it is open to whoever reaches that NIC, as a client
    # might who is in the cluster's network as well.
    plain = not topology["restrict_sources"] and any(one in rule["source"] for one in NODE_GROUPS)
    return plain and (shape.mode == "shared" or not outside)
