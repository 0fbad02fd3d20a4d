# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: brings its firewall to states, and breaks such a run at one of its steps.

break_at.py < TASKS

A task is a line of JSON, and is answered by a line of JSON. Its key "task" is one of:

firewall  Bring firewalld to "wanted" as the module does. At step number "step" the process kills
          itself, or runs the command "do" and goes on. The answer is the module's result with the
          "steps" that it took, or null if the process was killed.
confirm_command
          Return the command that confirms the change "identity".
settle    Wait until no guardian runs any more.
profiles  Do an "action" of profiles_on_node.py.
shell     Run "command" with "given" as its input.

A step is after each call of D-Bus that changes something (before the next one it is the same),
before each command that changes something, and before each change of a file. Each task but "shell"
is a fork of this process, which loads the collection's code once, from PYTHONPATH. The code knows
nothing of this.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import dbus.connection
import profiles_on_node

# Loaded before steps are counted, as in the module, where all comes in one file.
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import connect, host
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.safety import (
    ApplyOptions,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.ssh_admission import (
    Connection,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.running import (
    running_kubernetes,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback import guardian
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.checkpoint import (
    confirm_command,
)

_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink")
_READING = ("get", "Get", "query", "NameHasOwner")
_SAVES = ("/usr/sbin/iptables-save", "/usr/sbin/ip6tables-save")
_READING_COMMANDS = {"-g", "-t", "is-active", "is-enabled", *_SAVES}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
_SETTLED = ("inactive", "failed")
_SETTLE_STEP = 0.02


def changes_something(event: str, path: str) -> bool:
    """Tell whether a change of a file will succeed: code tries to remove what is not there, too."""
    if event == "os.rmdir":
        return os.path.isdir(path) and not os.listdir(path)
    return event != "os.remove" or os.path.lexists(path)


class Breaker:
    """Counts steps and breaks at one."""

    def __init__(self, at: int, command: str) -> None:
        self._at = at
        self._command = command
        self._count = 0
        self.busy = False
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        if self.busy:
            return
        self._count += 1
        self.steps.append(name)
        if self._count != self._at:
            return
        if not self._command:
            os.kill(os.getpid(), signal.SIGKILL)
        self.busy = True
        subprocess.run(self._command, shell=True, check=False, stdout=sys.stderr)
        self.busy = False

    def audit(self, event: str, arguments: tuple) -> None:
        if event == "subprocess.Popen":
            if not _READING_COMMANDS & set(arguments[1]):
                self.step(f"run {arguments[1]}")
        elif event in _FILE_EVENTS:
            if changes_something(event, arguments[0]):
                self.step(f"{event} {arguments[0]}")
        elif event == "open":
            path, mode, flags = arguments
            writing = set(mode) & set("wax+") if isinstance(mode, str) else flags & _WRITING
            if writing and not isinstance(path, int):
                self.step(f"open {path}")


def firewall(
    wanted: Any, step: int = 0, do: str = "", source: str = "", **options: Any
) -> dict[str, Any]:
    """Bring firewalld to a state; C(source) is where Ansible's own SSH connection comes from."""
    breaker = Breaker(step, do)
    call = dbus.connection.Connection.call_blocking

    def call_and_count(self, bus_name, path, interface, method, *rest, **named):
        if method.startswith(_READING):
            return call(self, bus_name, path, interface, method, *rest, **named)
        try:
            return call(self, bus_name, path, interface, method, *rest, **named)
        finally:
            breaker.step(f"after {method}")

    dbus.connection.Connection.call_blocking = call_and_count
    connection = Connection(source=source, port=22, interface="eth0") if source else None
    asked = ApplyOptions(kubernetes=running_kubernetes, connection=lambda: connection, **options)
    sys.addaudithook(breaker.audit)
    try:
        result = host.apply(connect.run, wanted, asked)
    except Exception as error:  # As the module does, with the error for the reader.
        result = {"failed": f"{type(error).__name__}: {error}"}
    breaker.busy = True
    result["steps"] = breaker.steps
    return result


def settle(seconds: float) -> bool:
    """Wait until no guardian runs any more; return whether that is so."""
    systemd = dbus.Interface(
        dbus.SystemBus().get_object(*_SYSTEMD, introspect=False),
        "org.freedesktop.systemd1.Manager",
    )
    deadline = time.monotonic() + seconds
    while True:
        # One that was collected is not listed any more.
        units = systemd.ListUnitsByPatterns(dbus.Array([], "s"), [guardian.UNITS])
        if all(str(unit[3]) in _SETTLED for unit in units):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_SETTLE_STEP)


def shell(command: str, given: str = "", seconds: float = 120) -> dict[str, Any]:
    """Run a command as ssh would."""
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        capture_output=True,
        text=True,
        input=given,
        timeout=seconds,
    )
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


TASKS = {
    "firewall": firewall,
    "settle": settle,
    "profiles": profiles_on_node.call,
    "confirm_command": confirm_command,
}


def fork(task: str, asked: dict[str, Any]) -> Any:
    """Do a task in a process of its own; return its answer, None if it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        answer = json.dumps(TASKS[task](**asked))
        with os.fdopen(writing, "w") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    _pid, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else json.loads(answer)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        task = asked.pop("task")
        answer = shell(**asked) if task == "shell" else fork(task, asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
