# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages as the kernel answers WG_CMD_GET_DEVICE, built after linux/wireguard.h.

A fake that could not be recorded: see test_wireguard.py.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

_NESTED = 0x8000


def attribute(kind, value):
    """Return an attribute of netlink."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def device(*peers, private_key=bytes(32)):
    """Return WGDEVICE_A_* of a message: index, name, keys, flags, port, mark and peers."""
    return (
        attribute(1, struct.pack("=I", 7))
        + attribute(2, b"flannel-wg\0")
        + attribute(3, private_key)
        + attribute(4, bytes(32))
        + attribute(6, struct.pack("=H", 51820))
        + attribute(7, struct.pack("=I", 0))
        + attribute(8 | _NESTED, b"".join(peers))
    )


def peer(key, *attributes):
    """Return a peer with WGPEER_A_PUBLIC_KEY, a keepalive interval, counters and attributes."""
    return attribute(
        _NESTED,
        (attribute(1, key) if key else b"")
        + attribute(5, struct.pack("=H", 25))
        + attribute(7, struct.pack("=Q", 123))
        + b"".join(attributes),
    )


def endpoint(address, port):
    """Return WGPEER_A_ENDPOINT, a sockaddr_in or sockaddr_in6."""
    packed = ipaddress.ip_address(address).packed
    if len(packed) == 4:
        return attribute(
            4, struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + packed + bytes(8)
        )
    head = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0)
    return attribute(4, head + packed + bytes(4))


def allowed(address, prefix):
    """Return WGPEER_A_ALLOWEDIPS with one network."""
    packed = ipaddress.ip_address(address).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    one = (
        attribute(1, struct.pack("=H", family))
        + attribute(2, packed)
        + attribute(3, bytes([prefix]))
    )
    return attribute(9 | _NESTED, attribute(_NESTED, one))
