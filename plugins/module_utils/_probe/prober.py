# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes many ports of many hosts at once, in one process, and says what came of each."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from . import icmp, listener, wire
from .targets import Endpoint

OPEN = "open"
"""The named host answered this very probe, as only a holder of the run's token can."""
ACCEPTED = "accepted"
"""Something answered, but not a listener of this run: a service, or another host."""
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
ROUTE_DROPS = {
    errno.EINVAL: "the source has a route of the type blackhole",
    errno.EHOSTUNREACH: "the source has a route of the type unreachable",
    errno.EACCES: "the source has a route of the type prohibit",
}
"""What connect() says at once of a route that drops packets, see ip-route(8)."""
"""The detail of UNREACHABLE if the source has no route to the address."""
ERROR = "error"

# Enough to keep the processors busy, and short enough for queues on the way.
_MAX_CONCURRENT = 1000
_BATCH = 64
_SPARE_FILES = 64
# Others than the source and the destination can make up details, such as senders of ICMP errors.
_MOST_KINDS = 1000
# A lost datagram shall not look like a closed port.
_UDP_TRIES = 4
# Without an ICMP socket: a firewall's ICMP comes at once, a failed ARP after some seconds.
_ARP_SECONDS = 0.9
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


class Outcome(NamedTuple):
    """What came of a probe; C(detail) names who answered or what the system said."""

    observed: str
    detail: str = ""


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
        if len(self.kinds) >= _MOST_KINDS and outcome not in self.kinds:
            outcome = Outcome(outcome.observed)
        return self.kinds.setdefault(outcome, len(self.kinds))


class _Probe:
    """A probe that is under way."""

    __slots__ = (
        "deadline",
        "doubt",
        "endpoint",
        "flow",
        "position",
        "question",
        "received",
        "sock",
        "started",
    )

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
        self.doubt: Optional[Outcome] = None
        self.flow: Optional[icmp.Flow] = None

    @property
    def is_tcp(self) -> bool:
        """Whether it goes over TCP."""
        return self.endpoint.protocol == "tcp"


class Prober:
    """Probes endpoints concurrently in one process.

    C(timeout) is in seconds and holds for a single probe.
    """

    def __init__(self, token: str, timeout: float) -> None:
        self._messages = wire.Messages(token)
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
        self._expect_icmp(probe)
        if code not in (0, errno.EINPROGRESS):
            self._fail(probe, code, ROUTE_DROPS.get(code, ""))
            return
        if not tcp:
            nonce = wire.nonce()
            probe.question = self._messages.question(protocol, port, nonce, wire.ANSWER_MAX)
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
        ready = [number for number, _event in self._poller.poll(pause)]
        # The kernel delivers an ICMP error here before it fails the socket of the probe.
        if self._icmp is not None and self._icmp.fileno() in ready:
            self._icmp.drain()
        for number in ready:
            probe = self._probes.get(number)
            if probe is None:
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

    def _expect_icmp(self, probe: _Probe) -> None:
        """Keep the ICMP errors of a probe that has just got its port."""
        if self._icmp is not None:
            _destination, address, protocol, port = probe.endpoint
            probe.flow = (address, protocol, probe.sock.getsockname()[1], port)
            self._icmp.expect(probe.flow)

    def _advance(self, probe: _Probe) -> None:
        """Take the next step of a probe whose socket is ready. Raises OSError if it failed."""
        if not probe.is_tcp:
            self._read_datagram(probe)
        elif not probe.question:
            self._read_greeting(probe)
        else:
            self._read_answer(probe)

    def _read_datagram(self, probe: _Probe) -> None:
        data = probe.sock.recv(wire.ANSWER_MAX + 1)
        speaker = self._messages.read_answer(data, probe.question)
        if speaker is not None:
            self._evaluate(probe, speaker)
        elif data == probe.question:
            probe.doubt = Outcome(ACCEPTED, REFLECTED)
        elif not self._messages.is_of_this_run(data):
            # Anyone can forge a datagram, so the valid answer is still waited for. What begins as
            # the messages of this run is the answer to another question, or a copy of it.
            probe.doubt = probe.doubt or Outcome(ACCEPTED)

    def _read_greeting(self, probe: _Probe) -> None:
        """Send the question to a listener; a service that holds the port gets none."""
        greeting = self._messages.greeting
        data = probe.sock.recv(len(greeting) - len(probe.received))
        probe.received += data
        if probe.received == greeting:
            protocol, port = probe.endpoint.protocol, probe.endpoint.port
            probe.received = b""
            probe.question = self._messages.question(protocol, port, wire.nonce())
            probe.sock.send(probe.question)
        elif not data or not greeting.startswith(probe.received):
            self._evaluate(probe, None)

    def _read_answer(self, probe: _Probe) -> None:
        # An answer that stays unread has close() reset the connection, as _finish() wants it.
        if not probe.received:
            data = probe.sock.recv(wire.ANSWER_MAX, socket.MSG_PEEK)
            destination, _address, _protocol, port = probe.endpoint
            if self._messages.read_answer(data, probe.question) == (port, destination, False):
                self._finish(probe, Outcome(OPEN))
                return
        data = probe.sock.recv(wire.ANSWER_MAX)
        probe.received += data
        speaker = self._messages.read_answer(probe.received, probe.question)
        if speaker is not None or not data or len(probe.received) >= wire.ANSWER_MAX:
            self._evaluate(probe, speaker)

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
        if probe.doubt is not None:
            self._finish(probe, probe.doubt)
        elif _is_connected(probe):
            self._evaluate(probe, None)
        else:
            self._fail(probe, errno.ETIMEDOUT)

    def _fail(self, probe: _Probe, code: int, route: str = "") -> None:
        self._finish(probe, self._explain(probe, code, route))

    def _explain(self, probe: _Probe, code: int, route: str = "") -> Outcome:
        endpoint = probe.endpoint
        message = None
        if self._icmp is not None and probe.flow is not None:
            message = self._icmp.find(probe.flow)
            if message is None and code != errno.ETIMEDOUT:
                self._icmp.drain()
                message = self._icmp.find(probe.flow)
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
        if route:
            return Outcome(UNREACHABLE, route)
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
        if self._icmp is not None and probe.flow is not None:
            self._icmp.forget(probe.flow)
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
    if not probe.is_tcp:
        return False
    try:
        probe.sock.getpeername()
    except OSError:
        return False
    return True
