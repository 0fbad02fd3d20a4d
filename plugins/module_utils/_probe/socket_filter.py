# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Classic BPF programs that have the kernel drop packets which a reader does not want.

A packet that is dropped here does not wake the process and takes no room in the socket's buffer.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

# linux/bpf_common.h and linux/filter.h: the width and the place that an instruction loads from.
_WORD, _HALF, _BYTE = 0x00, 0x08, 0x10
_LOAD, _BEHIND_HEADER = 0x20, 0x40
_IPV4_HEADER_LENGTH, _JUMP_IF_EQUAL, _RETURN = 0xB1, 0x15, 0x06
_WHOLE_PACKET = 0xFFFFFFFF
# asm-generic/socket.h
_SO_ATTACH_FILTER = 26
_UDP_HEADER = 8
# The sender's IPv4 address in an ARP packet, behind the header of Ethernet.
_ARP_SENDER = 14 + 14


class Field(NamedTuple):
    """A field of the packet and the value that is kept."""

    offset: int
    value: int
    width: int = _WORD


def of_questions(tag: bytes) -> bytes:
    """Return the program of a UDP socket that keeps datagrams which begin with a tag."""
    return _program(_of_tag(tag))


def of_raw_questions(tag: bytes) -> bytes:
    """Return the program of a raw IPv4 socket that keeps UDP datagrams which begin with a tag."""
    return _program(_of_tag(tag), behind_header=True)


def of_arp_sender(address: str) -> bytes:
    """Return the program of a packet socket that keeps ARP frames of an address."""
    return _program([Field(_ARP_SENDER, *struct.unpack("!I", socket.inet_aton(address)))])


def of_echo_replies(kind: int, identifier: int, is_ipv6: bool) -> bytes:
    """Return the program of a raw ICMP socket that keeps echo replies of an identifier."""
    fields = [Field(0, kind, _BYTE), Field(4, identifier, _HALF)]
    # The kernel leaves the header of IPv6 out, and not that of IPv4.
    return _program(fields, behind_header=not is_ipv6)


def attach(sock: socket.socket, program: bytes) -> None:
    """Have the kernel drop what a program does not keep. Raises OSError if it refuses."""
    buffer = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer)),
    )


def try_to_attach(sock: socket.socket, program: bytes) -> None:
    """Attach a program that only saves work: the reader checks each packet as well."""
    with contextlib.suppress(OSError):
        attach(sock, program)


def _of_tag(tag: bytes) -> list[Field]:
    words = struct.unpack(f"!{len(tag) // 4}I", tag)
    return [Field(_UDP_HEADER + 4 * number, word) for number, word in enumerate(words)]


def _program(fields: Sequence[Field], behind_header: bool = False) -> bytes:
    """Return a program that keeps packets whose fields all have these values."""
    load = _BEHIND_HEADER if behind_header else _LOAD
    code = [(_IPV4_HEADER_LENGTH, 0, 0, 0)] if behind_header else []
    for number, field in enumerate(fields):
        # The last instruction drops the packet.
        to_the_end = 2 * (len(fields) - number) - 1
        code.append((load | field.width, 0, 0, field.offset))
        code.append((_JUMP_IF_EQUAL, 0, to_the_end, field.value))
    code += [(_RETURN, 0, 0, _WHOLE_PACKET), (_RETURN, 0, 0, 0)]
    return b"".join(struct.pack("=HBBI", *one) for one in code)
