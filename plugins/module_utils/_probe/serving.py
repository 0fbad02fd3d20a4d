# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a process of the listeners does: answers questions until its lease is over.

Anyone on the network can send packets here. So each event leads to one read of bounded size, and
connections that have not sent a question yet are bounded in number and time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Optional

from . import arp, wire, witness

RENEWAL = signal.SIGCONT
"""Carry on: does nothing to a process that expects no such signal."""

_UDP_MAX = 65535
# Connections of which the question has not come yet. A prober sends it as soon as it is greeted.
_MAX_CONNECTIONS = 512
_SPARE_FILES = 16
_SECONDS = 2.0
# If no further connection is accepted.
_SECONDS_IF_FULL = 0.5
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
# Closing resets the connection, so that the kernel keeps nothing of it.
_RESET = b"\1\0\0\0\0\0\0\0"


class _Connection:
    """A TCP connection that has been greeted."""

    __slots__ = ("port", "received", "since", "sock")

    def __init__(self, sock: socket.socket, port: int) -> None:
        self.sock = sock
        self.port = port
        self.since = time.monotonic()
        self.received = b""


class Server:
    """Answers on sockets.

    C(held) has the ports for which a raw socket is a witness. C(watch) notes duplicate addresses.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        token: str,
        name: str,
        held: Mapping[socket.socket, Collection[int]],
        watch: Optional[arp.Watch] = None,
    ) -> None:
        self._messages = wire.Messages(token)
        self._name = name
        self._held = held
        self._sockets = {one.fileno(): one for one in sockets}
        self._ports = {number: one.getsockname()[1] for number, one in self._sockets.items()}
        self._watch = watch if watch is not None and _takes_notes(watch) else None
        self._watching = {one.fileno(): one for one in self._watch.sockets} if self._watch else {}
        # In the order of their age.
        self._connections: dict[int, _Connection] = {}
        self._most = _connections_beside(len(self._sockets) + len(self._watching))
        self._poller = select.epoll()
        # Apart from the others: with as many connections as it keeps, it does not poll them.
        self._accepting = select.epoll()
        self._is_accepting = False
        for number, one in self._sockets.items():
            is_tcp = one.type == socket.SOCK_STREAM
            (self._accepting if is_tcp else self._poller).register(number, select.EPOLLIN)
        for number in self._watching:
            self._poller.register(number, select.EPOLLIN)

    def serve(self, lease: float) -> None:
        """Answer until the lease is over. Raises OSError if there are no free file descriptors."""
        deadline = time.monotonic() + lease

        def renewed(*_signal: object) -> None:
            nonlocal deadline
            deadline = time.monotonic() + lease
            if self._watch:
                self._watch.ask()

        signal.signal(RENEWAL, renewed)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._accept_if_there_is_room()
            for number, _event in self._poller.poll(min(left, self._seconds_to_the_next_end())):
                self._handle(number)
            self._end_old_connections()

    def _handle(self, number: int) -> None:
        if number == self._accepting.fileno():
            self._accept()
        elif number in self._connections:
            self._answer_connection(number)
        elif number in self._watching:
            self._note(number)
        elif number in self._sockets:
            # An ICMP error of an earlier answer, or no buffers.
            with contextlib.suppress(OSError):
                self._answer_datagram(number)

    def _answer_datagram(self, number: int) -> None:
        sock = self._sockets[number]
        if sock in self._held:
            witness.answer(sock, self._held[sock], self._messages, self._name)
            return
        question, peer = sock.recvfrom(_UDP_MAX)
        answer = self._messages.answer(question, "udp", self._ports[number], self._name)
        if answer is not None:
            sock.sendto(answer, peer)

    def _accept_if_there_is_room(self) -> None:
        has_room = len(self._connections) < self._most
        if has_room and not self._is_accepting:
            self._poller.register(self._accepting.fileno(), select.EPOLLIN)
        elif self._is_accepting and not has_room:
            self._poller.unregister(self._accepting.fileno())
        self._is_accepting = has_room

    def _accept(self) -> None:
        room = self._most - len(self._connections)
        for number, _event in self._accepting.poll(0, room) if room > 0 else ():
            try:
                sock, _peer = self._sockets[number].accept()
            except OSError as error:
                # Who is not greeted takes this for another service.
                if error.errno in _OUT_OF_FILES and not self._end_the_oldest_connection():
                    raise
                continue
            connection = _Connection(sock, self._ports[number])
            try:
                sock.send(self._messages.greeting, socket.MSG_DONTWAIT)
                self._poller.register(sock.fileno(), select.EPOLLIN)
            except OSError:
                sock.close()
                continue
            self._connections[sock.fileno()] = connection

    def _answer_connection(self, number: int) -> None:
        connection = self._connections[number]
        try:
            data = connection.sock.recv(
                wire.QUESTION_BYTES - len(connection.received), socket.MSG_DONTWAIT
            )
            connection.received += data
            if data and len(connection.received) < wire.QUESTION_BYTES:
                return
            answer = self._messages.answer(connection.received, "tcp", connection.port, self._name)
            if answer is not None:
                # It leaves with the end of the connection, in one packet.
                connection.sock.send(answer, socket.MSG_DONTWAIT | socket.MSG_MORE)
                self._connections.pop(number).sock.close()
                return
        except BlockingIOError:
            # The event was one of an earlier connection with this number.
            return
        except OSError:
            pass
        self._reset(number)

    def _note(self, number: int) -> None:
        if self._watch is None:
            return
        sock = self._watching[number]
        if self._watch.read(sock):
            self._watch.note(1)
        if self._watch.is_full(sock):
            # Nothing more is kept, whatever comes.
            self._poller.unregister(number)

    def _seconds_to_the_next_end(self) -> float:
        oldest = next(iter(self._connections.values()), None)
        if oldest is None:
            return float("inf")
        return max(0.0, oldest.since + self._lifetime() - time.monotonic())

    def _end_old_connections(self) -> None:
        before = time.monotonic() - self._lifetime()
        while self._connections and next(iter(self._connections.values())).since <= before:
            self._end_the_oldest_connection()

    def _lifetime(self) -> float:
        return _SECONDS if len(self._connections) < self._most else _SECONDS_IF_FULL

    def _end_the_oldest_connection(self) -> bool:
        """Make room for another one; return whether there was one."""
        number = next(iter(self._connections), None)
        if number is None:
            return False
        self._reset(number)
        return True

    def _reset(self, number: int) -> None:
        sock = self._connections.pop(number).sock
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()


def _connections_beside(files: int) -> int:
    """Return how many connections a process may keep that has this many other files."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(1, min(_MAX_CONNECTIONS, soft - files - _SPARE_FILES))


def _takes_notes(watch: arp.Watch) -> bool:
    """Make the standard output a file for notes; without one, the probe watches by itself."""
    # A Python for an old C library has no such function.
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.memfd_create("duplicates"), 1)
        watch.note(1)
        return True
    return False
