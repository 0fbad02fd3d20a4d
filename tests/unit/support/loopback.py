# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real sockets on the loopback network, and a check that none of them is left."""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import socket
import threading
import traceback

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import listener, wire

TOKEN = "0123456789abcdef0123456789abcdef"
MESSAGES = wire.Messages(TOKEN)
HERE = "127.0.0.1"
THERE = "127.0.0.2"


def free_port(kind=socket.SOCK_STREAM, address=HERE) -> int:
    """Return a port that nobody holds."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


def some_free_ports(count) -> list[int]:
    """Return ports that nobody holds."""
    holders = [socket.create_server((HERE, 0)) for _number in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def with_limit_of_files(limit, call):
    """Call a function in a process that may not have more files, and return what it returns."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            with open(writing, "wb") as stream:
                pickle.dump(call(), stream)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    return pickle.loads(data)


@contextlib.contextmanager
def listening(*endpoints, name="server1", token=TOKEN, lease=20.0):
    """Run listeners and reap them afterwards."""
    started = listener.start(endpoints, token, name, lease)
    try:
        yield started
    finally:
        listener.stop(started.processes)
        for process in started.processes:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process["pid"], 0)


@contextlib.contextmanager
def service(kind=socket.SOCK_STREAM, says=b"", answers=None, address=HERE, talks=None):
    """Run a service that is none of ours on a free port, and return the port.

    Over UDP, C(answers) makes answers of questions. Over TCP, C(talks) gets each connection.
    """
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((address, 0))
        sock.settimeout(0.05)
        connections = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                if kind == socket.SOCK_STREAM:
                    sock.listen()
                ready.set()
                while not done.is_set():
                    with contextlib.suppress(socket.timeout):
                        if kind == socket.SOCK_STREAM:
                            connections.append(sock.accept()[0])
                            connections[-1].sendall(says)
                            if talks:
                                talks(connections[-1])
                            continue
                        data, peer = sock.recvfrom(1024)
                        for answer in answers(data) if answers else ():
                            sock.sendto(answer, peer)

        ready, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        ready.wait(30)
        try:
            yield sock.getsockname()[1]
        finally:
            done.set()
            thread.join()
            for connection in connections:
                connection.close()


def ask_tcp(port, address=HERE):
    """Return who answers a question over TCP, and the greeting if it is not one of this run."""
    with socket.create_connection((address, port), timeout=2) as connection:
        greeting = connection.recv(512)
        if greeting != MESSAGES.greeting:
            return greeting
        question = MESSAGES.question("tcp", port, wire.nonce())
        connection.sendall(question)
        return MESSAGES.read_answer(connection.recv(512), question)


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
