# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes many ports of many hosts at once and says what came of each."""

from __future__ import annotations

import contextlib
import errno
import heapq
import ipaddress
import resource
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _icmp, _wire

OPEN = "open"
"""The named host answered with the token of the run."""
ACCEPTED = "accepted"
"""The connection was accepted, but no listener of ours spoke: a service, or another host."""
WRONG_HOST = "wrong_host"
"""A listener of this run answered, but that of another host."""
REFUSED = "refused"
REJECTED = "rejected"
TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
ERROR = "error"

_MAX_CONCURRENT = 1000
_SPARE_FILES = 64
# A lost datagram shall not look like a closed port.
_UDP_TRIES = 4
# Without an ICMP socket: a firewall's ICMP comes at once, a failed ARP after some seconds.
_ARP_SECONDS = 0.9


@dataclass(frozen=True)
class Endpoint:
    """A port to probe, and the inventory name of the host that should answer."""

    destination: str
    address: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Outcome:
    """What came of a probe; C(detail) names who answered or what the system said."""

    observed: str
    detail: str = ""


@dataclass
class _Probe:
    endpoint: Endpoint
    sock: socket.socket
    started: float
    deadline: float
    own_port: int = 0
    connected: bool = False
    tries: int = 1
    received: bytes = b""


class Prober:
    """Probes endpoints concurrently in one process.

    C(timeout) is in seconds and holds for a single probe.
    """

    def __init__(self, token: str, timeout: float) -> None:
        self._token = token
        self._timeout = timeout
        self._poller = select.epoll()
        self._probes: dict[int, _Probe] = {}
        self._timers: list[tuple[float, int, _Probe]] = []
        self._icmp = _icmp.open_listener()
        if self._icmp is not None:
            self._poller.register(self._icmp.fileno(), select.EPOLLIN)
        self._results: dict[Endpoint, Outcome] = {}

    def run(self, endpoints: Iterable[Endpoint]) -> dict[Endpoint, Outcome]:
        """Probe all endpoints and return the outcome of each."""
        waiting = iter(endpoints)
        exhausted = False
        limit = _concurrency()
        while True:
            while not exhausted and len(self._probes) < limit:
                endpoint = next(waiting, None)
                if endpoint is None:
                    exhausted = True
                    break
                self._begin(endpoint)
            if exhausted and not self._probes:
                break
            self._wait()
        self._poller.close()
        if self._icmp is not None:
            self._icmp.close()
        return self._results

    def _begin(self, endpoint: Endpoint) -> None:
        version = ipaddress.ip_address(endpoint.address).version
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        tcp = endpoint.protocol == "tcp"
        try:
            sock = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        except OSError as error:
            self._results[endpoint] = Outcome(ERROR, f"on the source: {error.strerror}")
            return
        sock.setblocking(False)
        now = time.monotonic()
        probe = _Probe(endpoint, sock, now, now + self._timeout)
        try:
            code = sock.connect_ex((endpoint.address, endpoint.port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, "")
            # Once the connection has failed, the socket no longer knows it.
            probe.own_port = sock.getsockname()[1]
            if not tcp:
                sock.send(_wire.question(self._token))
        except OSError as error:
            self._fail(probe, error.errno or 0)
            return
        number = sock.fileno()
        self._probes[number] = probe
        self._poller.register(number, select.EPOLLOUT if tcp else select.EPOLLIN)
        first = probe.deadline if tcp else now + self._timeout / _UDP_TRIES
        heapq.heappush(self._timers, (first, id(probe), probe))

    def _wait(self) -> None:
        now = time.monotonic()
        pause = max(0.0, self._timers[0][0] - now) if self._timers else 0.0
        for number, _event in self._poller.poll(pause):
            if self._icmp is not None and number == self._icmp.fileno():
                self._icmp.drain()
                continue
            probe = self._probes.get(number)
            if probe is None:
                continue
            try:
                self._advance(probe)
            except OSError as error:
                self._fail(probe, error.errno or 0)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _when, _key, probe = heapq.heappop(self._timers)
            if self._probes.get(probe.sock.fileno()) is probe:
                self._expire(probe, now)

    def _advance(self, probe: _Probe) -> None:
        """Take the next step of a probe whose socket is ready. Raises OSError where it failed."""
        if probe.endpoint.protocol == "tcp" and not probe.connected:
            code = probe.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "")
            probe.connected = True
            self._poller.modify(probe.sock.fileno(), select.EPOLLIN)
            return
        try:
            data = probe.sock.recv(_wire.ANSWER_MAX)
        except BlockingIOError:
            return
        probe.received += data
        if data and b"\n" not in probe.received and len(probe.received) < _wire.ANSWER_MAX:
            return
        self._judge(probe)

    def _judge(self, probe: _Probe) -> None:
        """Tell who answered."""
        name = _wire.read_answer(probe.received, self._token)
        if name == probe.endpoint.destination:
            self._finish(probe, Outcome(OPEN))
        elif name is not None:
            self._finish(probe, Outcome(WRONG_HOST, name))
        else:
            self._finish(probe, Outcome(ACCEPTED))

    def _expire(self, probe: _Probe, now: float) -> None:
        if now < probe.deadline:
            # UDP only: ask again.
            probe.tries += 1
            with contextlib.suppress(OSError):
                probe.sock.send(_wire.question(self._token))
            again = min(probe.deadline, now + self._timeout / _UDP_TRIES)
            heapq.heappush(self._timers, (again, id(probe), probe))
        elif probe.connected:
            self._judge(probe)
        else:
            self._fail(probe, errno.ETIMEDOUT)

    def _fail(self, probe: _Probe, code: int) -> None:
        self._finish(probe, self._explain(probe, code))

    def _explain(self, probe: _Probe, code: int) -> Outcome:
        endpoint = probe.endpoint
        message = None
        if self._icmp is not None:
            self._icmp.drain()
            message = self._icmp.find(
                endpoint.address, endpoint.protocol, probe.own_port, endpoint.port
            )
        if code == errno.ECONNRESET and probe.connected:
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
            return Outcome(UNREACHABLE, "no route on the source")
        return Outcome(ERROR, f"on the source: {errno.errorcode.get(code, code)}")

    def _finish(self, probe: _Probe, outcome: Outcome) -> None:
        self._results[probe.endpoint] = outcome
        number = probe.sock.fileno()
        if self._probes.pop(number, None) is not None:
            self._poller.unregister(number)
        if probe.connected:
            # A reset leaves no connection in TIME_WAIT on a port that a service wants to have.
            with contextlib.suppress(OSError):
                probe.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        probe.sock.close()


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
    endpoints: Sequence[Endpoint], results: dict[Endpoint, Outcome]
) -> Iterator[tuple[int, int, Outcome]]:
    """Yield (first, last, outcome) for runs of neighbours in C(endpoints) with the same outcome."""
    first: Optional[Endpoint] = None
    last: Optional[Endpoint] = None
    for endpoint in endpoints:
        if first is not None and last is not None:
            if results[endpoint] == results[first]:
                last = endpoint
                continue
            yield first.port, last.port, results[first]
        first = last = endpoint
    if first is not None and last is not None:
        yield first.port, last.port, results[first]


def _concurrency() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _MAX_CONCURRENT + _SPARE_FILES:
        wanted = _MAX_CONCURRENT + _SPARE_FILES
    else:
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - _SPARE_FILES)
