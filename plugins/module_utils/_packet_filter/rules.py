# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of packet filters, and what they do with a packet. Pure functions.

A condition applies (True), does not apply (False), or may apply (None): only part of the packets
have what it asks for, or it is of a kind that is not evaluated.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional, TypedDict, Union

ACCEPT, DROP, JUMP, GOTO, RETURN, UNKNOWN = "accept", "drop", "jump", "goto", "return", "unknown"
VERDICTS = (ACCEPT, DROP, JUMP, GOTO, RETURN, UNKNOWN)
LOOPBACK = "lo"
OWN = ""
"""The interface at which a packet of the host itself has arrived: none."""

# Jumps of the kernel's limit; and the cost of all rules that are compared with a packet: one for
# each rule, and one for each 50 of its values. A node that lies may return chains whose rules jump
# from each to each.
_DEPTH = 16
_BUDGET = 3000
_VALUES = 50

Match = Optional[bool]


class Rule(TypedDict, total=False):
    """One rule. A condition that is missing applies to each packet."""

    verdict: str
    """One of VERDICTS; C(unknown) may drop, as a queue to a program does."""
    target: str
    """The chain of a jump or goto."""
    text: str
    """As nft or iptables-save print it."""
    handle: int
    """nft's number of the rule, 0 with iptables."""
    owner: str
    """The software that made the rule, if it is known."""
    sources: list[str]
    """Networks, as C(destinations)."""
    destinations: list[str]
    inputs: list[str]
    """Interfaces, as C(outputs); a name that ends in C(*) is a prefix."""
    outputs: list[str]
    protocols: list[str]
    ports: list[list[int]]
    """Ranges of destination ports, first and last."""
    states: list[str]
    """States of conntrack."""
    local: bool
    """Whether the destination is an address of the host."""
    negated: list[str]
    """Names of those conditions above that are inverted."""
    partial: bool
    """Whether there are further conditions, which are not evaluated."""


CONDITIONS = ("sources", "destinations", "inputs", "outputs", "protocols", "ports", "states")
Rules = Mapping[str, Sequence[Rule]]
"""The rules of each chain, by the chain's name."""


class Packet(NamedTuple):
    """A packet, or several: a network of sources, a range of ports, any of several interfaces."""

    source: str
    """An address or network, as C(destination)."""
    destination: str
    protocol: str = "tcp"
    first: int = 0
    last: int = 65535
    """The last of the destination ports."""
    inputs: tuple[str, ...] = ()
    """The interface that it arrives at, one of these; empty if unknown, but not the loopback."""
    outputs: tuple[str, ...] = ()
    state: str = "new"
    """The state that conntrack gives it, empty for any."""
    local: Match = None
    """Whether its destination is an address of the host."""


class Hit(NamedTuple):
    """A rule that drops the packet. C(rule) is None for the policy of the base chain."""

    chain: str
    rule: Optional[Rule]
    unconditional: bool
    """Whether it drops each such packet that no earlier rule accepts."""


class Fate(NamedTuple):
    """What becomes of a packet in a base chain."""

    dropped: Optional[Hit]
    """By which rule the packet is dropped for certain."""
    possible: list[Hit]
    """Which rules may drop it, or some of several packets, in their order."""


def fate(rules: Rules, chain: str, policy: str, packet: Packet) -> Fate:
    """Return what becomes of a packet in a base chain."""
    walk = _Walk(rules, packet)
    passes = walk.through(chain, True, True, 0)
    if passes is not False and policy == DROP:
        walk.hit(Hit(chain, None, True), passes is True)
    return Fate(walk.dropped, walk.possible)


class _Walk:
    """Takes a packet through chains, and collects the rules that drop it."""

    def __init__(self, rules: Rules, packet: Packet) -> None:
        self.dropped: Optional[Hit] = None
        self.possible: list[Hit] = []
        self._rules = rules
        self._packet = packet
        self._left = _BUDGET

    def hit(self, hit: Hit, certain: bool) -> None:
        """Note a rule that drops the packet."""
        if not certain:
            self.possible.append(hit)
        elif self.dropped is None:
            self.dropped = hit

    def through(self, chain: str, certain: bool, unconditional: bool, depth: int) -> Match:
        """Return whether a packet that enters a chain comes back to the caller.

        C(certain) is whether it enters the chain for certain, C(unconditional) whether it does if
        no earlier rule accepts it.
        """
        # Whether it may have ended, or come back, at an earlier rule.
        ended = returned = False
        for rule in self._rules.get(chain, ()):
            self._left -= 1 + _values(rule) // _VALUES
            if self._left < 0 or depth > _DEPTH:
                self.hit(Hit(chain, rule, False), False)
                return None
            match = matches(rule, self._packet)
            if match is False:
                continue
            hit = Hit(chain, rule, unconditional and match is True)
            here = certain and match is True and not (ended or returned)
            passes = self._apply(hit, rule, here, depth)
            returns = rule["verdict"] in (RETURN, GOTO)
            if match is True and passes is False:
                return None if returned else False
            if match is True and returns:
                return None if ended or passes is None else True
            ended = ended or passes is not True
            returned = returned or (returns and passes is not False)
        return None if ended else True

    def _apply(self, hit: Hit, rule: Rule, certain: bool, depth: int) -> Match:
        """Return whether a packet that meets a rule is still under way after its verdict."""
        verdict = rule["verdict"]
        if verdict == RETURN:
            return True
        if verdict in (JUMP, GOTO):
            return self.through(rule.get("target", ""), certain, hit.unconditional, depth + 1)
        if verdict == DROP:
            self.hit(hit, certain)
        if verdict == UNKNOWN:
            self.hit(hit._replace(unconditional=False), False)
            return None
        return False


def _values(rule: Rule) -> int:
    """Return how many values a rule compares a packet with."""
    lists: list[Any] = [rule.get(name, ()) for name in CONDITIONS]
    return sum(map(len, lists))


def matches(rule: Rule, packet: Packet) -> Match:
    """Return whether a packet meets the conditions of a rule."""
    result: Match = None if rule.get("partial") else True
    negated = rule.get("negated", ())
    for name, test in _TESTS.items():
        if name not in rule:
            continue
        match = test(rule, packet)
        if name in negated and match is not None:
            match = not match and _of_family(rule, name, packet)
        if match is False:
            return False
        if match is None:
            result = None
    return result


def _of_family(rule: Rule, name: str, packet: Packet) -> bool:
    """Return whether a rule that names addresses is about packets of this family."""
    if name not in ("sources", "destinations"):
        return True
    own = network(packet.source)
    named = [network(one) for one in rule[name]]  # type: ignore[literal-required]
    return not named or any(own and one and own.version == one.version for one in named)


def _of_sources(rule: Rule, packet: Packet) -> Match:
    return _in_networks(packet.source, rule["sources"])


def _of_destinations(rule: Rule, packet: Packet) -> Match:
    return _in_networks(packet.destination, rule["destinations"])


def _of_inputs(rule: Rule, packet: Packet) -> Match:
    return _in_names(packet.inputs, rule["inputs"])


def _of_outputs(rule: Rule, packet: Packet) -> Match:
    return _in_names(packet.outputs, rule["outputs"])


def _of_protocols(rule: Rule, packet: Packet) -> Match:
    return packet.protocol in rule["protocols"]


def _of_ports(rule: Rule, packet: Packet) -> Match:
    ranges = rule["ports"]
    if any(first <= packet.first and packet.last <= last for first, last in ranges):
        return True
    overlap = any(first <= packet.last and packet.first <= last for first, last in ranges)
    return None if overlap else False


def _of_states(rule: Rule, packet: Packet) -> Match:
    return packet.state in rule["states"] if packet.state else None


def _of_local(rule: Rule, packet: Packet) -> Match:
    return None if packet.local is None else packet.local == rule["local"]


_TESTS: dict[str, Callable[[Rule, Packet], Match]] = {
    "sources": _of_sources,
    "destinations": _of_destinations,
    "inputs": _of_inputs,
    "outputs": _of_outputs,
    "protocols": _of_protocols,
    "ports": _of_ports,
    "states": _of_states,
    "local": _of_local,
}


def _in_networks(text: str, networks: Iterable[str]) -> Match:
    own = network(text)
    result: Match = False
    for one in networks:
        other = network(one)
        if own is None or other is None:
            result = None
        elif own.version == other.version and own.overlaps(other):
            if own.prefixlen >= other.prefixlen:
                return True
            result = None
    return result


def _in_names(names: Sequence[str], patterns: Sequence[str]) -> Match:
    if not names:
        return None if any(one != LOOPBACK for one in patterns) else False
    found = {any(_is_named(name, one) for one in patterns) for name in names}
    return None if len(found) > 1 else found.pop()


def _is_named(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


@functools.lru_cache(maxsize=4096)
def network(text: str) -> Optional[Union[ipaddress.IPv4Network, ipaddress.IPv6Network]]:
    """Return an address or network, None if the text is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
