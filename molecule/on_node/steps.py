# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts the steps of a run in this process, and breaks it at one of them.

A step is before each command that changes something and before each change of a file. Others are
added by step(). The code that runs knows nothing of this.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Callable

_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink")
_SAVES = ("/usr/sbin/iptables-save", "/usr/sbin/ip6tables-save")
_READING_COMMANDS = {"-json", "-g", "-t", "is-active", "is-enabled", *_SAVES}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def kill() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


class Steps:
    """The steps of a run. Python has no way to remove its hook, so a process has one of these."""

    def __init__(self, break_off: Callable[[], Any] = kill, opens: bool = True) -> None:
        """Break off by C(break_off). Without C(opens), opening a file to write is not a step."""
        self.names: list[str] = []
        self._at = 0
        self._break_off = break_off
        self._opens = opens
        self._counting = False
        sys.addaudithook(self._audit)

    def count(self, at: int = 0) -> None:
        """Start to count, and break off at step number C(at), if it is not 0."""
        self.names = []
        self._at = at
        self._counting = True

    def stop(self) -> None:
        """Stop counting."""
        self._counting = False

    def step(self, name: str) -> None:
        """Count a step. What breaks off is not counted itself."""
        if not self._counting:
            return
        self.names.append(name)
        if len(self.names) == self._at:
            self._counting = False
            self._break_off()
            self._counting = True

    def _audit(self, event: str, arguments: tuple) -> None:
        if event == "subprocess.Popen":
            if not _READING_COMMANDS & set(arguments[1]):
                self.step(f"run {arguments[1]}")
        elif event in _FILE_EVENTS:
            if _changes_something(event, arguments[0]):
                self.step(f"{event} {arguments[0]}")
        elif event == "open" and self._opens:
            path, mode, flags = arguments
            writing = set(mode) & set("wax+") if isinstance(mode, str) else flags & _WRITING
            if writing and not isinstance(path, int):
                self.step(f"open {path}")


def _changes_something(event: str, path: str) -> bool:
    """Return whether a change of a file will succeed: code also tries to remove absent files."""
    if event == "os.rmdir":
        return os.path.isdir(path) and not os.listdir(path)
    return event != "os.remove" or os.path.lexists(path)
