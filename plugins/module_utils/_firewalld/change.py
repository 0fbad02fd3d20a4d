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
from .model import (
    BINDING,
    PORTS,
    ZONE,
    Change,
    Key,
    Record,
    State,
    Target,
)
from .plan import changes, printable, runtime_changes
from .read import Wanted, wanted_keys
from .record_store import RecordStore
from .reload import Others
from .safety import (
    ApplyOptions,
    verify_change,
    verify_firewalld,
)
from .target import plan_target


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
    state, target = plan_target(client, record, wanted)
    permanent = changes(state.permanent, target.permanent)
    runtime = runtime_changes(state.runtime, target.runtime) if client.is_running() else []
    leaving = {
        interface: former.profile
        for interface, former in record.bindings.items()
        if former.profile is not None and interface not in target.record.bindings
    }
    plan = PlannedChange(client, state, target, permanent, runtime, leaving)
    # In check mode a broken file is still there, and firewalld may have failed because of it.
    if broken and options.check_mode:
        return plan
    if wanted is not None or permanent or runtime:
        # Also if nothing is to be changed: what is prepared does not filter then.
        verify_firewalld(client)
    if not (permanent or runtime):
        return plan
    owned = record.objects | wanted_keys(wanted)
    others = client.others(owned)
    reloads = any(change.needs_reload for change in runtime)
    verify_change(client, state, target, owned, others, reloads, options)
    checkpoint = _checkpoint(client, store, state, target, record, others, permanent, leaving)
    return replace(plan, checkpoint=checkpoint)


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
