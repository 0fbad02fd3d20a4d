# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: sets and restores the zone of a NIC through the code of the collection.

C(set) returns the profile that C(restore) takes. C(interrupt) sets the zone and restores the
profile without one, as often as restoring takes steps, and each time the first attempt ends at the
next step; it returns the number of steps.
"""

from __future__ import annotations

import itertools
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.connect import run
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManager,
    Profile,
)
from steps import Steps


class Interruption(BaseException):
    """Ends restore() as a killed process would."""


def end() -> None:
    """End restore()."""
    raise Interruption


def interrupt(interface: str, zone: str) -> int:
    """Interrupt restore() once at each of its steps; return their number."""
    # Before a file is written all is as after the step before.
    steps = Steps(end, opens=False)
    for step in itertools.count(1):
        manager = NetworkManager(run)
        profile = manager.profile(interface)
        manager.set_zone(interface, zone)
        profile = manager.written(profile)
        steps.count(step)
        try:
            NetworkManager(run).restore(profile, "")
        except Interruption:
            NetworkManager(run).restore(profile, "")
        else:
            break
    steps.stop()
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
