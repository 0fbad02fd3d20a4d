# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: sets and restores the zone of a NIC through the code of the collection.

C(set) returns the profile that C(restore) takes. C(interrupt) sets the zone and restores the
profile without one, as often as restoring takes steps, and each time the first attempt ends at the
next step; it returns the number of steps. break_at.py runs this.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.connect import run
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManager,
    Profile,
)

# Options of nmcli that print.
_READING = {"-g", "-t"}


class Interruption(BaseException):
    """Ends restore() as a killed process would."""


class Steps:
    """Counts changes of files and commands, and interrupts before one of them."""

    def __init__(self) -> None:
        self.left = 0
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if self.left and self._changes(event, arguments):
            self.left -= 1
            if not self.left:
                raise Interruption(f"{event} {arguments[:2]}")

    @staticmethod
    def _changes(event: str, arguments: tuple) -> bool:
        if event == "subprocess.Popen":
            return not _READING & set(arguments[1])
        # The code tries to remove what is not there, too.
        return event == "os.rename" or (event == "os.remove" and os.path.lexists(arguments[0]))


def interrupt(interface: str, zone: str) -> int:
    """Interrupt restore() once at each of its steps; return their number."""
    steps = Steps()
    for step in itertools.count(1):
        manager = NetworkManager(run)
        profile = manager.profile(interface)
        manager.set_zone(interface, zone)
        profile = manager.written(profile)
        steps.left = step
        try:
            NetworkManager(run).restore(profile, "")
        except Interruption as interruption:
            print(step, interruption, file=sys.stderr)
            steps.left = 0
            NetworkManager(run).restore(profile, "")
        else:
            break
    steps.left = 0
    return step - 1


def call(action: str, interface: str, zone: str = "", given: Optional[dict] = None) -> Any:
    """Do an action: manages, files, set, restore or interrupt."""
    manager = NetworkManager(run)
    if action == "manages":
        return manager.manages(interface)
    if action == "files":
        return manager.files(interface)
    if action == "interrupt":
        return interrupt(interface, zone)
    if action == "restore":
        return manager.restore(Profile.from_dict(given), zone)
    profile = manager.profile(interface)
    manager.set_zone(interface, zone)
    return profile and manager.written(profile).to_dict()
