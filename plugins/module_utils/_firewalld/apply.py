# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply a wanted state to a node's firewalld: read once, plan once, check, write, verify.

From the first step on a guard holds what to roll back to, so that a run that fails, is killed, or
locks its own controller out ends in the old state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional, Protocol

from .._host.files import (
    FileCopy,
    remove_file,
    restore_all,
    sync,
)
from .backend import FirewalldBackend
from .change import PlannedChange, diff, plan_change
from .checkpoint import Checkpoint
from .conditions import (
    adopted_objects,
    generated_profiles,
    left_objects,
    shadowing_zones,
)
from .errors import FirewalldError
from .files import files_of
from .model import (
    BINDING,
    POLICY,
    Key,
    Record,
    owned_keys,
)
from .read import Wanted
from .record_store import RecordStore
from .reload import Others
from .repair import broken_objects, wait_until_forgotten
from .safety import (
    ApplyOptions,
    verify_flush,
)
from .write import (
    restore_builtin_zones,
    roll_back,
    verify,
    write,
)


class Guard(Protocol):
    """What this file needs of the guard; see _guard.Guard."""

    def need_writable(self, files: Iterable[str]) -> None: ...
    def begin(self, checkpoint: Checkpoint) -> None: ...
    def await_confirmation(self, checkpoint: Checkpoint, seconds: int) -> None: ...
    def end(self) -> None: ...


def ensure(
    open_client: Callable[[], FirewalldBackend],
    store: RecordStore,
    guard: Guard,
    wanted: Optional[Wanted],
    options: ApplyOptions,
) -> dict[str, Any]:
    """Bring firewalld to C(wanted), or remove everything that this collection created if None.

    Returns C(changed), C(diff), C(reloaded), C(active), C(firewalld_version), C(warned) and, if the
    change awaits a confirmation, C(confirm). Raises FirewalldError or GuardError; what was changed
    until then was rolled back, or the text says what will.
    """
    record = store.load()
    warned = _warn_of_record(store) if wanted is not None else []
    broken = broken_objects(record.objects)
    repaired = _Repaired()
    if broken and not options.check_mode:
        repaired = _repair(open_client, guard, broken, record, options)
    try:
        plan = plan_change(open_client(), store, record, wanted, options, broken)
        if plan.checkpoint is not None:
            guard.need_writable(copy.path for copy in plan.checkpoint.files)
            if not options.check_mode:
                guard.begin(plan.checkpoint)
    except Exception:
        # A run that is refused leaves the files that were whole.
        restore_all(repaired.whole)
        raise
    client = plan.client
    result: dict[str, Any] = {
        "changed": bool(plan.permanent or plan.runtime or broken),
        "reloaded": repaired.reloaded,
        "active": client.is_running(),
        "firewalld_version": client.version(),
        "diff": diff(plan.state, plan.target, plan.permanent, plan.runtime),
        "warned": [*warned, *_warnings(plan, record, wanted, broken)],
    }
    if options.check_mode:
        return result
    if plan.checkpoint is None:
        if record != plan.target.record:
            for interface, profile in plan.leaving.items():
                client.restore_profile(profile, record.bindings[interface].permanent)
            restore_builtin_zones(client, record, plan.target.record)
            store.save(plan.target.record)
        return result
    try:
        removes = wanted is None
        result["reloaded"] |= _apply(client, store, record, plan, plan.checkpoint, removes)
        if options.confirm_timeout and client.is_running():
            guard.await_confirmation(plan.checkpoint, options.confirm_timeout)
            result["confirm"] = plan.checkpoint.identity
    except Exception as error:
        text = _roll_back(open_client, guard, plan.checkpoint)
        raise FirewalldError(f"{error}. {text}") from error
    if "confirm" not in result:
        guard.end()
    return result


@dataclass(frozen=True)
class _Repaired:
    """What a repair did."""

    whole: Sequence[FileCopy] = ()
    """Files that were removed although they were whole."""
    reloaded: bool = False


def _apply(
    client: FirewalldBackend,
    store: RecordStore,
    record: Record,
    plan: PlannedChange,
    checkpoint: Checkpoint,
    removes: bool,
) -> bool:
    """Write a change and make it durable; return whether firewalld was reloaded."""
    target = plan.target
    owned = owned_keys(checkpoint.later.objects)
    # First of all, so that whatever ends this run, no object of ours is without a record.
    store.save(checkpoint.later)
    reloaded = write(
        client,
        target.permanent,
        target.runtime,
        owned,
        checkpoint.others,
        plan.leaving,
        keep_ipsets=not removes,
    )
    restore_builtin_zones(client, record, target.record)
    moved = any(change.key[0] == BINDING for change in (*plan.permanent, *plan.runtime))
    verify(client, target.permanent, target.runtime, owned, moved)
    store.save(_with_written_profiles(client, target.record, record))
    sync(copy.path for copy in checkpoint.files)
    return reloaded


def _warnings(
    plan: PlannedChange, record: Record, wanted: Optional[Wanted], broken: Sequence[Key]
) -> list[str]:
    found = []
    if wanted is None:
        found += left_objects(plan.state.permanent_keys, record)
    else:
        found += adopted_objects(plan.state, plan.target, record)
        found += [*shadowing_zones(plan.state, wanted), *generated_profiles(plan.target.record)]
    if broken:
        names = ", ".join(" ".join(key) for key in broken)
        found.append(
            f"firewalld cannot read files of this collection ({names}), for example after a power "
            "loss; they are written again"
        )
    return found


def _warn_of_record(store: RecordStore) -> list[str]:
    if not store.problem:
        return []
    return [
        f"The state file {store.path} cannot be read ({store.problem}) and counts as lost: objects "
        "that equal what this collection creates are recorded anew, and remove will put NICs into "
        "the default zone"
    ]


def _repair(
    open_client: Callable[[], FirewalldBackend],
    guard: Guard,
    broken: Sequence[Key],
    record: Record,
    options: ApplyOptions,
) -> _Repaired:
    """Remove broken files of ours, without which firewalld accepts its configuration again.

    Policies go as well, since they may name what is removed; the plan creates all of it again.
    """
    affected = {*broken, *(key for key in record.objects if key[0] == POLICY)}
    copies = [FileCopy.take(path) for key in sorted(affected) for path in files_of(*key)]
    guard.need_writable(copy.path for copy in copies)
    whole = [copy for copy in copies if not any(copy.path in files_of(*key) for key in broken)]
    client: Optional[FirewalldBackend] = None
    others = Others()
    # One that does not run cannot be opened before the file is gone.
    with contextlib.suppress(FirewalldError):
        client = open_client()
    if client is not None and client.is_running():
        if not client.is_failed() and client.trouble():
            raise FirewalldError(f"No changes were made. {client.trouble()}")
        others = client.others(record.objects)
        if client.is_failed():
            verify_flush(others, options)
    for key in affected:
        for path in files_of(*key):
            remove_file(path)
    if client is None or not client.is_running():
        return _Repaired(whole)
    if not client.is_failed() and wait_until_forgotten(client, affected):
        return _Repaired(whole)
    client.reload()
    client.restore_tables(others)
    return _Repaired(whole, reloaded=True)


def _with_written_profiles(client: FirewalldBackend, record: Record, before: Record) -> Record:
    """Return the record with what NetworkManager wrote to the profiles that were changed."""
    bindings = {
        interface: former
        if former.profile is None or interface in before.bindings
        else replace(former, profile=client.written_profile(former.profile))
        for interface, former in record.bindings.items()
    }
    return replace(record, bindings=bindings)


def _roll_back(
    open_client: Callable[[], FirewalldBackend], guard: Guard, checkpoint: Checkpoint
) -> str:
    """Roll back a change that failed; return what came of it."""
    try:
        # A new client, since firewalld may have been started again.
        roll_back(open_client(), checkpoint, interrupted=True)
        guard.end()
    except Exception as error:  # The first error is the one to report; this one goes with it.
        return (
            f"The change could not be rolled back yet ({error}); the node keeps trying by itself, "
            "see journalctl -u 'k3s-network-guardian-*'"
        )
    return "The change was rolled back"
