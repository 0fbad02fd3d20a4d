# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: brings its firewall to a state, and breaks that run at one of its steps.

break_at.py STEP [--do COMMAND] < {"wanted": ..., "confirm_timeout": ...}

A step is after each call of D-Bus that changes something (before the next one it is the same),
before each command that changes something, and before each change of a file. At the step of that
number the process kills itself, or runs a command and goes on. At its end it prints what came of
it, with the steps it took. The code of the collection is read from PYTHONPATH and knows nothing of
this.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys

import dbus.connection

# Loaded before steps are counted, as in the module, where all comes in one file.
from ansible_collections.edgeops.k3s_network.plugins.module_utils import (
    _firewalld_host,
    _firewalld_open,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_judge import Terms

_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink")
_READING = ("get", "Get", "query", "NameHasOwner")
_SAVES = ("/usr/sbin/iptables-save", "/usr/sbin/ip6tables-save")
_READING_COMMANDS = {"-g", "-t", "is-active", "is-enabled", *_SAVES}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Breaker:
    """Counts steps and breaks at one."""

    def __init__(self, at: int, command: str) -> None:
        self._at = at
        self._command = command
        self._count = 0
        self._busy = False
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        if self._busy:
            return
        self._count += 1
        self.steps.append(name)
        if self._count != self._at:
            return
        if not self._command:
            print(f"killed at step {self._count}: {name}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        self._busy = True
        print(f"at step {self._count}: {name}", flush=True)
        subprocess.run(self._command, shell=True, check=False)
        self._busy = False

    def audit(self, event: str, arguments: tuple) -> None:
        if event == "subprocess.Popen":
            if not _READING_COMMANDS & set(arguments[1]):
                self.step(f"run {arguments[1]}")
        elif event in _FILE_EVENTS:
            self.step(f"{event} {arguments[0]}")
        elif event == "open":
            path, mode, flags = arguments
            writing = set(mode) & set("wax+") if isinstance(mode, str) else flags & _WRITING
            if writing and not isinstance(path, int):
                self.step(f"open {path}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", type=int)
    parser.add_argument("--do", default="")
    arguments = parser.parse_args()
    asked = json.load(sys.stdin)
    breaker = Breaker(arguments.step, arguments.do)
    call = dbus.connection.Connection.call_blocking

    def call_and_count(self, bus_name, path, interface, method, *rest, **named):
        if method.startswith(_READING):
            return call(self, bus_name, path, interface, method, *rest, **named)
        try:
            return call(self, bus_name, path, interface, method, *rest, **named)
        finally:
            breaker.step(f"after {method}")

    dbus.connection.Connection.call_blocking = call_and_count
    sys.addaudithook(breaker.audit)
    try:
        result = _firewalld_host.bring_to_state(
            _firewalld_open.run,
            asked["wanted"],
            Terms(confirm_timeout=asked.get("confirm_timeout", 0)),
        )
    except Exception as error:  # As the module does, with the error for the reader.
        result = {"failed": f"{type(error).__name__}: {error}"}
    breaker._busy = True
    result["steps"] = breaker.steps
    print(json.dumps(result))


if __name__ == "__main__":
    main()
