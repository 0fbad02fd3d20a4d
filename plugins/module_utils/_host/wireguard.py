# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads which peer of a WireGuard device carries which networks. Numbers are of linux/wireguard.h.

The command C(wg) of wireguard-tools prints the same, but Flannel does not need it, so that nodes
usually do not have it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Optional, Union

from . import generic_netlink

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_FAMILY, _VERSION, _GET_DEVICE = "wireguard", 1, 0
_DEVICE_IFNAME, _DEVICE_PEERS = 2, 8
_PEER_PUBLIC_KEY, _PEER_ENDPOINT, _PEER_ALLOWED_IPS = 1, 4, 9
_ALLOWED_ADDRESS, _ALLOWED_PREFIX = 2, 3
_PEERS_MAX = 10000


@dataclass
class Peer:
    """A peer: the address and UDP port that its packets are sent to, and what lies behind it."""

    endpoint: Optional[tuple[str, int]] = None
    allowed: list[Network] = field(default_factory=list)


def peers(device: str) -> list[Peer]:
    """Return the peers of a WireGuard device.

    Only call it for a device that exists: else the kernel may load the module of WireGuard. The
    list is empty without root, if the device is of another type, or if the kernel does not answer.
    """
    name = generic_netlink.attribute(_DEVICE_IFNAME, device.encode() + b"\0")
    try:
        return parse(generic_netlink.dump(_FAMILY, _VERSION, _GET_DEVICE, name))
    except OSError:
        return []


def parse(messages: Iterable[bytes]) -> list[Peer]:
    """Return the peers that the messages of a dump hold.

    The kernel continues a peer in the next message if it does not fit. The keys are not returned.
    """
    found: dict[bytes, Peer] = {}
    for message in messages:
        for kind, value in generic_netlink.parse_attributes(message):
            if kind != _DEVICE_PEERS:
                continue
            for _number, one in generic_netlink.parse_attributes(value):
                attributes = dict(generic_netlink.parse_attributes(one))
                key = attributes.get(_PEER_PUBLIC_KEY, b"")
                if not key or (key not in found and len(found) >= _PEERS_MAX):
                    continue
                peer = found.setdefault(key, Peer())
                peer.endpoint = peer.endpoint or _endpoint(attributes.get(_PEER_ENDPOINT, b""))
                peer.allowed += _networks(attributes.get(_PEER_ALLOWED_IPS, b""))
    return list(found.values())


def _endpoint(value: bytes) -> Optional[tuple[str, int]]:
    """Read a sockaddr_in or sockaddr_in6."""
    if len(value) < 16:
        return None
    family, port = struct.unpack("=H", value[:2])[0], struct.unpack("!H", value[2:4])[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, value[4:8]), port
    if family == socket.AF_INET6 and len(value) >= 24:
        return socket.inet_ntop(socket.AF_INET6, value[8:24]), port
    return None


def _networks(value: bytes) -> list[Network]:
    found: list[Network] = []
    for _number, one in generic_netlink.parse_attributes(value):
        attributes = dict(generic_netlink.parse_attributes(one))
        prefix = attributes.get(_ALLOWED_PREFIX, b"")
        # The length of the address says of which family it is.
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(attributes.get(_ALLOWED_ADDRESS, b""))
            found.append(ipaddress.ip_network((address, prefix[0] if prefix else -1), strict=False))
    return found
