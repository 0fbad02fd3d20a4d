# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads from the kernel by generic netlink.

The numbers are those of linux/netlink.h and linux/genetlink.h. A kernel without the family, or a
process without the permission, is an OSError.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Optional

_NETLINK_GENERIC = 16
_CONTROLLER = 16
_GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 3, 1, 2
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_HEADER = "=IHHII"
_GENERIC_HEADER = "=BBH"
_HEADER_SIZE = struct.calcsize(_HEADER)
_GENERIC_HEADER_SIZE = struct.calcsize(_GENERIC_HEADER)
_TYPE_MASK = 0x3FFF
_SEQUENCE = 1
_BUFFER_BYTES = 1 << 16
# A peer of WireGuard takes about 250 bytes.
_BYTES_MAX = 1 << 22
_SECONDS = 2.0


def dump(family: str, version: int, command: int, attributes: bytes) -> list[bytes]:
    """Return the attributes of each message that a dump command of a family returns.

    Args:
        family: The name of the family. The kernel loads the module of a family that is not there.
        version: The version of the family.
        command: The number of the command.
        attributes: What the command is called with, made by :func:`attribute`.

    Raises:
        OSError: The kernel does not have the family, refuses the command or does not answer.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as sock:
        sock.bind((0, 0))
        name = attribute(_FAMILY_NAME, family.encode() + b"\0")
        found = _call(sock, _CONTROLLER, 0, _GET_FAMILY, 1, name)
        number = dict(parse_attributes(found[0])).get(_FAMILY_ID, b"") if found else b""
        if len(number) != 2:
            raise OSError(errno.EPROTO, f"no number of the family {family}")
        (kind,) = struct.unpack("=H", number)
        return _call(sock, kind, _DUMP, command, version, attributes)


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def parse_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Return type and value of each attribute; what is cut off ends it."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            return
        yield kind & _TYPE_MASK, data[4:length]
        data = data[length + -length % 4 :]


def parse_messages(data: bytes) -> tuple[list[bytes], Optional[int]]:
    """Read what one datagram of the kernel holds.

    Returns:
        The attributes of each message, and the error number that ended the answer: 0 after the
        last message of a dump, None if more is to come.
    """
    found: list[bytes] = []
    while len(data) >= _HEADER_SIZE:
        length, kind, _flags, sequence, _pid = struct.unpack_from(_HEADER, data)
        if not _HEADER_SIZE <= length <= len(data):
            break
        body = data[_HEADER_SIZE:length]
        data = data[length + -length % 4 :]
        if sequence != _SEQUENCE:
            continue
        if kind in (_ERROR, _DONE):
            return found, -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
        found.append(body[_GENERIC_HEADER_SIZE:])
    return found, None


def _call(
    sock: socket.socket, kind: int, flags: int, command: int, version: int, attributes: bytes
) -> list[bytes]:
    body = struct.pack(_GENERIC_HEADER, command, version, 0) + attributes
    size = _HEADER_SIZE + len(body)
    sock.sendto(struct.pack(_HEADER, size, kind, _REQUEST | flags, _SEQUENCE, 0) + body, (0, 0))
    end = time.monotonic() + _SECONDS
    found: list[bytes] = []
    received = 0
    while received < _BYTES_MAX:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the kernel did not answer by netlink")
        sock.settimeout(left)
        data, sender = sock.recvfrom(_BUFFER_BYTES)
        # Any process may write to this socket; the kernel has the number 0.
        if sender[0] != 0:
            continue
        received += len(data)
        messages, code = parse_messages(data)
        found += messages
        if code:
            raise OSError(code, os.strerror(code))
        if code == 0 or (found and not flags & _DUMP):
            return found
    raise OSError(errno.EMSGSIZE, "the kernel's answer by netlink is too long")
