# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the ICMP errors that come in, to tell a firewall's reject from a missing route.

A TCP socket reports both as "no route to host"; only the ICMP message says which, and who sent it.
Makes and reads echoes, too.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Optional

ECHO_REPLY = 0
_TYPE_UNREACHABLE = 3
_TYPE_ECHO = 8
# RFC 4443
_TYPE_ECHO_IPV6 = 128
ECHO_REPLY_IPV6 = 129
_CODE_PORT = 3
_CODE_FRAGMENTATION = 4
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
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
_BUFFER_BYTES = 1 << 20
_PACKET_MAX = 2048
# More than what fits into the buffer, and so few that a flood does not keep the process from other
# work.
_MOST_PACKETS_AT_ONCE = 4096
# linux/icmp.h: a socket gets no message of a type whose bit is set.
_SOL_RAW = 255
_ICMP_FILTER = 1


@dataclass(frozen=True)
class Message:
    """An ICMP error and the address that sent it."""

    code: int
    sender: str
    next_hop_mtu: int = 0
    """What the next hop takes where fragmentation is needed; 0 where that is not said."""

    @property
    def is_prohibited(self) -> bool:
        """Whether a firewall says that it does not let the packet pass."""
        return self.code in _CODES_PROHIBITED

    @property
    def is_port_unreachable(self) -> bool:
        """Whether the message says that nobody holds the port."""
        return self.code == _CODE_PORT

    @property
    def is_too_big(self) -> bool:
        """Whether the packet is larger than what the next hop takes."""
        return self.code == _CODE_FRAGMENTATION

    @property
    def text(self) -> str:
        """The name of the code."""
        return _CODE_TEXTS.get(self.code, f"unreachable (code {self.code})")


Flow = tuple[str, str, int, int]
"""Destination address, protocol, source port and destination port of a packet.

An echo has its identifier and its sequence number in place of the ports.
"""


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
    protocol = _PROTOCOLS.get(original[9])
    ports = (original[0] & 0x0F) * 4 + (4 if protocol == "icmp" else 0)
    if protocol is None or len(original) < ports + 4:
        return None
    source_port, destination_port = struct.unpack("!HH", original[ports : ports + 4])
    destination = socket.inet_ntoa(original[16:20])
    next_hop_mtu = struct.unpack("!H", icmp[6:8])[0] if icmp[1] == _CODE_FRAGMENTATION else 0
    message = Message(icmp[1], sender, next_hop_mtu)
    return (destination, protocol, source_port, destination_port), message


def echo(identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an echo request."""
    head = struct.pack("!BBHHH", _TYPE_ECHO, 0, 0, identifier, sequence)
    checksum = _checksum(head + payload)
    return struct.pack("!BBHHH", _TYPE_ECHO, 0, checksum, identifier, sequence) + payload


def parse_echo_reply(packet: bytes) -> Optional[tuple[int, int, bytes]]:
    """Read identifier, sequence number and payload of an IPv4 packet with an echo reply."""
    start = (packet[0] & 0x0F) * 4 if packet else 0
    if len(packet) < max(start, 20) + 8 or packet[start] != ECHO_REPLY:
        return None
    identifier, sequence = struct.unpack("!HH", packet[start + 4 : start + 8])
    return identifier, sequence, packet[start + 8 :]


def echo_ipv6(identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an echo request of ICMPv6. The kernel adds the checksum (RFC 3542)."""
    return struct.pack("!BBHHH", _TYPE_ECHO_IPV6, 0, 0, identifier, sequence) + payload


def parse_echo_reply_ipv6(packet: bytes) -> Optional[tuple[int, int, bytes]]:
    """Read identifier, sequence number and payload of what a raw socket of ICMPv6 received.

    The kernel leaves the header of IPv6 out.
    """
    if len(packet) < 8 or packet[0] != ECHO_REPLY_IPV6:
        return None
    identifier, sequence = struct.unpack("!HH", packet[4:8])
    return identifier, sequence, packet[8:]


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Listener:
    """Collects ICMP errors from a raw socket.

    It keeps only those of expected flows: anyone on the network can send any number of others.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._messages: dict[Flow, Optional[Message]] = {}

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._sock.fileno()

    def expect(self, flow: Flow) -> None:
        """Keep an error of this flow from now on."""
        self._messages[flow] = None

    def forget(self, flow: Flow) -> None:
        """Keep no error of this flow any more."""
        self._messages.pop(flow, None)

    def drain(self) -> None:
        """Read what has arrived."""
        for _number in range(_MOST_PACKETS_AT_ONCE):
            try:
                packet = self._sock.recv(_PACKET_MAX)
            except OSError:
                return
            parsed = parse(packet)
            if parsed is not None and parsed[0] in self._messages:
                self._messages[parsed[0]] = parsed[1]

    def find(self, flow: Flow) -> Optional[Message]:
        """Return the error that answered a packet of an expected flow, None if none did."""
        return self._messages.get(flow)

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
    others = ~(1 << _TYPE_UNREACHABLE) & 0xFFFFFFFF
    sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", others))
    return Listener(sock)
