# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary listeners: processes that answer the probes of one run and end by themselves."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from . import arp, serving, socket_filter, wire, witness
from .sockets import dont_fragment

Endpoint = tuple[str, str, int]
"""An address, a protocol and a port."""

# ps shows the processes by this name.
PROCESS_NAME = "k3s-listener"
_BACKLOG = 256
_SPARE_FILES = 64
_MAX_FILES_PER_PROCESS = 16384
# A second process pays from this many ports on; more processes would take too much memory.
_PORTS_FOR_TWO = 1000
_MAX_PARALLEL = 4
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


@dataclass
class Started:
    """What came of starting listeners."""

    processes: list[dict[str, int]] = field(default_factory=list)
    """C(pid) and C(started), the start time of the process in clock ticks after boot."""
    busy: list[Endpoint] = field(default_factory=list)
    """Endpoints that another process holds."""
    errors: list[tuple[Endpoint, str]] = field(default_factory=list)
    """Endpoints that can't be had for another reason, which is named."""
    witnessed: list[Endpoint] = field(default_factory=list)
    """Those of C(busy) whose datagrams are answered by a witness."""


def start(
    endpoints: Sequence[Endpoint],
    token: str,
    name: str,
    lease: float,
    busy: Sequence[Endpoint] = (),
    watch: Optional[arp.Watch] = None,
) -> Started:
    """Listen on all endpoints in processes of their own, which end C(lease) seconds after this.

    Of UDP ports that another process holds, those in C(busy) among them, a witness answers. The
    first process goes on with C(watch) and notes as its standard output what it sees.

    renew() gives them as long again. Open files are limited, so many endpoints are shared out over
    several processes. Raises OSError where there can be no process.
    """
    result = Started()
    tag = wire.Messages(token).tag
    try:
        for share in _shares(endpoints):
            sockets: list[socket.socket] = []
            for endpoint in share:
                try:
                    sockets.append(_open(endpoint, tag))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        result.busy.append(endpoint)
                    else:
                        result.errors.append((endpoint, _explain(endpoint, error)))
            if sockets:
                first = None if result.processes else watch
                result.processes.append(_spawn(sockets, token, name, lease, watch=first))
        result.busy += busy
        _bear_witness(result, token, tag, name, lease)
    except OSError:
        stop(result.processes)
        raise
    finally:
        if watch is not None:
            watch.close()
    result.busy.sort()
    result.errors.sort()
    return result


def _bear_witness(result: Started, token: str, tag: bytes, name: str, lease: float) -> None:
    """Answer datagrams beside the processes that hold their ports, as far as this host lets us."""
    ports: dict[str, set[int]] = defaultdict(set)
    for address, protocol, port in result.busy:
        if protocol == "udp" and ":" not in address:
            ports[address].add(port)
    held: dict[socket.socket, set[int]] = {}
    for address, wanted in ports.items():
        with contextlib.suppress(OSError):
            held[witness.open_socket(address, tag)] = wanted
            result.witnessed += [(address, "udp", port) for port in sorted(wanted)]
    if held:
        result.processes.append(_spawn(list(held), token, name, lease, held))


def renew(processes: Sequence[dict[str, int]]) -> list[int]:
    """Have listeners last a lease from now on; return the numbers of those that are gone.

    A process number that is in new hands by now is spared.
    """
    return [process["pid"] for process in processes if not _signal(process, serving.RENEWAL)]


def stop(processes: Sequence[dict[str, int]]) -> int:
    """End listeners and return how many were still there.

    A process number that is in new hands by now is spared.
    """
    return sum(_signal(process, signal.SIGKILL) for process in processes)


def _signal(process: dict[str, int], signum: int) -> bool:
    if start_time(process["pid"]) != process["started"]:
        return False
    try:
        os.kill(process["pid"], signum)
    except ProcessLookupError:
        return False
    return True


def start_time(pid: int) -> Optional[int]:
    """Return when a process started, in clock ticks after boot; None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
            return None if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def merged(
    errors: Sequence[tuple[Endpoint, str]],
) -> list[tuple[str, str, int, int, str]]:
    """Return (address, protocol, first, last, reason) for runs of ports with the same trouble."""
    runs: list[tuple[str, str, int, int, str]] = []
    for (address, protocol, port), reason in sorted(errors):
        first = port
        if runs and runs[-1][:2] == (address, protocol) and runs[-1][3:] == (port - 1, reason):
            first = runs.pop()[2]
        runs.append((address, protocol, first, port, reason))
    return runs


def limit_of_files(wanted: int) -> int:
    """Raise the limit of open files as far as needed and allowed, and return what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def out_of_files() -> str:
    """Say what to do where there are no free file descriptors."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"no free file descriptors (a process may have {soft}; all of the host: "
        "sysctl fs.file-nr): raise the limit (ulimit -n, fs.file-max)"
    )


def processes_for(ports: int) -> int:
    """Return how many processes share the work for this many ports."""
    return 1 if ports < _PORTS_FOR_TWO else max(2, min(os.cpu_count() or 1, _MAX_PARALLEL))


def _shares(endpoints: Sequence[Endpoint]) -> list[Sequence[Endpoint]]:
    """Share endpoints out over processes, evenly, so that none of them is busy alone."""
    files = max(1, limit_of_files(_MAX_FILES_PER_PROCESS) - _SPARE_FILES)
    count = max(-(-len(endpoints) // files), processes_for(len(endpoints)))
    return [endpoints[number::count] for number in range(count)]


def _explain(endpoint: Endpoint, error: OSError) -> str:
    if error.errno in _OUT_OF_FILES:
        return out_of_files()
    if error.errno == errno.EADDRNOTAVAIL:
        return f"it does not have the address {endpoint[0]}: see k3s_topology_node_ip"
    return error.strerror or str(error)


def _open(endpoint: Endpoint, tag: bytes) -> socket.socket:
    address, protocol, port = endpoint
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if protocol == "tcp":
            # Over UDP this would share the port with whoever holds it.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            socket_filter.try_to_attach(opened, socket_filter.of_questions(tag))
            if family == socket.AF_INET:
                dont_fragment(opened)
        opened.bind((address, port))
        if protocol == "tcp":
            opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _spawn(
    sockets: Sequence[socket.socket],
    token: str,
    name: str,
    lease: float,
    held: Optional[Mapping[socket.socket, Collection[int]]] = None,
    watch: Optional[arp.Watch] = None,
) -> dict[str, int]:
    # The child may not run before its number is known to the parent, so no race with stop().
    # Where we came by a terminal, which sudo with a password takes, the end of the module hangs up
    # on a child that has not left our session yet.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _detach([*sockets, *(watch.sockets if watch else ())])
            serving.Server(sockets, token, name, held or {}, watch).serve(lease)
            status = 0
        finally:
            os._exit(status)
    for one in sockets:
        one.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return {"pid": pid, "started": start_time(pid) or 0}


def _detach(sockets: Sequence[socket.socket]) -> None:
    """Leave the session and every file of the module that started us."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    keep = [2, *sorted(one.fileno() for one in sockets), os.sysconf("SC_OPEN_MAX")]
    for before, after in zip(keep, keep[1:]):
        os.closerange(before + 1, after)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as stream:
        stream.write(PROCESS_NAME)
