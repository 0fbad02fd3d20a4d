# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds what hides behind small packets: a path that full-size ones don't pass (hetzner-k3s#781).

Sizes are those of whole IP packets, as an MTU counts them.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional, Protocol

from .._host import iproute
from . import icmp, socket_filter, wire
from .sockets import dont_fragment

# IPv4's and UDP's; ICMP's is as long.
_HEADERS = 20 + 8
_HEADERS_IPV6 = 40 + 8
SMALL = wire.ANSWER_MAX + _HEADERS
"""Bytes of a packet that passes everywhere."""
_PACKET_MAX = 65535
# So many sizes are tried at once, so that two or three rounds find the largest that passes.
_AT_ONCE = 32
_TRIES = 3
# The first round is over at once where all is well; in the others some sizes must stay silent.
_FIRST_SECONDS = 1.5
_ROUND_SECONDS = 0.6
# Packets that are read from a path before another one has its turn.
_MOST_PACKETS_AT_ONCE = 64
# Pairs of a full-size and a small packet that confirm a hole, and how many of the small ones may be
# lost.
_PAIRS = 4
_LOST = 1


@dataclass(frozen=True)
class Interface:
    """A NIC and the size of the largest packet that it sends."""

    name: str
    mtu: int


@dataclass(frozen=True)
class PathResult:
    """What passed on one way; C(largest) is 0 where nothing was answered."""

    largest: int
    wanted: int
    message: Optional[icmp.Message] = None
    is_lossy: bool = False
    """Whether packets were lost whatever their size, such as by a rule with a rate limit."""

    @property
    def is_hole(self) -> bool:
        """Whether small packets pass and full-size ones don't."""
        return not self.is_lossy and 0 < self.largest < self.wanted


class PathProbe(Protocol):
    """Where packets of a chosen size are sent and answered by packets of the same size."""

    def fileno(self) -> int:
        """Return the file descriptor to poll."""

    def send(self, size: int) -> None:
        """Send a packet. Raises OSError where this host does not."""

    def receive(self) -> Optional[int]:
        """Return the size of the packet that was answered; None for anything else."""

    def flow(self) -> icmp.Flow:
        """Return what ICMP errors name these packets by."""

    def close(self) -> None:
        """Close the socket."""


class UdpWay:
    """To a listener of ours."""

    def __init__(self, token: str, destination: str, address: str, port: int) -> None:
        """Open the socket. Raises OSError where there is no route."""
        self._messages = wire.Messages(token)
        self._nonce = wire.nonce()
        self._sent: set[int] = set()
        self._destination = destination
        self._peer = (address, port)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with _closed_on_error(self._sock):
            dont_fragment(self._sock)
            self._sock.connect(self._peer)

    def _question(self, size: int) -> bytes:
        return self._messages.question("udp", self._peer[1], self._nonce, size - _HEADERS)

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._sock.fileno()

    def send(self, size: int) -> None:
        """Send a question of this size."""
        self._sent.add(size)
        self._sock.send(self._question(size))

    def receive(self) -> Optional[int]:
        """Read an answer."""
        data = self._sock.recv(_PACKET_MAX)
        size = len(data) + _HEADERS
        if size not in self._sent:
            return None
        speaker = self._messages.read_answer(data, self._question(size))
        known = speaker is not None and speaker[:2] == (self._peer[1], self._destination)
        return size if known else None

    def flow(self) -> icmp.Flow:
        """Return what ICMP errors name these packets by."""
        address, port = self._peer
        return address, "udp", self._sock.getsockname()[1], port

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class EchoWay:
    """To the kernel of another host, which answers ICMP echoes unless a firewall keeps them out."""

    def __init__(self, address: str, device: str = "") -> None:
        """Open the socket, for packets of one NIC only where that is named.

        Raises OSError where this process may not, or there is no route.
        """
        self._nonce = wire.nonce()
        self._sent: set[int] = set()
        self._address = address
        self._identifier = secrets.randbelow(1 << 16)
        self._is_ipv6 = ":" in address
        self._headers = _HEADERS_IPV6 if self._is_ipv6 else _HEADERS
        family = socket.AF_INET6 if self._is_ipv6 else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if self._is_ipv6 else socket.IPPROTO_ICMP
        self._sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        with _closed_on_error(self._sock):
            kind = icmp.ECHO_REPLY_IPV6 if self._is_ipv6 else icmp.ECHO_REPLY
            socket_filter.try_to_attach(
                self._sock, socket_filter.of_echo_replies(kind, self._identifier, self._is_ipv6)
            )
            dont_fragment(self._sock)
            if device:
                name = device.encode()
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            self._sock.connect((address, 0))

    def _payload(self, size: int) -> bytes:
        return self._nonce.ljust(size - self._headers, b"\0")

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._sock.fileno()

    def send(self, size: int) -> None:
        """Send an echo request of this size."""
        make = icmp.echo_ipv6 if self._is_ipv6 else icmp.echo
        self._sent.add(size)
        self._sock.send(make(self._identifier, 0, self._payload(size)))

    def receive(self) -> Optional[int]:
        """Read an echo reply."""
        parse = icmp.parse_echo_reply_ipv6 if self._is_ipv6 else icmp.parse_echo_reply
        reply = parse(self._sock.recv(_PACKET_MAX))
        if reply is None:
            return None
        size = len(reply[2]) + self._headers
        if size not in self._sent:
            return None
        return size if reply == (self._identifier, 0, self._payload(size)) else None

    def flow(self) -> icmp.Flow:
        """Return what ICMP errors name these packets by."""
        return self._address, "icmp", self._identifier, 0

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def interfaces(ask: iproute.Ask, addresses: Collection[str]) -> dict[str, Interface]:
    """Return the NIC by which packets leave for each address, as far as there is one."""
    routes = "".join(f"route get {address}\n" for address in addresses)
    found: dict[str, Interface] = {}
    mtus = {
        one["ifname"]: one["mtu"]
        for one in ask(["ip", "-json", "link", "show"], "")
        if "ifname" in one and "mtu" in one
    }
    for one in ask(["ip", "-json", "-force", "-batch", "-"], routes):
        if one.get("dev") in mtus and "dst" in one:
            found[one["dst"]] = Interface(one["dev"], min(mtus[one["dev"]], _PACKET_MAX))
    return found


def measure(
    ways: Sequence[tuple[PathProbe, int]], timeout: float, first_seconds: float = 0
) -> list[PathResult]:
    """Say of each way whether packets of the size that comes with it pass, else which do.

    All ways are measured at the same time. C(first_seconds) is how long the first answers may take
    at least, if that is longer than usual.
    """
    listener = icmp.open_listener()
    try:
        with selectors.DefaultSelector() as selector:
            for number, (way, _wanted) in enumerate(ways):
                selector.register(way.fileno(), selectors.EVENT_READ, number)
                if listener is not None:
                    listener.expect(way.flow())
            asked: dict[int, Sequence[int]] = {
                number: sorted({min(SMALL, wanted), wanted})
                for number, (_way, wanted) in enumerate(ways)
            }
            spans: dict[int, SizeRange] = {}
            seconds = max(min(timeout, _FIRST_SECONDS), first_seconds)
            while asked:
                answered = _round(selector, [way for way, _wanted in ways], asked, seconds)
                if listener is not None:
                    listener.drain()
                for number, sizes in asked.items():
                    before = spans.get(number, SizeRange(0, max(sizes) + 1))
                    spans[number] = before.narrowed(sizes, answered[number])
                asked = {
                    number: span.candidates()
                    for number, span in spans.items()
                    if span.passes and span.candidates()
                }
                seconds = min(timeout, _ROUND_SECONDS)
            suspects = {
                number: wanted
                for number, (_way, wanted) in enumerate(ways)
                if 0 < spans[number].passes < wanted
            }
            seconds = min(timeout, _FIRST_SECONDS)
            confirmed = _confirm(selector, [way for way, _wanted in ways], suspects, seconds)
        results = []
        if listener is not None:
            listener.drain()
        for number, (way, wanted) in enumerate(ways):
            message = listener.find(way.flow()) if listener else None
            is_told = message is not None and message.is_too_big
            is_lossy = number in suspects and number not in confirmed and not is_told
            results.append(PathResult(spans[number].passes, wanted, message, is_lossy))
        return results
    finally:
        if listener is not None:
            listener.close()


class SizeRange(NamedTuple):
    """The largest size that is known to pass, and the least that is known not to."""

    passes: int
    fails: int

    def candidates(self) -> Sequence[int]:
        """Return sizes to try next, evenly spread between those that are known."""
        between = range(self.passes + 1, self.fails)
        step = -(-len(between) // _AT_ONCE)
        return between[step - 1 :: step] if between else ()

    def narrowed(self, asked: Iterable[int], answered: Collection[int]) -> SizeRange:
        """Return what is known after a round."""
        passes = max(self.passes, *answered) if answered else self.passes
        lost = [size for size in asked if size > passes and size not in answered]
        return SizeRange(passes, min([self.fails, *lost]))


def _confirm(
    selector: selectors.BaseSelector,
    ways: Sequence[PathProbe],
    suspects: Mapping[int, int],
    seconds: float,
) -> set[int]:
    """Return on which ways only full-size packets are lost, of those whose full size is given.

    A full-size packet goes first and a small one follows at once: a rule with a rate limit admits
    the first one rather than the second.
    """
    answered: dict[int, set[int]] = {number: set() for number in suspects}
    sent: list[int] = []
    for pair in range(_PAIRS if suspects else 0):
        # Each has a size of its own, so that it is known which one was answered.
        sent.append(SMALL - 1 - pair)
        for number, wanted in suspects.items():
            for size in (wanted, sent[-1]):
                _send(ways[number], size)
        wanted_now = {number: {sent[-1]} for number in suspects}
        _collect_until(selector, ways, answered, wanted_now, seconds / _PAIRS)
    return {
        number
        for number, wanted in suspects.items()
        if wanted not in answered[number]
        and len(answered[number].intersection(sent)) >= _PAIRS - _LOST
    }


def _send(way: PathProbe, size: int) -> None:
    """Send a packet; the first attempt may return the error of an earlier packet."""
    for _attempt in range(2):
        with contextlib.suppress(OSError):
            way.send(size)
            return


def _round(
    selector: selectors.BaseSelector,
    ways: Sequence[PathProbe],
    asked: Mapping[int, Sequence[int]],
    seconds: float,
) -> dict[int, set[int]]:
    """Send packets of some sizes on some ways, and return which sizes were answered."""
    answered: dict[int, set[int]] = {number: set() for number in asked}
    for _try in range(_TRIES):
        for number, sizes in asked.items():
            for size in sizes:
                if size not in answered[number]:
                    # Too big for this host itself, no buffers, or the error of an earlier packet.
                    with contextlib.suppress(OSError):
                        ways[number].send(size)
        _collect_until(selector, ways, answered, asked, seconds / _TRIES)
    return answered


def _collect_until(
    selector: selectors.BaseSelector,
    ways: Sequence[PathProbe],
    answered: Mapping[int, set[int]],
    asked: Mapping[int, Collection[int]],
    seconds: float,
) -> None:
    """Note which sizes are answered, until all that were asked for are or the time is over."""
    end = time.monotonic() + seconds
    while not all(answered[number].issuperset(sizes) for number, sizes in asked.items()):
        left = end - time.monotonic()
        if left <= 0:
            break
        for key, _events in selector.select(left):
            _collect(ways[key.data], answered.get(key.data, set()))


def _collect(way: PathProbe, answered: set[int]) -> None:
    """Note which sizes are answered by what has arrived, a bounded number of packets."""
    for _number in range(_MOST_PACKETS_AT_ONCE):
        try:
            size = way.receive()
        except BlockingIOError:
            return
        except OSError:
            # What an ICMP error said of an earlier packet; it is read from the raw socket.
            continue
        if size is not None:
            answered.add(size)


@contextlib.contextmanager
def _closed_on_error(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except OSError:
        sock.close()
        raise
