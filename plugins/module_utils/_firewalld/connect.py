# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open this host's firewalld, whether it runs or not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from typing import Optional, Union

from .._host.commands import RunCommand
from .._host.networkmanager import NetworkManager
from .dbus import Firewalld
from .dbus_read import FirewalldReader
from .errors import FirewalldError, NotRunningError
from .iptables import Iptables
from .model import ZONE
from .offline import OfflineFirewalld

# A firewalld that is being started again takes seconds.
_PATIENCE = 60.0
_STEP = 0.2
_MOVING = ("activating", "deactivating", "reloading")


def open_firewalld(run_command: RunCommand) -> Union[Firewalld, OfflineFirewalld]:
    """Return the firewalld that runs, or its permanent configuration where none does.

    Waits for one that systemd is starting or stopping. Raises FirewalldError.
    """
    network_manager = NetworkManager(run_command)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return Firewalld(network_manager, Iptables(run_command), lambda: _restart(run_command))
        except NotRunningError:
            state = _systemctl(run_command, "is-active")
            if state not in (*_MOVING, "active"):
                return OfflineFirewalld(network_manager, _why_never(run_command))
            if time.monotonic() > deadline:
                raise FirewalldError(
                    f"firewalld is {state} but does not answer on D-Bus; look at: "
                    "systemctl status firewalld dbus"
                ) from None
            time.sleep(_STEP)


def default_zone(run_command: RunCommand) -> tuple[str, str]:
    """Return the default zone and its target, such as C(ACCEPT); empty if firewalld does not run.

    The target is that of the runtime configuration.
    """
    try:
        firewalld = FirewalldReader(NetworkManager(run_command), Iptables(run_command))
        zone = firewalld.default_zone()
        return zone, str(firewalld.runtime_settings((ZONE, zone)).get("target", ""))
    except (FirewalldError, ImportError):
        return "", ""


def _restart(run_command: RunCommand) -> None:
    """Restart firewalld, also if it was started too often. It may be on D-Bus only later."""
    run_command(["systemctl", "reset-failed", "firewalld.service"])
    code, out, err = run_command(["systemctl", "restart", "firewalld.service"])
    if code != 0:
        raise FirewalldError(f"systemctl restart firewalld: {(err or out).strip()}")


def _why_never(run_command: RunCommand) -> str:
    """Return why a firewalld that does not run never will, empty where it may."""
    if _systemctl(run_command, "is-enabled") == "masked":
        return (
            "firewalld is masked, so what is written would never become active; if it shall guard "
            "this host: systemctl unmask firewalld && systemctl enable --now firewalld"
        )
    return ""


def run(args: Sequence[str], data: Optional[str] = None) -> tuple[int, str, str]:
    """Run a command as AnsibleModule.run_command does, for whoever has no AnsibleModule."""
    done = subprocess.run(
        list(args), check=False, capture_output=True, text=True, input=data, errors="replace"
    )
    return done.returncode, done.stdout, done.stderr


def _systemctl(run_command: RunCommand, question: str) -> str:
    _code, out, _err = run_command(["systemctl", question, "firewalld.service"])
    return out.strip()
