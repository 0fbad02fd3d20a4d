# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes many ports of many hosts at once, in one process, and says what came of each."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import secrets
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from .. import _ports
from . import icmp, listener, wire

OPEN = "open"
"""The named host answered with the token of the run."""
ACCEPTED = "accepted"
"""Something answered, but no listener of ours: a service, or another host."""
REFLECTED = "it sent back what it got"
"""The detail of ACCEPTED where that is all that came over UDP."""
WITNESSED = "a process holds the port, and beside it the datagram was seen behind the firewall"
"""The detail of OPEN where a witness has answered over UDP."""
WRONG_HOST = "wrong_host"
"""A listener of this run answered, but that of another host or port."""
REFUSED = "refused"
REJECTED = "rejected"
TIMEOUT = "timeout"
MTU_HOLE = "mtu_hole"
"""Small packets are answered, and full-size ones are not."""
LOSS = "loss"
"""Some packets are answered and others are lost, whatever their size."""
OVERLAY_SILENT = "overlay_silent"
"""The port stayed silent, and so did what is reached through it by this host's overlay device."""
PORT_IS_OPEN = "though the port itself is open"
"""What the detail of OVERLAY_SILENT ends with where a witness has answered."""
NOT_SEEN_AT_PORT = "though the port itself did not answer"
"""What the detail of OPEN ends with if WireGuard answered and no witness did.

A witness that is there contradicts it: a firewall drops new packets to the port, and admits those
of a connection that it has tracked before.
"""
UNREACHABLE = "unreachable"
NO_ROUTE = "no route on the source"
"""The detail of UNREACHABLE if the source has no route to the address."""
ERROR = "error"

# Enough to keep the processors busy, and short enough for queues on the way.
_MAX_CONCURRENT = 1000
_BATCH = 64
_SPARE_FILES = 64
# A lost datagram shall not look like a closed port.
_UDP_TRIES = 4
# Without an ICMP socket: a firewall's ICMP comes at once, a failed ARP after some seconds.
_ARP_SECONDS = 0.9
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


class Endpoint(NamedTuple):
    """A port to probe, and the inventory name of the host that should answer."""

    destination: str
    address: str
    protocol: str
    port: int


class Outcome(NamedTuple):
    """What came of a probe; C(detail) names who answered or what the system said."""

    observed: str
    detail: str = ""


@dataclass(frozen=True)
class Target:
    """Ports of a host; C(full_size) asks for packets of the NIC's full size over UDP, too."""

    destination: str
    address: str
    protocol: str
    ports: tuple[_ports.Interval, ...]
    full_size: bool = False

    def __len__(self) -> int:
        """Return the number of ports."""
        return _ports.size(self.ports)

    def endpoints(self) -> Iterator[Endpoint]:
        """Return all ports in order."""
        for first, last in self.ports:
            for port in range(first, last + 1):
                yield Endpoint(self.destination, self.address, self.protocol, port)


_UNPROBED = Outcome(ERROR, "the probe ended before its turn")


@dataclass
class Outcomes:
    """Outcomes by the position of the endpoint, a number for each: there may be a million."""

    numbers: array[int]
    kinds: dict[Outcome, int] = field(default_factory=lambda: {_UNPROBED: 0})

    @classmethod
    def of(cls, size: int) -> Outcomes:
        """Return those of so many endpoints before the first is probed."""
        return cls(array("I", bytes(array("I").itemsize * size)))

    def __iter__(self) -> Iterator[Outcome]:
        """Return all in order."""
        return map(list(self.kinds).__getitem__, self.numbers)

    def between(self, start: int, stop: int) -> Iterator[tuple[int, Outcome]]:
        """Return some with their positions."""
        kinds = list(self.kinds)
        for position in range(start, stop):
            yield position, kinds[self.numbers[position]]

    def __setitem__(self, position: int, outcome: Outcome) -> None:
        """Note the outcome of an endpoint."""
        self.numbers[position] = self._number(outcome)

    def merge(self, others: Outcomes, share: slice) -> None:
        """Take those over that a process of its own has found out for its share of endpoints."""
        numbers = [self._number(outcome) for outcome in others.kinds]
        self.numbers[share] = array("I", [numbers[number] for number in others.numbers])

    def _number(self, outcome: Outcome) -> int:
        return self.kinds.setdefault(outcome, len(self.kinds))


class _Probe:
    """A probe that is under way."""

    __slots__ = ("deadline", "endpoint", "position", "question", "received", "sock", "started")

    def __init__(
        self, position: int, endpoint: Endpoint, sock: socket.socket, timeout: float
    ) -> None:
        self.position = position
        self.endpoint = endpoint
        self.sock = sock
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.question = b""
        self.received = b""


class Prober:
    """Probes endpoints concurrently in one process.

    C(timeout) is in seconds and holds for a single probe.
    """

    def __init__(self, token: str, timeout: float) -> None:
        self._token = token
        self._timeout = timeout
        self._poller = select.epoll()
        self._probes: dict[int, _Probe] = {}
        # All wait equally long, so what begins first is first to be over.
        self._timers: deque[_Probe] = deque()
        self._again: deque[tuple[float, _Probe]] = deque()
        self._icmp = icmp.open_listener()
        if self._icmp is not None:
            self._poller.register(self._icmp.fileno(), select.EPOLLIN)
        self._outcomes = Outcomes.of(0)

    def run(self, endpoints: Sequence[Endpoint]) -> Outcomes:
        """Probe all endpoints and return the outcome of each."""
        return self.run_share(enumerate(endpoints), len(endpoints))

    def run_share(self, endpoints: Iterator[tuple[int, Endpoint]], size: int) -> Outcomes:
        """Probe endpoints that come with their positions."""
        self._outcomes = Outcomes.of(size)
        limit = max(1, listener.limit_of_files(_MAX_CONCURRENT + _SPARE_FILES) - _SPARE_FILES)
        waiting: Optional[tuple[int, Endpoint]] = next(endpoints, None)
        while waiting is not None or self._probes:
            room = min(limit - len(self._probes), _BATCH)
            while waiting is not None and room > 0:
                try:
                    self._begin(*waiting)
                except OSError as error:
                    if error.errno in _OUT_OF_FILES and self._probes:
                        # Those that are under way will give back theirs.
                        limit = len(self._probes)
                        break
                    self._outcomes[waiting[0]] = _trouble(error)
                room -= 1
                waiting = next(endpoints, None)
            self._wait(at_once=waiting is not None and len(self._probes) < limit)
        self._poller.close()
        if self._icmp is not None:
            self._icmp.close()
        return self._outcomes

    def _begin(self, position: int, endpoint: Endpoint) -> None:
        """Start a probe. Raises OSError where there can be no socket."""
        _destination, address, protocol, port = endpoint
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        tcp = protocol == "tcp"
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        probe = _Probe(position, endpoint, sock, self._timeout)
        code = sock.connect_ex((address, port))
        if code not in (0, errno.EINPROGRESS):
            self._fail(probe, code)
            return
        if not tcp:
            probe.question = wire.question(self._token, secrets.token_hex(8))
            try:
                sock.send(probe.question)
            except OSError as error:
                self._fail(probe, error.errno or 0)
                return
            self._again.append((probe.started + self._timeout / _UDP_TRIES, probe))
        number = sock.fileno()
        self._probes[number] = probe
        # The listener speaks first; an error wakes us unasked.
        self._poller.register(number, select.EPOLLIN)
        self._timers.append(probe)

    def _wait(self, at_once: bool) -> None:
        pause = 0.0
        if not at_once:
            firsts = [self._timers[0].deadline] if self._timers else []
            firsts += [self._again[0][0]] if self._again else []
            pause = max(0.0, min(firsts, default=0.0) - time.monotonic())
        for number, _event in self._poller.poll(pause):
            probe = self._probes.get(number)
            if probe is None:
                if self._icmp is not None:
                    self._icmp.drain()
                continue
            try:
                self._advance(probe)
            except OSError as error:
                self._fail(probe, error.errno or 0)
        now = time.monotonic()
        while self._again and self._again[0][0] <= now:
            self._ask_again(self._again.popleft()[1], now)
        while self._timers:
            probe = self._timers[0]
            over = self._probes.get(probe.sock.fileno()) is not probe
            if not over and probe.deadline > now:
                break
            self._timers.popleft()
            if not over:
                self._expire(probe)

    def _advance(self, probe: _Probe) -> None:
        """Take the next step of a probe whose socket is ready. Raises OSError where it failed."""
        if probe.question:
            data = probe.sock.recv(wire.ANSWER_MAX + 1)
            speaker = wire.read_reply(data, probe.question)
            if data == probe.question:
                self._finish(probe, Outcome(ACCEPTED, REFLECTED))
            elif speaker is not None or not wire.is_stale(data, probe.question):
                # A stale one is an answer to what was asked before.
                self._evaluate(probe, speaker)
            return
        # An answer that stays unread has close() reset the connection, as _finish() wants it.
        if not probe.received:
            data = probe.sock.recv(wire.ANSWER_MAX, socket.MSG_PEEK)
            destination, _address, _protocol, port = probe.endpoint
            if data == wire.answer(self._token, port, destination):
                self._finish(probe, Outcome(OPEN))
                return
        data = probe.sock.recv(wire.ANSWER_MAX)
        probe.received += data
        if data and b"\n" not in probe.received and len(probe.received) < wire.ANSWER_MAX:
            return
        self._evaluate(probe, wire.read_answer(probe.received, self._token))

    def _evaluate(self, probe: _Probe, speaker: Optional[wire.Speaker]) -> None:
        """Tell who answered."""
        destination, _address, _protocol, port = probe.endpoint
        if speaker is None:
            self._finish(probe, Outcome(ACCEPTED))
        elif speaker.name != destination:
            self._finish(probe, Outcome(WRONG_HOST, speaker.name))
        elif speaker.port != port:
            self._finish(probe, Outcome(WRONG_HOST, f"{destination}'s port {speaker.port}"))
        else:
            self._finish(probe, Outcome(OPEN, WITNESSED if speaker.witness else ""))

    def _ask_again(self, probe: _Probe, now: float) -> None:
        if self._probes.get(probe.sock.fileno()) is not probe or now >= probe.deadline:
            return
        with contextlib.suppress(OSError):
            probe.sock.send(probe.question)
        self._again.append((now + self._timeout / _UDP_TRIES, probe))

    def _expire(self, probe: _Probe) -> None:
        if _is_connected(probe):
            self._evaluate(probe, None)
        else:
            self._fail(probe, errno.ETIMEDOUT)

    def _fail(self, probe: _Probe, code: int) -> None:
        self._finish(probe, self._explain(probe, code))

    def _explain(self, probe: _Probe, code: int) -> Outcome:
        endpoint = probe.endpoint
        message = None
        if self._icmp is not None:
            self._icmp.drain()
            own_port = probe.sock.getsockname()[1]
            message = self._icmp.find(endpoint.address, endpoint.protocol, own_port, endpoint.port)
        if code in (errno.ECONNRESET, errno.EPIPE):
            # A connection that was never accepted is refused instead.
            return Outcome(ACCEPTED)
        if message is not None:
            if message.is_port_unreachable and endpoint.protocol == "udp":
                # The system's own answer for a port that nobody holds, unless a rule imitates it.
                return Outcome(REFUSED, f"ICMP port unreachable from {message.sender}")
            kind = REJECTED if message.is_prohibited or message.is_port_unreachable else UNREACHABLE
            return Outcome(kind, f"ICMP {message.text} from {message.sender}")
        if code == errno.ECONNREFUSED:
            return Outcome(REFUSED)
        if code == errno.ETIMEDOUT:
            return Outcome(TIMEOUT)
        at_once = time.monotonic() - probe.started < _ARP_SECONDS
        if code in (errno.EHOSTUNREACH, errno.EACCES) and self._icmp is None and at_once:
            return Outcome(REJECTED)
        if code == errno.EHOSTUNREACH:
            return Outcome(UNREACHABLE, "no answer to ARP")
        if code == errno.ENETUNREACH:
            return Outcome(UNREACHABLE, NO_ROUTE)
        return _trouble(OSError(code, errno.errorcode.get(code, str(code))))

    def _finish(self, probe: _Probe, outcome: Outcome) -> None:
        self._outcomes[probe.position] = outcome
        self._probes.pop(probe.sock.fileno(), None)
        if outcome.observed != OPEN:
            # A reset leaves no connection in TIME_WAIT on a port that a service wants to have.
            with contextlib.suppress(OSError):
                probe.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        probe.sock.close()


def _trouble(error: OSError) -> Outcome:
    """Say what keeps this host from probing."""
    text = listener.out_of_files() if error.errno in _OUT_OF_FILES else error.strerror
    return Outcome(ERROR, f"on the source: {text}")


def _is_connected(probe: _Probe) -> bool:
    if probe.question:
        return False
    try:
        probe.sock.getpeername()
    except OSError:
        return False
    return True


def local_address(address: str) -> Optional[str]:
    """Return the address that this host reaches another one from, None where there is no route."""
    version = ipaddress.ip_address(address).version
    with socket.socket(
        socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        try:
            # A datagram socket only looks the route up; nothing is sent.
            sock.connect((address, 9))
            return str(sock.getsockname()[0])
        except OSError:
            return None


def group(
    endpoints: Iterable[Endpoint], outcomes: Iterable[Outcome]
) -> Iterator[tuple[int, int, Outcome]]:
    """Yield (first, last, outcome) for runs of neighbours with the same outcome."""
    pairs = zip(endpoints, outcomes)
    for outcome, run in itertools.groupby(pairs, key=lambda pair: pair[1]):
        ports = [endpoint.port for endpoint, _outcome in run]
        yield ports[0], ports[-1], outcome
