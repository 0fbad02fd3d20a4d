# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a new connection meets a condition of a firewalld rule. Pure functions."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

from .model import Settings
from .rich_rules import RichRule, operand_of, port_of

Match = Optional[bool]
"""None where what is given does not tell."""
# Elements of rich rules that are no condition on the packet.
_NO_CONDITION = frozenset(
    "accept audit drop forward-port log mark masquerade nflog reject tcp-mss-clamp".split()
)


@dataclass(frozen=True)
class Configuration:
    """One firewalld configuration, the running or the permanent one, in normal settings.

    A NIC that no zone lists is in the default zone; the caller enters what NetworkManager binds.
    """

    default_zone: str
    zones: Mapping[str, Settings]
    policies: Mapping[str, Settings]
    ipsets: Mapping[str, Settings]
    services: Mapping[str, Settings]
    """Definitions by name. One that is missing is not known."""


@dataclass(frozen=True)
class Packet:
    """The packet that opens the connection."""

    configuration: Configuration
    address: Union[ipaddress.IPv4Address, ipaddress.IPv6Address, None]
    port: int

    def meets(self, rule: RichRule) -> Match:
        """Tell whether the packet meets the conditions of a rich rule, its limit aside."""
        matches: list[Match] = []
        for name, attributes in rule.elements.items():
            if name == "rule":
                matches.append(self.is_of(attributes.get("family", "")))
            elif name == "source":
                matches.append(self.comes_from(operand_of(attributes), "invert" in attributes))
            elif name == "destination":
                matches.append(self.may_go_to(operand_of(attributes)))
            elif name == "service":
                matches.append(self.serves(attributes.get("name", ""), in_rich_rule=True))
            elif name == "port":
                matches.append(self.goes_to(port_of(attributes)))
            elif name == "source-port":
                matches.append(of_tcp(port_of(attributes)))
            elif name == "protocol":
                matches.append(is_tcp(attributes.get("value", "")))
            elif name in ("icmp-block", "icmp-type"):
                matches.append(False)
            elif name not in _NO_CONDITION:
                matches.append(None)
        return all_of(matches)

    def is_of(self, family: str) -> Match:
        """Tell whether the packet is of a family such as C(ipv4)."""
        if not family:
            return True
        return None if self.address is None else family == f"ipv{self.address.version}"

    def comes_from(self, source: str, inverted: bool = False) -> Match:
        """Tell whether a source holds the packet; one of the other family never does."""
        held = self._addresses(source)
        if held is None or self.address is None:
            return None
        version, ranges = held
        number = int(self.address)
        inside = any(first <= number <= last for first, last in ranges)
        return version == self.address.version and inside != inverted

    def may_go_to(self, destination: str) -> Match:
        """Tell whether a destination leaves the packet out; its own address is not given."""
        held = self._addresses(destination)
        if held is None or self.address is None or held[0] == self.address.version:
            return None
        return False

    def goes_to(self, port: str) -> Match:
        """Tell whether a port or range such as C(22/tcp) holds the packet's."""
        numbers, _slash, protocol = port.partition("/")
        if protocol != "tcp":
            return False
        try:
            ends = [int(end) for end in numbers.split("-")]
        except ValueError:
            # firewalld takes a name of /etc/services as well.
            return None
        return min(ends) <= self.port <= max(ends)

    def serves(self, name: str, in_rich_rule: bool = False, within: Sequence[str] = ()) -> Match:
        """Tell whether a service holds the packet, by itself or by one that it includes."""
        service = self.configuration.services.get(name)
        if service is None:
            return None
        own = any_of(
            [
                *(self.goes_to(port) for port in service.get("ports", ())),
                *(is_tcp(protocol) for protocol in service.get("protocols", ())),
                *(of_tcp(port) for port in service.get("source_ports", ())),
            ]
        )
        destinations = service.get("destination", {})
        if isinstance(destinations, Mapping):
            limits = [self.may_go_to(one) for one in destinations.values()]
            own = all_of([own, any_of(limits) if limits else True])
        else:
            own = all_of([own, None])
        within = [*within, name]
        others = [one for one in service.get("includes", ()) if one not in within]
        included = any_of(self.serves(one, in_rich_rule, within) for one in others)
        return any_of([own, None if included and in_rich_rule else included])

    def _addresses(self, operand: str) -> Optional[tuple[int, list[tuple[int, int]]]]:
        """Return the IP version and the ranges of an address, network or ipset, if known."""
        kind, _colon, name = operand.partition(":")
        try:
            if kind != "ipset":
                version, first, last = _range(operand)
                return version, [(first, last)]
            ipset = self.configuration.ipsets.get(name, {})
            # Entries that time out are known to the kernel alone.
            timeout = ipset.get("options", {}).get("timeout", "0")
            if ipset.get("type") not in ("hash:ip", "hash:net") or timeout != "0":
                return None
            ranges = [_range(entry)[1:] for entry in ipset.get("entries", ())]
            return (6 if ipset.get("family") == "inet6" else 4), ranges
        except ValueError:
            # A MAC address, for one.
            return None


def address_of(text: str) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address, None]:
    """Return an IP address, an IPv4-mapped one as IPv4, None where it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _range(text: str) -> tuple[int, int, int]:
    """Return the IP version, first and last address of an address, a network or a range."""
    first, dash, last = text.partition("-")
    if dash:
        start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
        return start.version, int(start), int(end)
    # firewalld takes IPv6 addresses in brackets.
    network = ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    return network.version, int(network.network_address), int(network.broadcast_address)


def is_tcp(protocol: str) -> bool:
    """Tell whether a protocol is TCP, by name or number."""
    return protocol.lower() in ("tcp", "6")


def of_tcp(source_port: str) -> Match:
    """Tell whether a source port such as C(22/tcp) may be the packet's."""
    # The source port of a new connection is any.
    return None if source_port.endswith("/tcp") else False


def any_of(matches: Iterable[Match]) -> Match:
    """Tell whether any of some conditions is met."""
    known = list(matches)
    return True if True in known else None if None in known else False


def all_of(matches: Iterable[Match]) -> Match:
    """Tell whether all of some conditions are met."""
    known = list(matches)
    return False if False in known else None if None in known else True
