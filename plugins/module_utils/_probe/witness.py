# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers beside a process that holds a UDP port and keeps silent, as statsd and Flannel do.

A raw socket gets a copy of each datagram to this host that its firewall has let pass (raw(7): the
kernel delivers it after the chain input), whoever holds the port. So what a witness answers proves
the path to the port, and says nothing of the process that holds it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from typing import NamedTuple, Optional

from . import socket_filter, wire
from .sockets import dont_fragment

_PACKET_MAX = 65535
_UDP_HEADER = 8


class Datagram(NamedTuple):
    """A UDP datagram as it came in over IPv4."""

    peer: str
    peer_port: int
    port: int
    payload: bytes


def open_socket(address: str, tag: bytes) -> socket.socket:
    """Return a socket that sees the questions of a run to an IPv4 address of this host.

    C(tag) is what they begin with. Raises OSError if this process may not, or the host does not
    have the address.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_UDP)
    try:
        # What an overlay carries is not even copied.
        socket_filter.attach(sock, socket_filter.of_raw_questions(tag))
        dont_fragment(sock)
        sock.bind((address, 0))
    except OSError:
        sock.close()
        raise
    return sock


def answer(sock: socket.socket, ports: Collection[int], messages: wire.Messages, name: str) -> None:
    """Answer a question to one of these ports. Raises OSError where there is none."""
    asked = parse(sock.recv(_PACKET_MAX))
    if asked is None or asked.port not in ports:
        return
    said = messages.answer(asked.payload, "udp", asked.port, name, witness=True)
    if said is not None:
        sock.sendto(datagram(asked.port, asked.peer_port, said), (asked.peer, 0))


def parse(packet: bytes) -> Optional[Datagram]:
    """Read an IPv4 packet that carries a whole UDP datagram; None where it does not."""
    header = (packet[0] & 0x0F) * 4 if packet else 0
    if header < 20 or len(packet) < header + _UDP_HEADER:
        return None
    peer_port, port, length, _checksum = struct.unpack_from("!HHHH", packet, header)
    payload = packet[header + _UDP_HEADER : header + length]
    if len(payload) != length - _UDP_HEADER:
        return None
    return Datagram(socket.inet_ntoa(packet[12:16]), peer_port, port, payload)


def datagram(port: int, peer_port: int, payload: bytes) -> bytes:
    """Return a UDP datagram without a checksum, which IPv4 lets be."""
    return struct.pack("!HHHH", port, peer_port, _UDP_HEADER + len(payload), 0) + payload
