# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: sets and restores the zone of a NIC through the code of the collection.

profiles_on_node.py manages|files|set|restore|interrupt INTERFACE ZONE

C(set) prints the profile that C(restore) reads from its standard input. C(interrupt) sets the zone
and restores the profile without one, as often as restoring takes steps, and each time the first
attempt ends at the next step. The code is read from PYTHONPATH.
"""

from __future__ import annotations

import itertools
import json
import sys

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_open import run
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    Profile,
)


class Interruption(BaseException):
    """Ends restore() as a killed process would."""


class Steps:
    """Counts changes of files and commands, and interrupts before one of them."""

    def __init__(self) -> None:
        self.left = 0
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if self.left and event in ("subprocess.Popen", "os.rename", "os.remove"):
            self.left -= 1
            if not self.left:
                raise Interruption(f"{event} {arguments[:2]}")


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


def main() -> None:
    action, interface, zone = sys.argv[1:]
    manager = NetworkManager(run)
    result = None
    if action == "manages":
        result = manager.manages(interface)
    elif action == "files":
        result = manager.files(interface)
    elif action == "set":
        profile = manager.profile(interface)
        manager.set_zone(interface, zone)
        result = profile and manager.written(profile).to_dict()
    elif action == "interrupt":
        result = interrupt(interface, zone)
    else:
        manager.restore(Profile.from_dict(json.load(sys.stdin)), zone)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
