# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the ICMP errors that come in, to tell a firewall's reject from a missing route.

A TCP socket reports both as "no route to host"; only the ICMP message says which, and who sent it.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Optional

_TYPE_UNREACHABLE = 3
_CODE_PORT = 3
# RFC 1122 and RFC 1812: communication with network or host, or at all, administratively prohibited.
_CODES_PROHIBITED = (9, 10, 13)
_CODE_TEXTS = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    9: "network prohibited",
    10: "host prohibited",
    13: "administratively prohibited",
}
_PROTOCOLS = {6: "tcp", 17: "udp"}
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Message:
    """An ICMP error and the address that sent it."""

    code: int
    sender: str

    @property
    def is_prohibited(self) -> bool:
        """Whether a firewall says that it does not let the packet pass."""
        return self.code in _CODES_PROHIBITED

    @property
    def is_port_unreachable(self) -> bool:
        """Whether the message says that nobody holds the port."""
        return self.code == _CODE_PORT

    @property
    def text(self) -> str:
        """The name of the code."""
        return _CODE_TEXTS.get(self.code, f"unreachable (code {self.code})")


Flow = tuple[str, str, int, int]
"""Destination address, protocol, source port and destination port of a packet."""


def parse(packet: bytes) -> Optional[tuple[Flow, Message]]:
    """Read an IPv4 packet that carries an ICMP error; None where it is something else."""
    if len(packet) < 20:
        return None
    outer = (packet[0] & 0x0F) * 4
    sender = socket.inet_ntoa(packet[12:16])
    icmp = packet[outer:]
    if len(icmp) < 8 or icmp[0] != _TYPE_UNREACHABLE:
        return None
    original = icmp[8:]
    if len(original) < 20:
        return None
    inner = (original[0] & 0x0F) * 4
    protocol = _PROTOCOLS.get(original[9])
    if protocol is None or len(original) < inner + 4:
        return None
    source_port, destination_port = struct.unpack("!HH", original[inner : inner + 4])
    destination = socket.inet_ntoa(original[16:20])
    return (destination, protocol, source_port, destination_port), Message(icmp[1], sender)


class Listener:
    """Collects ICMP errors from a raw socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._messages: dict[Flow, Message] = {}

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._sock.fileno()

    def drain(self) -> None:
        """Read all that has come in."""
        while True:
            try:
                parsed = parse(self._sock.recv(2048))
            except OSError:
                return
            if parsed is not None:
                self._messages[parsed[0]] = parsed[1]

    def find(
        self, address: str, protocol: str, source_port: int, destination_port: int
    ) -> Optional[Message]:
        """Return the error that answered a packet, None where none did."""
        return self._messages.get((address, protocol, source_port, destination_port))

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def open_listener() -> Optional[Listener]:
    """Return a listener, None where this process may not have one."""
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except OSError:
        return None
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    return Listener(sock)
