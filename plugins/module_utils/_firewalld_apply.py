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
from dataclasses import replace
from typing import Any, Optional, Protocol

from ansible_collections.edgeops.k3s_network.plugins.module_utils._checkpoint import Checkpoint
from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import (
    FileCopy,
    make_directory,
    remove_file,
    sync,
    write_file,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import FirewalldError
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_judge import (
    Judged,
    Terms,
    judge_change,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_others import Others
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    BINDING,
    PORTS,
    ZONE,
    Change,
    Key,
    Record,
    State,
    Target,
    changes,
    conflicts,
    left_policies,
    printable,
    runtime_changes,
    target_absent,
    target_present,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_read import (
    Wanted,
    read_state,
    wanted_keys,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_repair import (
    broken_objects,
    remove_broken,
    wait_until_forgotten,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_warnings import (
    generated_profiles,
    left_objects,
    shadowing_zones,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_write import (
    Writer,
    restore_builtin_zones,
    roll_back,
    verify,
    write,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import Profile

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
    warned = _warn_of_record(store)
    broken = broken_objects(record.objects)
    if broken and not terms.check_mode:
        _repair(open_client, broken, record)
    client = open_client()
    state, target = _plan(client, record, wanted)
    permanent = changes(state.permanent, target.permanent)
    runtime = runtime_changes(state.runtime, target.runtime) if client.is_running() else []
    if wanted is None:
        warned += left_objects(client.permanent_keys(), record)
    else:
        warned += [*shadowing_zones(state, wanted), *generated_profiles(target.record)]
    result: dict[str, Any] = {
        "changed": bool(permanent or runtime or broken),
        "reloaded": False,
        "active": client.is_running(),
        "firewalld_version": client.version(),
        "diff": _diff(state, target, permanent, runtime),
        "warned": warned,
    }
    if broken:
        names = ", ".join(" ".join(key) for key in broken)
        warned.append(
            f"firewalld cannot read files of this collection ({names}), for example after a power "
            "loss; they are written again"
        )
        if terms.check_mode:
            return result
    leaving = {
        interface: former.profile
        for interface, former in record.bindings.items()
        if former.profile is not None and interface not in target.record.bindings
    }
    if not (permanent or runtime):
        if not terms.check_mode and record != target.record:
            for interface, profile in leaving.items():
                client.restore_profile(profile, record.bindings[interface].permanent)
            restore_builtin_zones(client, record, target.record)
            store.save(target.record)
        return result

    owned = record.objects | wanted_keys(wanted)
    others = client.others(owned)
    reloads = any(change.needs_reload for change in runtime)
    judge_change(client, state, target, owned, others, reloads, terms)
    checkpoint = _checkpoint(client, store, state, target, record, others, permanent, leaving)
    guard.need_writable(copy.path for copy in checkpoint.files)
    if terms.check_mode:
        return result
    guard.begin(checkpoint)
    try:
        # First of all, so that whatever ends this run, no object of ours is without a record.
        store.save(checkpoint.later)
        result["reloaded"] = write(
            client,
            target.permanent,
            target.runtime,
            owned,
            others,
            leaving,
            keep_ipsets=wanted is not None,
        )
        restore_builtin_zones(client, record, target.record)
        moved = any(change.key[0] == BINDING for change in (*permanent, *runtime))
        verify(client, target.permanent, target.runtime, owned, moved)
        store.save(_with_written_profiles(client, target.record, record))
        sync(copy.path for copy in checkpoint.files)
        if terms.confirm_timeout and client.is_running():
            guard.await_confirmation(checkpoint, terms.confirm_timeout)
            result["confirm"] = checkpoint.identity
    except Exception as error:
        raise FirewalldError(f"{error}. {_roll_back(open_client, guard, checkpoint)}") from error
    if "confirm" not in result:
        guard.end()
    return result


def _warn_of_record(store: RecordStore) -> list[str]:
    if not store.problem:
        return []
    return [
        f"The state file {store.path} cannot be read ({store.problem}) and counts as lost: objects "
        "that equal what this collection creates are recorded anew, and remove will put NICs into "
        "the default zone"
    ]


def _repair(open_client: Callable[[], Client], broken: Sequence[Key], record: Record) -> None:
    """Remove broken files of ours, without which firewalld accepts its configuration again."""
    removed = remove_broken(broken, record.objects)
    client = open_client()
    if client.is_running() and (
        client.trouble() or not wait_until_forgotten(client.permanent_keys, removed)
    ):
        client.reload()


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
    target = target_present(state, record, **wanted)
    unknown = conflicts(state, target, record)
    if unknown:
        raise FirewalldError(
            "No changes were made. firewalld has objects that this collection would create, but "
            f"did not: {', '.join(' '.join(key) for key in unknown)}. If they are your own, give "
            "them another name. If they are left from a run whose state file "
            f"{RECORD_PATH} was lost, delete them and run again: "
            f"{'; '.join(_deletion(key) for key in unknown)}; firewall-cmd --reload"
        )
    return state, target


def _deletion(key: Key) -> str:
    return f"firewall-cmd --permanent --delete-{key[0]}={key[1]}"


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
