# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import serving, wire
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    MESSAGES,
    ask_tcp,
    free_port,
    listening,
    some_free_ports,
)


def connected(port):
    return socket.create_connection((HERE, port), timeout=5)


def is_ended(connection):
    """Return whether the listener has ended a connection, after its greeting."""
    try:
        data = connection.recv(100)
        while data:
            data = connection.recv(100)
    except ConnectionError:
        return True
    except socket.timeout:
        return False
    return True


def test_tcp_peer_gets_nothing_but_the_greeting():
    port = free_port()
    with listening((HERE, "tcp", port)), connected(port) as connection:
        connection.settimeout(0.3)
        assert connection.recv(512) == MESSAGES.greeting
        with pytest.raises(socket.timeout):
            connection.recv(512)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\n\r\n",
        wire.Messages("f" * 32).question("tcp", 1, bytes(16)),
        MESSAGES.question("udp", 1, bytes(16)),
        MESSAGES.question("tcp", 1, bytes(16))[:-1] + b"x",
    ],
)
def test_tcp_question_that_is_not_valid_ends_the_connection(said):
    port = free_port()
    with listening((HERE, "tcp", port)), connected(port) as connection:
        assert connection.recv(512) == MESSAGES.greeting
        connection.sendall(said)
        started = time.monotonic()
        with pytest.raises(ConnectionResetError):
            connection.recv(512)
        assert time.monotonic() - started < 1
        assert ask_tcp(port) == (port, "server1", False)


def test_tcp_question_in_pieces_is_answered():
    port = free_port()
    question = MESSAGES.question("tcp", port, wire.nonce())
    with listening((HERE, "tcp", port)), connected(port) as connection:
        assert connection.recv(512) == MESSAGES.greeting
        for start in range(0, len(question), 9):
            connection.sendall(question[start : start + 9])
            time.sleep(0.02)
        answer = connection.recv(512)
        assert MESSAGES.read_answer(answer, question) == (port, "server1", False)
        assert connection.recv(512) == b""


def test_replayed_tcp_question_gets_the_same_answer():
    """Who has recorded a probe learns nothing new by repeating its question."""
    port = free_port()
    question = MESSAGES.question("tcp", port, wire.nonce())
    answers = set()
    with listening((HERE, "tcp", port)):
        for _time in range(2):
            with connected(port) as connection:
                assert connection.recv(512) == MESSAGES.greeting
                connection.sendall(question)
                answers.add(connection.recv(512))
    assert len(answers) == 1


def test_connection_without_a_question_ends_after_two_seconds():
    port = free_port()
    with listening((HERE, "tcp", port)), connected(port) as connection:
        started = time.monotonic()
        assert is_ended(connection)
        assert 1.5 < time.monotonic() - started < 4


def test_idle_connections_are_bounded_and_others_are_answered(monkeypatch):
    monkeypatch.setattr(serving, "_MAX_CONNECTIONS", 20)
    port = free_port()
    with listening((HERE, "tcp", port)) as started, contextlib.ExitStack() as stack:
        pid = started.processes[0]["pid"]
        idle = [stack.enter_context(connected(port)) for _number in range(100)]
        most = 0
        begun = time.monotonic()
        assert idle[0].recv(512) == MESSAGES.greeting
        while time.monotonic() - begun < 0.3:
            most = max(most, len(os.listdir(f"/proc/{pid}/fd")))
        # Three standard streams, two pollers and the socket that listens.
        assert 20 <= most <= 20 + 6
        # 100 of them, 20 at a time, for half a second each.
        answer = None
        with connected(port) as connection:
            connection.settimeout(20)
            assert connection.recv(512) == MESSAGES.greeting
            question = MESSAGES.question("tcp", port, wire.nonce())
            connection.sendall(question)
            answer = MESSAGES.read_answer(connection.recv(512), question)
        assert answer == (port, "server1", False)
        assert time.monotonic() - begun < 10


def test_lack_of_files_ends_idle_connections_first():
    port = free_port()
    with listening((HERE, "tcp", port)) as started, contextlib.ExitStack() as stack:
        pid = started.processes[0]["pid"]
        idle = stack.enter_context(connected(port))
        assert idle.recv(512) == MESSAGES.greeting
        files = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, files))
        assert ask_tcp(port) == (port, "server1", False)
        assert is_ended(idle)


@pytest.mark.parametrize(
    ("soft", "files", "most"),
    [
        (1024, 100, 512),
        (1024, 960, 48),
        (1024, 1020, 1),
        (resource.RLIM_INFINITY, 9000, 512),
    ],
)
def test_connections_leave_files_for_the_sockets(monkeypatch, soft, files, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, soft))
    assert serving._connections_beside(files) == most


def test_many_ports_are_served_at_once():
    ports = some_free_ports(50)
    with listening(*((HERE, "tcp", port) for port in ports)), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(port)) for port in ports]
        questions = [MESSAGES.question("tcp", port, wire.nonce()) for port in ports]
        for connection, question in zip(connections, questions):
            assert connection.recv(512) == MESSAGES.greeting
            connection.sendall(question)
        for port, connection, question in zip(ports, connections, questions):
            answer = MESSAGES.read_answer(connection.recv(512), question)
            assert answer == (port, "server1", False)
