# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply a wanted state to a node's firewalld: read once, plan once, check, write, verify.

From the first step on a guard holds what to roll back to, so that a run that fails, is killed, or
locks its own controller out ends in the old state.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional, Protocol

from .._host.files import (
    FileCopy,
    make_directory,
    remove_file,
    restore_all,
    sync,
    write_file,
)
from .._host.networkmanager import Profile
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
from .reload import Others
from .repair import broken_objects, wait_until_forgotten
from .safety import (
    Judged,
    Terms,
    judge_change,
    judge_flush,
)
from .write import (
    Writer,
    restore_builtin_zones,
    roll_back,
    verify,
    write,
)

RECORD_PATH = "/var/lib/k3s-network/firewalld.json"


class Client(Writer, Judged, Protocol):
    """What this file needs of firewalld; see _firewalld.Firewalld."""

    def written_profile(self, profile: Profile) -> Profile: ...
    def file_paths(self, keys: Sequence[Key], profiles: Mapping[str, Profile]) -> list[str]: ...


class Guard(Protocol):
    """What this file needs of the guard; see _guard.Guard."""

    def need_writable(self, files: Iterable[str]) -> None: ...
    def begin(self, checkpoint: Checkpoint) -> None: ...
    def await_confirmation(self, checkpoint: Checkpoint, seconds: int) -> None: ...
    def end(self) -> None: ...


class RecordStore:
    """The record of what this collection created and changed, in a file of the node."""

    def __init__(self, path: str = RECORD_PATH) -> None:
        self.path = path
        self.problem = ""
        """Why the file could not be read, empty if it could or if there is none."""

    def load(self) -> Record:
        """Return the record, an empty one if there is no file or it cannot be read."""
        try:
            with open(self.path, encoding="utf-8") as stream:
                return Record.from_dict(json.load(stream))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return Record()

    def save(self, record: Record) -> None:
        """Write the record so that a power loss leaves the old one or the new one."""
        if self.problem:
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path, f"{self.path}.unreadable")
            self.problem = ""
        if record == Record():
            remove_file(self.path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self.path))
            return
        make_directory(os.path.dirname(self.path), mode=0o700)
        write_file(self.path, json.dumps(record.to_dict(), indent=2, sort_keys=True).encode())


def ensure(
    open_client: Callable[[], Client],
    store: RecordStore,
    guard: Guard,
    wanted: Optional[Wanted],
    terms: Terms,
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
    if broken and not terms.check_mode:
        repaired = _repair(open_client, guard, broken, record, terms)
    try:
        plan = _plan_change(open_client(), store, record, wanted, terms, broken)
        if plan.checkpoint is not None:
            guard.need_writable(copy.path for copy in plan.checkpoint.files)
            if not terms.check_mode:
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
        "diff": _diff(plan.state, plan.target, plan.permanent, plan.runtime),
        "warned": [*warned, *_warnings(plan, record, wanted, broken)],
    }
    if terms.check_mode:
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
        if terms.confirm_timeout and client.is_running():
            guard.await_confirmation(plan.checkpoint, terms.confirm_timeout)
            result["confirm"] = plan.checkpoint.identity
    except Exception as error:
        text = _roll_back(open_client, guard, plan.checkpoint)
        raise FirewalldError(f"{error}. {text}") from error
    if "confirm" not in result:
        guard.end()
    return result


@dataclass(frozen=True)
class _Plan:
    """A change that passed all checks; without a checkpoint if there is nothing to change."""

    client: Client
    state: State
    target: Target
    permanent: Sequence[Change]
    runtime: Sequence[Change]
    leaving: Mapping[str, Profile]
    """The profiles to restore, of NICs that leave our zones."""
    checkpoint: Optional[Checkpoint] = None


@dataclass(frozen=True)
class _Repaired:
    """What a repair did."""

    whole: Sequence[FileCopy] = ()
    """Files that were removed although they were whole."""
    reloaded: bool = False


def _plan_change(
    client: Client,
    store: RecordStore,
    record: Record,
    wanted: Optional[Wanted],
    terms: Terms,
    broken: Sequence[Key],
) -> _Plan:
    """Plan a change and check it. Raises FirewalldError."""
    state, target = _plan(client, record, wanted)
    permanent = changes(state.permanent, target.permanent)
    runtime = runtime_changes(state.runtime, target.runtime) if client.is_running() else []
    leaving = {
        interface: former.profile
        for interface, former in record.bindings.items()
        if former.profile is not None and interface not in target.record.bindings
    }
    plan = _Plan(client, state, target, permanent, runtime, leaving)
    # In check mode a broken file is still there, and firewalld may have failed because of it.
    if not (permanent or runtime) or (broken and terms.check_mode):
        return plan
    owned = record.objects | wanted_keys(wanted)
    others = client.others(owned)
    reloads = any(change.needs_reload for change in runtime)
    judge_change(client, state, target, owned, others, reloads, terms)
    checkpoint = _checkpoint(client, store, state, target, record, others, permanent, leaving)
    return replace(plan, checkpoint=checkpoint)


def _apply(
    client: Client,
    store: RecordStore,
    record: Record,
    plan: _Plan,
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
    plan: _Plan, record: Record, wanted: Optional[Wanted], broken: Sequence[Key]
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
    open_client: Callable[[], Client],
    guard: Guard,
    broken: Sequence[Key],
    record: Record,
    terms: Terms,
) -> _Repaired:
    """Remove broken files of ours, without which firewalld accepts its configuration again.

    Policies go as well, since they may name what is removed; the plan creates all of it again.
    """
    affected = {*broken, *(key for key in record.objects if key[0] == POLICY)}
    copies = [FileCopy.take(path) for key in sorted(affected) for path in files_of(*key)]
    guard.need_writable(copy.path for copy in copies)
    whole = [copy for copy in copies if not any(copy.path in files_of(*key) for key in broken)]
    client: Optional[Client] = None
    others = Others()
    # One that does not run cannot be opened before the file is gone.
    with contextlib.suppress(FirewalldError):
        client = open_client()
    if client is not None and client.is_running():
        if not client.is_failed() and client.trouble():
            raise FirewalldError(f"No changes were made. {client.trouble()}")
        others = client.others(record.objects)
        if client.is_failed():
            judge_flush(others, terms)
    for key in affected:
        for path in files_of(*key):
            remove_file(path)
    if client is None or not client.is_running():
        return _Repaired(whole)
    if not client.is_failed() and wait_until_forgotten(client.permanent_keys, affected):
        return _Repaired(whole)
    client.reload()
    client.restore_tables(others)
    return _Repaired(whole, reloaded=True)


def _with_written_profiles(client: Client, record: Record, before: Record) -> Record:
    """Return the record with what NetworkManager wrote to the profiles that were changed."""
    bindings = {
        interface: former
        if former.profile is None or interface in before.bindings
        else replace(former, profile=client.written_profile(former.profile))
        for interface, former in record.bindings.items()
    }
    return replace(record, bindings=bindings)


def _roll_back(open_client: Callable[[], Client], guard: Guard, checkpoint: Checkpoint) -> str:
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


def _plan(client: Client, record: Record, wanted: Optional[Wanted]) -> tuple[State, Target]:
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
    client: Client,
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


def _diff(
    state: State, target: Target, permanent: Sequence[Change], runtime: Sequence[Change]
) -> list[dict[str, Any]]:
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
