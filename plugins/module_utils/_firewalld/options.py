# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the module firewalld_state, and what it does with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from .._host.commands import RunCommand
from .._host.interfaces import interface_of, ssh_connection
from .._host.networkmanager import NetworkManagerError
from .._k3s.running import running_kubernetes
from .._rollback.guard import GuardError
from .errors import FirewalldError
from .host import apply
from .iptables import IptablesError
from .safety import ApplyOptions
from .ssh_admission import Connection
from .wanted_spec import wanted_spec

_NOT_RUNNING = (
    "firewalld is not running: its permanent configuration is as wanted and becomes active when it "
    "starts (systemctl enable --now firewalld); until then nothing is filtered"
)
ERRORS = (FirewalldError, GuardError, IptablesError, NetworkManagerError, OSError)
"""What apply_options() raises."""
LIBRARY = ("dbus", "python3-dbus, which firewalld needs as well")
"""What Python needs on the node, and the package that has it."""
REQUIRED_IF = [("state", "present", ["wanted"])]


def argument_spec() -> dict[str, Any]:
    """Return the module's argument spec."""
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "confirm_timeout": {"type": "int", "default": 60},
        "allow_disruptive_reload": {"type": "bool", "default": False},
        "wanted": {"type": "dict", "options": wanted_spec()},
    }


def apply_options(
    run_command: RunCommand, params: Mapping[str, Any], check_mode: bool
) -> dict[str, Any]:
    """Apply the module's parameters and return its result. Raises one of ERRORS."""
    timeout = params["confirm_timeout"]
    if timeout < 0:
        raise FirewalldError(
            f"Nothing was changed. confirm_timeout (k3s_firewall_confirm_timeout) is {timeout}; it "
            "is a number of seconds, or 0 to switch the confirmation off"
        )
    wanted = params["wanted"] if params["state"] == "present" else None
    options = ApplyOptions(
        check_mode=check_mode,
        confirm_timeout=timeout,
        allow_disruptive_reload=params["allow_disruptive_reload"],
        connection=lambda: _connection(run_command),
        kubernetes=running_kubernetes,
    )
    result = apply(run_command, wanted, options)
    if not result["active"]:
        result["warned"].append(_NOT_RUNNING)
    return result


def _connection(run_command: RunCommand) -> Optional[Connection]:
    connection = ssh_connection()
    if connection is None:
        return None
    _code, out, _err = run_command(["ip", "-json", "address", "show"])
    interface = interface_of(json.loads(out or "[]"), connection.address)
    return Connection(source=connection.source, port=connection.port, interface=interface)
