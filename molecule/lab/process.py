# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that the lab may end: known by id and start time, by cgroup or by namespace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

from common import LabError, wait_until


def systemd_is_init() -> bool:
    """Whether the host's PID 1 is systemd, which then owns the cgroups."""
    return Path("/proc/1/comm").read_text().strip() == "systemd"


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None when there is no such one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def record(path: Path, pid: int) -> None:
    """Write down which process this is, so that another one with its id is never taken for it."""
    path.write_text(json.dumps({"pid": pid, "start_time": start_time(pid)}))


def recorded(path: Path) -> int | None:
    """The id in a record if that very process still runs."""
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    alive = known["start_time"] is not None and start_time(known["pid"]) == known["start_time"]
    return known["pid"] if alive else None


def send(pid: int, signum: signal.Signals, still_ours: Callable[[], bool]) -> None:
    """Signal a process through a handle, asking after the handle is held whether it is ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if still_ours():
            signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def end_all(members: Callable[[], Iterable[int]]) -> None:
    """Kill what belongs to a set until nothing belongs to it."""

    def empty() -> bool:
        left = [pid for pid in members() if pid and pid != os.getpid()]
        for pid in left:
            send(pid, signal.SIGKILL, lambda pid=pid: pid in members())
        return not left

    if not wait_until(empty, seconds=60):
        raise LabError(f"processes that do not end: {sorted(members())}")


class Cgroup:
    """A cgroup by one path in every hierarchy that systemd inside a machine writes to.

    Machines that share a cgroup would see, and clean up, each other's units.
    """

    def __init__(self, path: str) -> None:
        self.directories = [Path(root) / path for root in _hierarchies()]

    def enter(self) -> None:
        """Move this process there."""
        for directory in self.directories:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "cgroup.procs").write_text(str(os.getpid()))

    def members(self) -> set[int]:
        """The ids of the processes in it and below."""
        found: set[int] = set()
        for directory in self.directories:
            # Unlike Path.rglob(), os.walk() passes over a directory that goes away meanwhile.
            for path, _names, files in os.walk(directory):
                if "cgroup.procs" in files:
                    with contextlib.suppress(OSError):
                        found.update(map(int, Path(path, "cgroup.procs").read_text().split()))
        return {pid for pid in found if start_time(pid) is not None}

    def remove(self) -> None:
        """End what lives in it and remove the directories."""
        end_all(self.members)

        def removed() -> bool:
            for directory in self.directories:
                for child, _names, _files in os.walk(directory, topdown=False):
                    try:
                        os.rmdir(child)
                    except OSError:
                        return False
            return True

        # A process that has ended counts until its parent has noticed.
        if not wait_until(removed, seconds=60):
            raise LabError(f"cgroups that are still in use: {self.directories}")


def _hierarchies() -> list[str]:
    roots = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, target, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            roots.append(target)
    return roots
