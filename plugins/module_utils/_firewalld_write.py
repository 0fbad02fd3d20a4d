# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a state into firewalld, read it back, and go back to an earlier one."""

from __future__ import annotations

import time
from typing import Optional, Protocol

from ansible_collections.edgeops.k3s_network.plugins.module_utils._checkpoint import Checkpoint
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import FirewalldError
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_others import (
    Direct,
    Others,
    interfaces_to_move,
    restoration,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    BINDING,
    PORTS,
    Change,
    Objects,
    Record,
    Settings,
    changes,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import Profile

# NetworkManager binds its interfaces again, on its own time, after firewalld reloads; what is read
# back has to hold for some readings in a row.
_SETTLE_SECONDS = 10.0
_SETTLE_STEP = 0.1
_SETTLED_READINGS = 4


class Writer(Protocol):
    """What writing needs of firewalld; see _firewalld.Firewalld."""

    def is_running(self) -> bool: ...
    def permanent_objects(self, of_others: bool = False) -> Objects: ...
    def runtime_objects(self, of_others: bool = False) -> Objects: ...
    def permanent_zone_of(self, interface: str) -> str: ...
    def runtime_zone_of(self, interface: str) -> str: ...
    def permanent_ports(self, zone: str) -> list[str]: ...
    def runtime_ports(self, zone: str) -> list[str]: ...
    def zone_settings(self, zone: str) -> Settings: ...
    def apply_permanent(self, change: Change) -> None: ...
    def apply_runtime(self, change: Change) -> None: ...
    def others(self) -> Others: ...
    def apply_running_of_others(self, change: Change) -> None: ...
    def restore_direct(self, before: Direct, after: Direct) -> None: ...
    def restore_tables(self, others: Others) -> None: ...
    def restore_builtin(self, zone: str) -> None: ...
    def restore_profile(self, profile: Profile) -> None: ...
    def load_profile(self, path: str) -> None: ...
    def reload(self) -> None: ...


def write(
    client: Writer,
    target_permanent: Objects,
    target_runtime: Objects,
    others: Optional[Others] = None,
) -> bool:
    """Apply both targets; return whether firewalld was reloaded. Raises FirewalldError.

    C(others) is what others have now, where that was read already.

    What is new becomes active before an interface is bound to it (NetworkManager asks for the
    zone at once), and what goes is left by the interfaces first.
    """
    reloaded = False
    leaves = any(
        change.after is None
        for target, runtime in ((target_permanent, False), (target_runtime, True))
        for change in changes(_reread(client, target, runtime), target)
    )
    for leaving in (False, True) if leaves else (False,):
        current = _reread(client, target_permanent, runtime=False)
        for change in changes(current, target_permanent):
            if change.key[0] != BINDING and (change.after is None) == leaving:
                client.apply_permanent(change)
        left = [
            change
            for change in changes(_reread(client, target_runtime, runtime=True), target_runtime)
            if (change.after is None) == leaving
        ]
        if any(change.needs_reload for change in left):
            reload_for_us_alone(client, None if reloaded else others)
            reloaded = True
        if not leaving and any(kind == BINDING for kind, _name in target_permanent):
            current = _reread(client, target_permanent, runtime=False)
            for change in changes(current, target_permanent):
                if change.key[0] == BINDING:
                    client.apply_permanent(change)
        for change in changes(_reread(client, target_runtime, runtime=True), target_runtime):
            if not change.needs_reload:
                client.apply_runtime(change)
    return reloaded


def reload_for_us_alone(client: Writer, others: Optional[Others] = None) -> None:
    """Reload firewalld and give back to others what they had in the running one alone."""
    before = others or client.others()
    client.reload()
    give_back(client, before)


def give_back(client: Writer, before: Others) -> None:
    """Bring what others have in the running firewalld to what they had before."""
    after = client.others()
    for change in restoration(before.objects, after.objects):
        client.apply_running_of_others(change)
    for interface, zone in interfaces_to_move(before.interfaces, after.interfaces).items():
        client.apply_runtime(Change((BINDING, interface), None, {"zone": zone}))
    client.restore_direct(before.direct, after.direct)
    client.restore_tables(before)


def verify(client: Writer, permanent: Objects, runtime: Objects, moved: bool) -> None:
    """Read both configurations back. Raises FirewalldError where one is not as planned.

    C(moved) says that an interface has changed its zone, about which NetworkManager has a say.
    """
    needed = _SETTLED_READINGS if moved else 1
    right = 0
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        wrong = changes(_reread(client, permanent, runtime=False), permanent)
        which = "permanent"
        if not wrong:
            wrong = changes(_reread(client, runtime, runtime=True), runtime)
            which = "running"
        right = 0 if wrong else right + 1
        if right >= needed:
            return
        if wrong and time.monotonic() > deadline:
            names = ", ".join(" ".join(change.key) for change in wrong)
            raise FirewalldError(
                f"read back after the change, the {which} configuration is not as planned: {names}"
            )
        time.sleep(_SETTLE_STEP)


def tidy(client: Writer, before: Record, after: Record) -> None:
    """Give back the files of zones and profiles that the record no longer holds."""
    for zone, ports in before.ports.items():
        # Whoever has changed the zone since keeps the file.
        ours = ports.builtin is not None and zone not in after.ports
        if ours and client.zone_settings(zone) == ports.builtin:
            client.restore_builtin(zone)
    for interface, former in before.bindings.items():
        if former.profile is not None and interface not in after.bindings:
            client.restore_profile(former.profile)


def go_back(client: Writer, checkpoint: Checkpoint, interrupted: bool) -> None:
    """Bring a node back to where it was. Raises FirewalldError or OSError.

    C(interrupted) says that the change was broken off, maybe between a reload and giving back to
    others what it took from them.
    """
    problem = None
    if client.is_running():
        try:
            write(client, checkpoint.permanent, checkpoint.runtime)
            tidy(client, checkpoint.later, checkpoint.record)
        except FirewalldError as error:
            # A file that was cut off, say; the files are whole after the next step.
            problem = error
    for copy in checkpoint.files:
        if copy.restore():
            client.load_profile(copy.path)
    if not client.is_running():
        return
    if problem is not None:
        reload_for_us_alone(client)
        write(client, checkpoint.permanent, checkpoint.runtime)
        for copy in checkpoint.files:
            copy.restore()
    if interrupted:
        give_back(client, checkpoint.others)
    verify(client, checkpoint.permanent, checkpoint.runtime, moved=True)


def _reread(client: Writer, like: Objects, runtime: bool) -> Objects:
    objects = client.runtime_objects() if runtime else client.permanent_objects()
    for kind, name in like:
        if kind == BINDING:
            zone = client.runtime_zone_of(name) if runtime else client.permanent_zone_of(name)
            objects[kind, name] = {"zone": zone}
        elif kind == PORTS:
            ports = client.runtime_ports(name) if runtime else client.permanent_ports(name)
            objects[kind, name] = {"ports": ports}
    return objects
