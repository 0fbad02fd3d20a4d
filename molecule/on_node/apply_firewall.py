# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: applies a state of the firewall as the module does, without Ansible."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import dbus.connection

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
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback import (
    checkpoint,
    guardian,
)
from steps import Steps, kill

_READING = ("get", "Get", "query", "NameHasOwner")
_SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
_SETTLED = ("inactive", "failed")
_SETTLE_STEP = 0.02

confirm_command = checkpoint.confirm_command


def _run(command: str) -> None:
    subprocess.run(command, shell=True, stdout=sys.stderr, check=False)


def apply(
    wanted: Any, step: int = 0, do: str = "", source: str = "", **options: Any
) -> dict[str, Any]:
    """Apply a wanted state and return the module's result with the steps of the run.

    At a step the process kills itself, or runs the command C(do) and continues. Besides those of
    Steps, a step is after each call of D-Bus that changes something: before the next one it is
    the same. C(source) is the address from which Ansible's own SSH connection comes.
    """
    steps = Steps(lambda: _run(do) if do else kill())
    call = dbus.connection.Connection.call_blocking

    def call_and_count(self, bus_name, path, interface, method, *rest, **named):
        try:
            return call(self, bus_name, path, interface, method, *rest, **named)
        finally:
            if not method.startswith(_READING):
                steps.step(f"after {method}")

    dbus.connection.Connection.call_blocking = call_and_count
    connection = Connection(source=source, port=22, interface="eth0") if source else None
    asked = ApplyOptions(kubernetes=running_kubernetes, connection=lambda: connection, **options)
    steps.count(step)
    try:
        result = host.apply(connect.run, wanted, asked)
    except Exception as error:  # As the module does, with the error for the reader.
        result = {"failed": f"{type(error).__name__}: {error}"}
    steps.stop()
    return {**result, "steps": steps.names}


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
