# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary listeners: processes that answer the probes of one run and end by themselves."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _wire

Endpoint = tuple[str, str, int]
"""An address, a protocol and a port."""

# ps shows the processes by this name.
PROCESS_NAME = "k3s-listener"
_BACKLOG = 256
_SPARE_FILES = 64
_MAX_FILES_PER_PROCESS = 16384


@dataclass
class Started:
    """What came of starting listeners."""

    processes: list[dict[str, int]] = field(default_factory=list)
    """C(pid) and C(started), the start time of the process in clock ticks after boot."""
    busy: list[Endpoint] = field(default_factory=list)
    """Endpoints that another process holds."""


def start(endpoints: Sequence[Endpoint], token: str, name: str, lease: float) -> Started:
    """Listen on all endpoints in processes of their own, which end after C(lease) seconds.

    Open files are limited, so many endpoints are shared out over several processes. Raises OSError
    where an endpoint can't be had for another reason than being taken.
    """
    share = _files_per_process()
    result = Started()
    position = 0
    try:
        while position < len(endpoints):
            sockets: list[socket.socket] = []
            while position < len(endpoints) and len(sockets) < share:
                endpoint = endpoints[position]
                position += 1
                try:
                    sockets.append(_open(endpoint))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        address, protocol, port = endpoint
                        raise OSError(
                            error.errno, f"listen on {address} port {port}/{protocol}: {error}"
                        ) from error
                    result.busy.append(endpoint)
            if sockets:
                result.processes.append(_spawn(sockets, token, name, lease))
    except OSError:
        stop(result.processes)
        raise
    return result


def stop(processes: Sequence[dict[str, int]]) -> int:
    """End listeners and return how many were still there.

    A process number that is in new hands by now is spared.
    """
    ended = 0
    for process in processes:
        if start_time(process["pid"]) == process["started"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGKILL)
                ended += 1
    return ended


def start_time(pid: int) -> Optional[int]:
    """Return when a process started, in clock ticks after boot; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _files_per_process() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else _MAX_FILES_PER_PROCESS
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    # Half of them are for connections that come in.
    return max(1, min(limit, _MAX_FILES_PER_PROCESS) // 2 - _SPARE_FILES)


def _open(endpoint: Endpoint) -> socket.socket:
    address, protocol, port = endpoint
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    opened = socket.socket(family, kind)
    try:
        opened.setblocking(False)
        if protocol == "tcp":
            # Over UDP this would share the port with whoever holds it.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        if protocol == "tcp":
            opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _spawn(sockets: Sequence[socket.socket], token: str, name: str, lease: float) -> dict[str, int]:
    # The child may not run before its number is known to the parent, so no race with stop().
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _detach(sockets)
            _serve(sockets, token, name, time.monotonic() + lease)
            status = 0
        finally:
            os._exit(status)
    for one in sockets:
        one.close()
    return {"pid": pid, "started": start_time(pid) or 0}


def _detach(sockets: Sequence[socket.socket]) -> None:
    """Leave the session and every file of the module that started us."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    keep = {one.fileno() for one in sockets}
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in keep:
            with contextlib.suppress(OSError):
                os.close(number)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as stream:
        stream.write(PROCESS_NAME)


def _serve(sockets: Sequence[socket.socket], token: str, name: str, deadline: float) -> None:
    said = _wire.answer(token, name)
    by_number = {one.fileno(): one for one in sockets}
    poller = select.epoll()
    for number in by_number:
        poller.register(number, select.EPOLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return
        for number, _event in poller.poll(left):
            one = by_number[number]
            with contextlib.suppress(OSError):
                if one.type == socket.SOCK_STREAM:
                    connection, _peer = one.accept()
                    with connection:
                        connection.send(said)
                else:
                    data, peer = one.recvfrom(_wire.ANSWER_MAX)
                    if _wire.is_question(data, token):
                        one.sendto(said, peer)
