# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan a change of a node's firewalld and check it, before anything is written."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from .._host.files import FileCopy
from .._host.networkmanager import Profile
from .backend import FirewalldBackend
from .checkpoint import Checkpoint
from .errors import FirewalldError
from .model import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    ZONE,
    Change,
    Key,
    Record,
    State,
    Target,
    owned_keys,
)
from .obstacles import conflicts, left_policies, unbound_interfaces
from .plan import changes, printable, runtime_changes, target_absent, target_present
from .read import Wanted, read_state, wanted_keys
from .record_store import RECORD_PATH, RecordStore
from .reload import Others
from .safety import (
    ApplyOptions,
    verify_change,
)


@dataclass(frozen=True)
class PlannedChange:
    """A change that passed all checks; without a checkpoint if there is nothing to change."""

    client: FirewalldBackend
    state: State
    target: Target
    permanent: Sequence[Change]
    runtime: Sequence[Change]
    leaving: Mapping[str, Profile]
    """The profiles to restore, of NICs that leave our zones."""
    checkpoint: Optional[Checkpoint] = None


def plan_change(
    client: FirewalldBackend,
    store: RecordStore,
    record: Record,
    wanted: Optional[Wanted],
    options: ApplyOptions,
    broken: Sequence[Key],
) -> PlannedChange:
    """Plan a change and check it. Raises FirewalldError."""
    state, target = _plan(client, record, wanted)
    permanent = changes(state.permanent, target.permanent)
    runtime = runtime_changes(state.runtime, target.runtime) if client.is_running() else []
    leaving = {
        interface: former.profile
        for interface, former in record.bindings.items()
        if former.profile is not None and interface not in target.record.bindings
    }
    plan = PlannedChange(client, state, target, permanent, runtime, leaving)
    # In check mode a broken file is still there, and firewalld may have failed because of it.
    if not (permanent or runtime) or (broken and options.check_mode):
        return plan
    owned = record.objects | wanted_keys(wanted)
    others = client.others(owned)
    reloads = any(change.needs_reload for change in runtime)
    verify_change(client, state, target, owned, others, reloads, options)
    checkpoint = _checkpoint(client, store, state, target, record, others, permanent, leaving)
    return replace(plan, checkpoint=checkpoint)


def _plan(
    client: FirewalldBackend, record: Record, wanted: Optional[Wanted]
) -> tuple[State, Target]:
    state = read_state(client, record, wanted)
    if wanted is None:
        return state, target_absent(state, record)
    left = left_policies(state, record, wanted["zones"])
    if left:
        raise FirewalldError(
            f"No changes were made. The firewalld policies {', '.join(left)} name the zone that "
            "holds a NIC now, and would no longer apply once the NIC is in a zone of this "
            "collection (k3s_topology_mode segregated). Let them name ANY, disable or delete them, "
            "bind the NIC to another zone first, or set k3s_topology_mode to shared"
        )
    unbound = unbound_interfaces(state, record, wanted["policies"], wanted["zones"])
    if unbound:
        raise FirewalldError(
            f"No changes were made. No zone lists the interface {', '.join(unbound)}, on which "
            "packets of pods arrive (k3s_topology_overlay_interfaces). Bind it to the zone that it "
            f"is in: firewall-cmd --permanent --zone={state.default_zone} "
            f"--change-interface={unbound[0]}; firewall-cmd --reload"
        )
    target = target_present(state, record, **wanted)
    unknown = conflicts(state, target, record)
    if unknown:
        raise FirewalldError(
            "No changes were made. firewalld has objects that this collection would create, but "
            f"did not: {', '.join(' '.join(key) for key in unknown)}. If they are your own, give "
            "them another name. If they are left from a run whose state file "
            f"{RECORD_PATH} was lost, delete everything that is left and run again: "
            f"{'; '.join(_deletions(state, target, record, unknown))}"
        )
    return state, target


def _deletions(state: State, target: Target, record: Record, unknown: Sequence[Key]) -> list[str]:
    """Return commands that delete objects without a record, in an order that firewalld accepts."""
    present = owned_keys(target.permanent) & state.permanent_keys
    gone = {*unknown, *(present - record.objects)}
    zones = {name for kind, name in gone if kind == ZONE}
    commands = [
        f"firewall-cmd --permanent --zone={state.default_zone} --change-interface={name}"
        for (kind, name), settings in sorted(state.permanent.items())
        if kind == BINDING and settings["zone"] in zones
    ]
    for kind in (POLICY, ZONE, IPSET):
        for name in sorted(name for one, name in gone if one == kind):
            commands.append(f"firewall-cmd --permanent --delete-{kind}={name}")
    return [*commands, "firewall-cmd --reload"]


def _checkpoint(
    client: FirewalldBackend,
    store: RecordStore,
    state: State,
    target: Target,
    record: Record,
    others: Others,
    permanent: Sequence[Change],
    leaving: Mapping[str, Profile],
) -> Checkpoint:
    keys = [change.key for change in permanent]
    keys += [
        (ZONE, zone)
        for change in permanent
        if change.key[0] == BINDING
        for settings in (change.before, change.after)
        for zone in [(settings or {}).get("zone", "")]
        if zone
    ]
    keys += [(PORTS, zone) for zone in record.ports]
    return Checkpoint(
        identity=secrets.token_hex(8),
        permanent=state.permanent,
        runtime=state.runtime,
        record=record,
        later=record.union(target.record),
        others=others,
        files=tuple(
            FileCopy.take(path) for path in (*client.file_paths(keys, leaving), store.path)
        ),
    )


def diff(
    state: State, target: Target, permanent: Sequence[Change], runtime: Sequence[Change]
) -> list[dict[str, Any]]:
    """Return the difference in the form that Ansible shows with --diff."""
    parts = []
    for name, steps, before, after in (
        ("permanent", permanent, state.permanent, target.permanent),
        ("runtime", runtime, state.runtime, target.runtime),
    ):
        if steps:
            keys = [step.key for step in steps]
            parts.append(
                {
                    "before_header": f"firewalld, {name}",
                    "after_header": f"firewalld, {name}",
                    "before": printable(before, keys),
                    "after": printable(after, keys),
                }
            )
    return parts
