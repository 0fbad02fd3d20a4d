# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks by ARP whether another host has an address of this one, too (RFC 5227).

Which of the two a probe reaches is a matter of luck, and the other may well refuse or keep silent,
so that no answer to a probe tells. Nor does silence before some time has passed, so the process of
the listeners watches from its start on, and the probe need not wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._host import iproute
from . import socket_filter

_ETHERTYPE_ARP = 0x0806
_HARDWARE_ETHERNET = 1
_PROTOCOL_IPV4 = 0x0800
_REQUEST = 1
_BROADCAST = b"\xff" * 6
_NOBODY = bytes(6)
_ETHERNET_HEADER = 14
_ARP = "!HHBBH6s4s6s4s"
_FRAME_MAX = 2048
# Anyone on the network can send any number of frames, each with a MAC of its own.
_MOST_FRAMES_AT_ONCE = 512
MOST_MACS = 8
"""MACs of other hosts that are kept of an address; more of them would tell nothing new."""
# From the first question on; a host on the same network answers in a fraction of that.
_SECONDS = 0.4


@dataclass(frozen=True)
class Own:
    """An address of this host, on which NIC, and that NIC's MAC."""

    address: str
    interface: str
    mac: str


def own_addresses(links: Iterable[dict[str, Any]]) -> list[Own]:
    """Return the IPv4 addresses that a host on an Ethernet could have as well."""
    return [
        Own(one["local"], link["ifname"], link["address"])
        for link in links
        if link.get("link_type") == "ether" and "NOARP" not in link.get("flags", ())
        for one in link.get("addr_info", ())
        if one.get("family") == "inet" and one.get("scope") == "global"
    ]


def question(own: Own) -> bytes:
    """Return the frame that asks who has an address without telling who asks."""
    mac = bytes.fromhex(own.mac.replace(":", ""))
    address = socket.inet_aton(own.address)
    kinds = (_HARDWARE_ETHERNET, _PROTOCOL_IPV4, 6, 4, _REQUEST)
    packet = struct.pack(_ARP, *kinds, mac, bytes(4), _NOBODY, address)
    return _BROADCAST + mac + struct.pack("!H", _ETHERTYPE_ARP) + packet


def holder(frame: bytes) -> Optional[tuple[str, str]]:
    """Return the address that the sender of an ARP frame says it has, and its MAC."""
    packet = frame[_ETHERNET_HEADER : _ETHERNET_HEADER + struct.calcsize(_ARP)]
    if len(packet) < struct.calcsize(_ARP):
        return None
    *kinds, _operation, mac, address, _target_mac, _target = struct.unpack(_ARP, packet)
    if kinds != [_HARDWARE_ETHERNET, _PROTOCOL_IPV4, 6, 4]:
        return None
    return socket.inet_ntoa(address), mac.hex(":")


class Watch:
    """Questions that were sent, and who answers them while other things are done."""

    def __init__(self, own: Sequence[Own], macs: Collection[str]) -> None:
        """Ask for addresses of this host; C(macs) are those of all its NICs.

        Without a raw socket nothing is asked.
        """
        self._macs = frozenset(macs)
        self._holders: dict[str, set[str]] = defaultdict(set)
        self._own: dict[socket.socket, Own] = {}
        self._since = time.monotonic()
        for one in own:
            with contextlib.suppress(OSError):
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
                self._own[sock] = one
                socket_filter.try_to_attach(sock, socket_filter.of_arp_sender(one.address))
                sock.bind((one.interface, _ETHERTYPE_ARP))
        self.ask()

    def ask(self) -> None:
        """Ask, once more where it was asked before: a frame may get lost, and a host come later."""
        for sock, one in self._own.items():
            with contextlib.suppress(OSError):
                sock.send(question(one))

    @property
    def sockets(self) -> list[socket.socket]:
        """Those that the answers come by, for the poller of a process that serves others, too."""
        return list(self._own)

    def read(self, sock: socket.socket) -> bool:
        """Read frames that have arrived at a socket; return whether a MAC is new.

        It reads a bounded number, so that a flood does not keep the process from other work.
        """
        before = len(self._holders[self._own[sock].address])
        with contextlib.suppress(OSError):
            for _number in range(_MOST_FRAMES_AT_ONCE):
                self._take(self._own[sock], sock.recv(_FRAME_MAX))
        return len(self._holders[self._own[sock].address]) > before

    def is_full(self, sock: socket.socket) -> bool:
        """Return whether no more MACs are kept of the address of a socket."""
        return len(self._holders[self._own[sock].address]) >= MOST_MACS

    def _take(self, own: Own, frame: bytes) -> None:
        said = holder(frame)
        holders = self._holders[own.address]
        if (
            said is not None
            and said[0] == own.address
            and said[1] not in self._macs
            and len(holders) < MOST_MACS
        ):
            holders.add(said[1])

    def note(self, number: int) -> None:
        """Write what is known by now to the file of this number, for C(follow)."""
        data = json.dumps({"since": self._since, "found": self._found()}).encode()
        os.pwrite(number, data, 0)

    def found(self) -> dict[str, list[str]]:
        """Return the MACs of other hosts by the address that they have as well, and end."""
        if self._own:
            _wait(self._since)
        for sock in self._own:
            self.read(sock)
        self.close()
        return self._found()

    def close(self) -> None:
        """Leave the sockets to whoever else has them."""
        for sock in self._own:
            sock.close()

    def _found(self) -> dict[str, list[str]]:
        return {address: sorted(macs) for address, macs in self._holders.items() if macs}


class Followed:
    """What a process of this host that watches has noted."""

    def __init__(self, path: str) -> None:
        """Read a file of Watch.note(). Raises OSError or ValueError where it is none."""
        self._path = path
        self._since, self._before = self._read()

    def found(self) -> dict[str, list[str]]:
        """Return the MACs of other hosts by the address that they have as well."""
        _wait(self._since)
        with contextlib.suppress(OSError, ValueError):
            return self._read()[1]
        # It has ended since.
        return self._before

    def _read(self) -> tuple[float, dict[str, list[str]]]:
        with open(self._path, encoding="ascii") as stream:
            noted = json.load(stream)
        if not isinstance(noted, dict):
            raise ValueError(f"{self._path} holds no notes")
        return noted["since"], noted["found"]


def watch(ask: iproute.Ask) -> Watch:
    """Ask for all addresses of this host."""
    links = ask(["ip", "-json", "address", "show", "up"], "")
    macs = [link["address"] for link in links if "address" in link]
    return Watch(own_addresses(links), macs)


def follow(pids: Iterable[int]) -> Optional[Followed]:
    """Return what one of these processes notes as its standard output, None where none does."""
    for path in (f"/proc/{pid}/fd/1" for pid in pids):
        with contextlib.suppress(OSError, ValueError, LookupError):
            # Reading what a process that has yet to begin has there might never end.
            if os.readlink(path).startswith("/memfd:"):
                return Followed(path)
    return None


def _wait(since: float) -> None:
    time.sleep(max(0.0, since + _SECONDS - time.monotonic()))
