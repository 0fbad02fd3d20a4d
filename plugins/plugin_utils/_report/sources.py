# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sources by which zones of firewalld take packets. Pure functions.

A source is an address, a network, the MAC address of a sender, or an ipset. Its match with an
address is True, False, or None if that cannot be known.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

_PREFIX = "ipset:"
_MAC = re.compile(r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
# Types whose entries are an address or network and nothing else, see ipset(8).
_ADDRESSES = ("hash:ip", "hash:net")
_MACS = ("hash:mac", "hash:ip,mac")


@dataclass(frozen=True)
class Ipset:
    """An ipset of the user that is a source of an active zone."""

    kind: str
    """Its type, such as C(hash:net)."""
    entries: tuple[str, ...] = ()
    complete: bool = False
    """Whether these are all of its entries."""

    def holds(self, address: str) -> Optional[bool]:
        """Return whether it holds an address."""
        found = any(contains(entry.partition(",")[0], address) for entry in self.entries)
        if found and self.kind in _ADDRESSES:
            return True
        is_comparable = self.complete and self.kind not in _MACS
        return None if found or not is_comparable else False


def matches(source: str, address: str, ipsets: Mapping[str, Ipset]) -> Optional[bool]:
    """Return whether a source of a zone takes packets from an address."""
    if source.startswith(_PREFIX):
        ipset = ipsets.get(source[len(_PREFIX) :])
        return ipset.holds(address) if ipset is not None else None
    return None if _MAC.fullmatch(source) else contains(source, address)


def first_match(
    sources: Iterable[str], address: str, ipsets: Mapping[str, Ipset]
) -> tuple[str, Optional[bool]]:
    """Return the source that takes packets from an address, or the first one that may.

    The source is empty, and the match False, if there is none.
    """
    possible = ""
    for source in sources:
        match = matches(source, address, ipsets)
        if match:
            return source, True
        if match is None:
            possible = possible or source
    return (possible, None) if possible else ("", False)


def contains(text: str, address: str) -> bool:
    """Return whether an address, a network or a range such as C(192.0.2.1-192.0.2.9) has one."""
    first, _dash, last = text.partition("-")
    try:
        one = ipaddress.ip_address(address)
        if not last:
            return one in ipaddress.ip_network(text, strict=False)
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        return False
    same = one.version == ends[0].version == ends[1].version
    return same and int(ends[0]) <= int(one) <= int(ends[1])
