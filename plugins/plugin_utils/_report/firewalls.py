# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nodes returned about their firewalls, validated. Pure functions.

A node may return anything: values of a wrong type count as absent, and texts are cut and cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.chains import Chain

from .._answers.values import clean
from .._packet_filter import read_chains, read_texts
from .sources import Ipset, contains, first_match

_MOST = 200
_LENGTH = 300
_LONG = 1500

RUNTIME = "runtime"
_CONFIGURATIONS = ("permanent", RUNTIME)
_KINDS = ("ipset", "zone", "policy", "interface", "ports")
_STATES = ("missing", "unwanted", "different")
# See firewalld.richlanguage(5).
_ACTION = re.compile(r" (?:accept|drop|reject)\b")
_PORT = re.compile(r'(?<!source-)port port="([0-9-]+)" protocol="(\w+)"')
_PROTOCOL = re.compile(r'protocol value="(\w+)"')
_SOURCE = re.compile(r'source (NOT )?address="([^"]+)"')
_FAMILY = re.compile(r'^rule (?:priority="[-0-9]+" )?family="(ipv[46])"')
# Elements of which a rule has one, and which no check sends.
_NOT_PROBED = re.compile(r" (?:icmp-type|icmp-block|forward-port|masquerade)\b")
# What decides whether these match is not in the rule.
_ELSEWHERE = re.compile(r' (?:service name|source ipset|source NOT ipset|source mac)="')


@dataclass(frozen=True)
class Difference:
    """An object of firewalld that is not as the topology wants it."""

    configuration: str
    kind: str
    name: str
    state: str
    settings: tuple[str, ...] = ()
    zone: str = ""
    missing_zones: tuple[str, ...] = ()
    """The ingress zones that a policy lacks, if it differs in nothing else."""


@dataclass(frozen=True)
class Zone:
    """An active zone, or the default zone."""

    interfaces: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    target: str = "default"


@dataclass(frozen=True)
class Policy:
    """A policy of the user for packets to the host."""

    target: str
    priority: int
    ingress_zones: tuple[str, ...]


@dataclass(frozen=True)
class Opening:
    """Ports that a zone or policy of the user opens."""

    kind: str
    name: str
    option: str
    ports: tuple[str, ...]

    def opens(self, port: int, protocol: str) -> bool:
        """Return whether a port is among them."""
        for text in self.ports:
            interval, _slash, its_protocol = text.partition("/")
            try:
                first, last = _ports.parse_port(interval)
            except ValueError:
                continue
            if its_protocol == protocol and first <= port <= last:
                return True
        return False


@dataclass(frozen=True)
class RichRule:
    """A rich rule of a zone or policy of the user."""

    kind: str
    name: str
    text: str

    @property
    def accepts(self) -> bool:
        """Return whether it admits packets; it drops or rejects them otherwise."""
        found = _ACTION.search(_unquoted(self.text))
        return found is not None and found[0] == " accept"

    @property
    def is_certain(self) -> bool:
        """Return whether matches() is true only if it matches."""
        return _ELSEWHERE.search(self.text) is None

    def matches(
        self, port: int, protocol: str, source_address: Optional[str], version: int
    ) -> bool:
        """Return whether it may match a packet of an IP version.

        Services, ipsets and MAC addresses are taken to match.
        """
        if _ACTION.search(_unquoted(self.text)) is None or _NOT_PROBED.search(self.text):
            return False
        family = _FAMILY.search(self.text)
        if family is not None and family[1] != f"ipv{version}":
            return False
        ports = _PORT.search(self.text)
        if ports is not None:
            opening = Opening(self.kind, self.name, "", (f"{ports[1]}/{ports[2]}",))
            if not opening.opens(port, protocol):
                return False
        only = _PROTOCOL.search(self.text)
        if only is not None and only[1] != protocol:
            return False
        source = _SOURCE.search(self.text)
        if source is None or source_address is None:
            return True
        return contains(source[2], source_address) is not bool(source[1])


@dataclass(frozen=True)
class Firewall:
    """What one node returned."""

    problem: str = ""
    """Why firewalld could not be read."""
    version: str = ""
    """firewalld's, such as C(1.3.3)."""
    running: bool = False
    prepared: bool = False
    refused: str = ""
    differences: tuple[Difference, ...] = ()
    default_zone: str = ""
    zones: Mapping[str, Zone] = field(default_factory=dict)
    ipsets: Mapping[str, Ipset] = field(default_factory=dict)
    """Those of the user that are sources of zones."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    openings: tuple[Opening, ...] = ()
    rich_rules: tuple[RichRule, ...] = ()
    packet_filters: tuple[Chain, ...] = ()
    """Base chains of other software that can drop packets."""
    unknown: tuple[str, ...] = ()
    """Which packet filters could not be read, and why."""
    strict_forward_ports: bool = False
    """Whether firewalld rejects the ports that K3s publishes."""
    kubernetes: tuple[str, ...] = ()
    overlay_interfaces: Mapping[str, bool] = field(default_factory=dict)
    udp_ports: frozenset[int] = frozenset()

    @property
    def major(self) -> Optional[int]:
        """Return the first number of firewalld's version, None if it is not known."""
        found = re.match(r"[0-9]{1,3}(?=[.])", self.version)
        return int(found[0]) if found else None

    def zone_of(self, interface: Optional[str]) -> str:
        """Return the zone that holds an interface in the runtime configuration."""
        for name, zone in self.zones.items():
            if interface and interface in zone.interfaces:
                return name
        return self.default_zone

    def zone_of_source(self, address: str) -> tuple[str, str]:
        """Return the zone that has an address by one of its sources, and that source.

        Both are empty if there is none, or none for certain.
        """
        for name, zone in self.zones.items():
            source, match = first_match(zone.sources, address, self.ipsets)
            if match:
                return name, source
        return "", ""

    def possible_zones_of_source(self, address: str) -> Iterator[tuple[str, str]]:
        """Yield the zones that may have an address by one of its sources, and that source.

        Whether the source has the address depends on what is not known, such as its MAC address.
        """
        for name, zone in self.zones.items():
            source, match = first_match(zone.sources, address, self.ipsets)
            if match:
                return
            if match is None:
                yield name, source


def _unquoted(text: str) -> str:
    """Return a rich rule without its values: the prefix of a log may be any text."""
    return re.sub(r'"[^"]*"', '""', text)


def read(result: Any) -> Optional[Firewall]:
    """Return what a node's port_listener returned, None if it did not read the firewall."""
    result = _mapping(result, "firewall") if isinstance(result, Mapping) else {}
    if not isinstance(result.get("overlay"), Mapping):
        return None
    firewalld = _mapping(result, "firewalld")
    overlay = _mapping(result, "overlay")
    return Firewall(
        problem=_text(result.get("problem"), _LONG),
        version=_text(firewalld.get("version")),
        running=firewalld.get("running") is True,
        prepared=firewalld.get("prepared") is True,
        refused=_text(firewalld.get("refused"), _LONG),
        differences=tuple(_differences(firewalld)),
        default_zone=_text(firewalld.get("default_zone")),
        zones={
            _text(name): Zone(
                _texts(zone, "interfaces"), _texts(zone, "sources"), _text(zone.get("target"))
            )
            for name, zone in list(_mapping(firewalld, "zones").items())[:_MOST]
            if isinstance(zone, Mapping)
        },
        ipsets={
            _text(name): Ipset(
                _text(one.get("type")), _texts(one, "entries"), one.get("complete") is True
            )
            for name, one in list(_mapping(firewalld, "ipsets").items())[:_MOST]
            if isinstance(one, Mapping)
        },
        policies={
            _text(name): Policy(
                _text(policy.get("target")),
                policy["priority"] if isinstance(policy.get("priority"), int) else 0,
                _texts(policy, "ingress_zones"),
            )
            for name, policy in list(_mapping(firewalld, "policies").items())[:_MOST]
            if isinstance(policy, Mapping)
        },
        openings=tuple(
            Opening(
                _text(one.get("object")),
                _text(one.get("name")),
                _text(one.get("option")),
                _texts(one, "ports"),
            )
            for one in _dictionaries(firewalld, "openings")
        ),
        rich_rules=tuple(
            RichRule(_text(one.get("object")), _text(one.get("name")), _text(one.get("rule")))
            for one in _dictionaries(firewalld, "rich_rules")
        ),
        packet_filters=tuple(read_chains(result.get("packet_filters"))),
        unknown=tuple(read_texts(result.get("packet_filters_unknown"))),
        strict_forward_ports=result.get("strict_forward_ports") is True,
        kubernetes=_texts(overlay, "kubernetes"),
        overlay_interfaces={
            _text(name): up is True
            for name, up in list(_mapping(overlay, "interfaces").items())[:_MOST]
        },
        udp_ports=frozenset(
            port
            for port in _list(overlay, "udp_ports", 1000)
            if isinstance(port, int) and not isinstance(port, bool)
        ),
    )


def _differences(firewalld: Mapping[str, Any]) -> Iterator[Difference]:
    for one in _dictionaries(firewalld, "differences"):
        words = (one.get("configuration"), one.get("kind"), one.get("state"))
        if words[0] in _CONFIGURATIONS and words[1] in _KINDS and words[2] in _STATES:
            yield Difference(
                configuration=str(words[0]),
                kind=str(words[1]),
                name=_text(one.get("name")),
                state=str(words[2]),
                settings=_texts(one, "settings"),
                zone=_text(one.get("zone")),
                missing_zones=_texts(one, "missing_zones"),
            )


def _text(value: Any, length: int = _LENGTH) -> str:
    return clean(value[:length]) if isinstance(value, str) else ""


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_text(one) for one in _list(data, key, _MOST) if isinstance(one, str))


def _list(data: Mapping[str, Any], key: str, most: int) -> list[Any]:
    value = data.get(key)
    return value[:most] if isinstance(value, list) else []


def _dictionaries(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [one for one in _list(data, key, _MOST) if isinstance(one, Mapping)]


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}
