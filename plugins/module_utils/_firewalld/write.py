# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a state into firewalld, read it back, and roll back to an earlier one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Optional

from .._host.files import restore_all, sync
from .._host.networkmanager import NetworkManagerError, Profile
from .backend import FirewalldBackend
from .checkpoint import Checkpoint
from .errors import FirewalldError
from .model import BINDING, ZONE, Change, Key, Objects, Record, owned_keys
from .plan import changes, runtime_changes
from .read import read_objects
from .reload import (
    Others,
    interfaces_to_move,
    restoration,
)

# NetworkManager binds its interfaces again, on its own time, after firewalld reloads; what is read
# back has to hold for some readings in a row.
_SETTLE_SECONDS = 10.0
_SETTLE_STEP = 0.1
_SETTLED_READINGS = 4


def write(
    client: FirewalldBackend,
    target_permanent: Objects,
    target_runtime: Objects,
    managed: Collection[Key],
    others: Optional[Others] = None,
    profiles: Optional[Mapping[str, Profile]] = None,
    keep_ipsets: bool = True,
) -> bool:
    """Apply both targets; return whether firewalld was reloaded. Raises FirewalldError.

    C(managed) are the objects that this collection owns or wants, C(others) is what others have
    now, if that was read already, and C(profiles) are those to restore as NICs leave our zones.
    C(keep_ipsets) avoids a reload that would only remove unwanted ipsets from the runtime.

    New objects become active before an interface is bound to them (NetworkManager uses the zone at
    once), and interfaces leave what is removed first.
    """

    def permanent_steps() -> list[Change]:
        current = read_objects(client, target_permanent, managed, runtime=False)
        return changes(current, target_permanent)

    def runtime_steps() -> list[Change]:
        current = read_objects(client, target_runtime, managed, runtime=True)
        return (runtime_changes if keep_ipsets else changes)(current, target_runtime)

    reloaded = False
    leaves = True
    for leaving in (False, True):
        if not leaves:
            break
        permanent = permanent_steps()
        for change in permanent:
            if change.key[0] != BINDING and (change.after is None) == leaving:
                client.apply_permanent(change)
        runtime = runtime_steps()
        leaves = any(change.after is None for change in (*permanent, *runtime))
        if any(one.needs_reload for one in runtime if (one.after is None) == leaving):
            reload_and_restore_others(client, managed, None if reloaded else others)
            reloaded = True
            runtime = runtime_steps()
        if not leaving and any(kind == BINDING for kind, _name in target_permanent):
            for change in permanent_steps():
                if change.key[0] == BINDING:
                    _bind(client, change, (profiles or {}).get(change.key[1]))
            runtime = runtime_steps()
        for change in runtime:
            if not change.needs_reload:
                client.apply_runtime(change)
    return reloaded


def _bind(client: FirewalldBackend, change: Change, profile: Optional[Profile]) -> None:
    if profile is None:
        client.apply_permanent(change)
    else:
        client.restore_profile(profile, (change.after or {})["zone"])


def _rebind(client: FirewalldBackend, permanent: Objects) -> None:
    """Bind NICs once more: an interrupted run may have written a profile that no device follows."""
    for key, settings in permanent.items():
        if key[0] == BINDING:
            client.apply_permanent(Change(key, None, settings))


def reload_and_restore_others(
    client: FirewalldBackend, owned: Collection[Key], others: Optional[Others] = None
) -> None:
    """Reload firewalld, and restore what others had only in the runtime."""
    before = others or client.others(owned)
    client.reload()
    restore_others(client, before, owned)


def restore_others(client: FirewalldBackend, before: Others, owned: Collection[Key]) -> None:
    """Restore what others had in the runtime configuration."""
    after = client.others(owned, with_tables=False)
    for change in restoration(before.objects, after.objects):
        client.apply_running_of_others(change)
    for interface, zone in interfaces_to_move(before, after).items():
        client.apply_runtime(Change((BINDING, interface), None, {"zone": zone}))
    client.restore_direct(before.direct, after.direct)
    client.restore_tables(before)


def verify(
    client: FirewalldBackend,
    permanent: Objects,
    runtime: Objects,
    managed: Collection[Key],
    moved: bool,
) -> None:
    """Read both configurations back. Raises FirewalldError if one is not as planned.

    C(moved) says that an interface has changed its zone, which NetworkManager may change again.
    """
    needed = _SETTLED_READINGS if moved else 1
    right = 0
    deadline = time.monotonic() + _SETTLE_SECONDS
    if moved:
        client.forget()
    while True:
        wrong = changes(read_objects(client, permanent, managed, runtime=False), permanent)
        which = "permanent"
        if not wrong:
            current = read_objects(client, runtime, managed, runtime=True)
            wrong = runtime_changes(current, runtime)
            which = "runtime"
        right = 0 if wrong else right + 1
        if right >= needed:
            return
        if wrong and time.monotonic() > deadline:
            names = ", ".join(" ".join(change.key) for change in wrong)
            raise FirewalldError(
                f"After the change, firewalld's {which} configuration is not as planned: {names}"
            )
        time.sleep(_SETTLE_STEP)
        client.forget()


def restore_builtin_zones(client: FirewalldBackend, before: Record, after: Record) -> None:
    """Remove the files under /etc of built-in zones to which no ports are added any more."""
    for zone, ports in before.ports.items():
        # If the user has changed the zone since, its file stays.
        ours = ports.builtin is not None and zone not in after.ports
        if ours and client.permanent_settings((ZONE, zone)) == ports.builtin:
            client.restore_builtin(zone)


def roll_back(client: FirewalldBackend, checkpoint: Checkpoint, interrupted: bool) -> None:
    """Return a node to the state before a change. Raises FirewalldError or OSError.

    C(interrupted) says that the change was aborted, maybe between a reload and restoring what
    others had in the runtime.
    """
    managed = owned_keys(checkpoint.record.objects | checkpoint.later.objects)
    problem: Optional[Exception] = None
    if client.is_running():
        try:
            if client.is_failed():
                # Its objects have lost their settings, and a change of one would write that.
                raise FirewalldError("firewalld is in state FAILED")
            write(client, checkpoint.permanent, checkpoint.runtime, managed, keep_ipsets=False)
            _rebind(client, checkpoint.permanent)
            restore_builtin_zones(client, checkpoint.later, checkpoint.record)
        except (FirewalldError, NetworkManagerError, OSError) as error:
            # A truncated file, for example; the next step restores the files.
            problem = error
    restore_all(checkpoint.files, client.load_profile)
    if client.is_running():
        if problem is not None:
            reload_and_restore_others(client, managed)
            write(client, checkpoint.permanent, checkpoint.runtime, managed)
            _rebind(client, checkpoint.permanent)
            restore_all(checkpoint.files, client.load_profile)
        if interrupted:
            restore_others(client, checkpoint.others, managed)
        verify(client, checkpoint.permanent, checkpoint.runtime, managed, moved=True)
    sync(copy.path for copy in checkpoint.files)
