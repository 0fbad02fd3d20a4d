# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which ports of this host are held, and at which addresses: /proc/net/tcp and its like.

A service that listens on the loopback alone, as Redis does by default, is not there for others,
while a listener of ours beside it would answer.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping

Held = Mapping[tuple[str, int], frozenset[str]]
"""Addresses by protocol and port."""

_FILES = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
# include/net/tcp_states.h: LISTEN, and CLOSE for a UDP socket without a peer.
_STATES = {"tcp": "0A", "udp": "07"}


def read(directory: str = "/proc/net") -> Held:
    """Return what is held; a protocol that the kernel does not have is left out."""
    held: dict[tuple[str, int], set[str]] = defaultdict(set)
    for name, protocol in _FILES:
        try:
            with open(f"{directory}/{name}", encoding="ascii") as stream:
                text = stream.read()
        except OSError:
            continue
        for address, port in parse(text, protocol):
            held[protocol, port].add(address)
    return {key: frozenset(addresses) for key, addresses in held.items()}


def parse(text: str, protocol: str) -> Iterator[tuple[str, int]]:
    """Return address and port of each socket that waits for anybody."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _STATES[protocol]:
            address, _colon, port = fields[1].partition(":")
            yield _address(address), int(port, 16)


def is_held(held: Held, address: str, protocol: str, port: int) -> bool:
    """Tell whether a port is held at this address, by itself or at any."""
    addresses = held.get((protocol, port), frozenset())
    return address in addresses or any(_is_any(one, address) for one in addresses)


def elsewhere(held: Held, address: str, protocol: str, port: int) -> list[str]:
    """Return the addresses at which a port is held, none where this address is among them."""
    if is_held(held, address, protocol, port):
        return []
    return sorted(held.get((protocol, port), frozenset()))


def _is_any(held: str, address: str) -> bool:
    """Tell whether what is held at an address is held at this one as well; :: holds IPv4, too."""
    any_ = ipaddress.ip_address(held)
    return any_.is_unspecified and any_.version >= ipaddress.ip_address(address).version


def _address(text: str) -> str:
    """Return an address that the kernel has written as words of the processor's byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
