# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a node's firewalld to its target: read once, plan once, judge, apply, read back, compare.

From the first step on a guard holds what to go back to, so that a run that fails, is killed, or
locks its own controller out ends in the old state.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Protocol

from ansible_collections.edgeops.k3s_network.plugins.module_utils._checkpoint import Checkpoint
from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import (
    FileCopy,
    remove_file,
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
    Settings,
    State,
    Target,
    changes,
    left_policies,
    printable,
    target_absent,
    target_present,
    users_zone,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_write import (
    Writer,
    go_back,
    tidy,
    verify,
    write,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import Profile

RECORD_PATH = "/var/lib/k3s-network/firewalld.json"

Wanted = Mapping[str, Sequence[Mapping[str, Any]]]


class Client(Writer, Judged, Protocol):
    """What this file needs of firewalld; see _firewalld.Firewalld."""

    def version(self) -> str: ...
    def default_zone(self) -> str: ...
    def zone_names(self) -> list[str]: ...
    def running_zone_settings(self, zone: str) -> Optional[Settings]: ...
    def is_builtin(self, zone: str) -> bool: ...
    def sources(self) -> dict[str, list[str]]: ...
    def foreign_policies(self) -> dict[str, set[str]]: ...
    def profile_of(self, interface: str) -> Optional[Profile]: ...
    def file_paths(self, keys: Sequence[Key]) -> list[str]: ...


class Guard(Protocol):
    """What this file needs of the guard; see _guard.Guard."""

    def begin(self, checkpoint: Checkpoint) -> None: ...
    def await_confirmation(self, checkpoint: Checkpoint, seconds: int) -> None: ...
    def end(self) -> None: ...


class RecordStore:
    """The record of what was there before us, in a file of the node."""

    def __init__(self, path: str = RECORD_PATH) -> None:
        self.path = path

    def load(self) -> Record:
        """Return the record, an empty one where there is no file.

        Raises FirewalldError where the file can't be read as one.
        """
        try:
            with open(self.path, encoding="utf-8") as stream:
                return Record.from_dict(json.load(stream))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FirewalldError(
                f"{self.path} can't be read ({error}). It says how the interfaces were bound "
                "before this collection changed them; restore it, or remove it to take the zones "
                "of now for those of before"
            ) from error

    def save(self, record: Record) -> None:
        """Write the record so that a power loss leaves the old one or the new one."""
        if record == Record():
            remove_file(self.path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self.path))
            return
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        write_file(self.path, json.dumps(record.to_dict(), indent=2, sort_keys=True).encode())


def ensure(
    open_client: Callable[[], Client],
    store: RecordStore,
    guard: Guard,
    wanted: Optional[Wanted],
    terms: Terms,
) -> dict[str, Any]:
    """Bring firewalld to C(wanted), or rid it of everything of ours where that is None.

    Returns C(changed), C(diff), C(reloaded), C(active), C(firewalld_version) and, where the change
    awaits a confirmation, C(confirm). Raises FirewalldError or GuardError; what was changed until
    then has been taken back, or the text says what will.
    """
    client = open_client()
    record = store.load()
    state, target = _plan(client, record, wanted)
    permanent = changes(state.permanent, target.permanent)
    runtime = changes(state.runtime, target.runtime) if client.is_running() else []
    changed = bool(permanent or runtime)
    result: dict[str, Any] = {
        "changed": changed,
        "reloaded": False,
        "active": client.is_running(),
        "firewalld_version": client.version(),
        "diff": _diff(state, target, permanent, runtime),
    }
    if not changed:
        if not terms.check_mode and record != target.record:
            tidy(client, record, target.record)
            store.save(target.record)
        return result

    others = client.others()
    reloads = any(change.needs_reload for change in runtime)
    judge_change(client, state, target, others, reloads, terms)
    if terms.check_mode:
        return result
    checkpoint = _checkpoint(client, store, state, target, record, others, permanent)
    guard.begin(checkpoint)
    try:
        result["reloaded"] = write(client, target.permanent, target.runtime, others)
        tidy(client, record, target.record)
        store.save(target.record)
        moved = any(change.key[0] == BINDING for change in (*permanent, *runtime))
        verify(client, target.permanent, target.runtime, moved)
        if terms.confirm_timeout and client.is_running():
            guard.await_confirmation(checkpoint, terms.confirm_timeout)
            result["confirm"] = checkpoint.identity
    except Exception as error:
        raise FirewalldError(f"{error}. {_take_back(open_client, guard, checkpoint)}") from error
    if "confirm" not in result:
        guard.end()
    return result


def _take_back(open_client: Callable[[], Client], guard: Guard, checkpoint: Checkpoint) -> str:
    """Take a change back that went wrong; return what came of it."""
    try:
        # A new client, since firewalld may have been started again.
        go_back(open_client(), checkpoint, interrupted=True)
        guard.end()
    except Exception as error:  # The first error is the one to report; this one goes with it.
        return (
            f"What this run had changed could not be taken back yet ({error}); the node goes on "
            "trying by itself, see journalctl -u k3s-network-guardian"
        )
    return "What this run had changed was taken back"


def _plan(client: Client, record: Record, wanted: Optional[Wanted]) -> tuple[State, Target]:
    interfaces = set(record.bindings)
    port_interfaces: set[str] = set()
    if wanted is not None:
        interfaces |= {zone["interface"] for zone in wanted["zones"]}
        port_interfaces = {entry["interface"] for entry in wanted["interface_ports"]}
    has_source_zones = wanted is not None and bool(wanted["source_zones"])
    state = _read(client, record, interfaces, port_interfaces, has_source_zones)
    if wanted is None:
        return state, target_absent(state, record)
    left = left_policies(state, record, wanted["zones"])
    if left:
        raise FirewalldError(
            f"Nothing was changed. The firewalld policies {', '.join(left)}, which are not "
            "ours, name the zone that holds a NIC now, and would no longer apply once the NIC "
            "is in a zone of this collection (k3s_topology_mode segregated). Let them name "
            "ANY, or bind the NIC to another zone first, or set k3s_topology_mode to shared"
        )
    return state, target_present(state, record, **wanted)


def _read(
    client: Client,
    record: Record,
    interfaces: set[str],
    port_interfaces: set[str],
    has_source_zones: bool,
) -> State:
    permanent = client.permanent_objects()
    runtime = client.runtime_objects()
    default_zone = client.default_zone()
    for interface in sorted(interfaces | port_interfaces):
        runtime[BINDING, interface] = {"zone": client.runtime_zone_of(interface)}
    for interface in sorted(interfaces):
        permanent[BINDING, interface] = {"zone": client.permanent_zone_of(interface)}
    port_zones = set(record.ports)
    for interface in port_interfaces:
        port_zones.add(users_zone(runtime, record, interface) or default_zone)
    passes_over_default = has_source_zones and _major(client.version()) >= 2
    needs_zones = bool(interfaces) or passes_over_default
    known = set(client.zone_names()) if needs_zones or port_zones else set()
    for zone in sorted(port_zones & known):
        permanent[PORTS, zone] = {"ports": client.permanent_ports(zone)}
        runtime[PORTS, zone] = {"ports": client.runtime_ports(zone)}
    formers = {former.runtime for former in record.bindings.values()}
    formers |= {str(runtime[BINDING, interface]["zone"]) for interface in interfaces}
    formers = ({zone or default_zone for zone in formers} | {default_zone}) & known
    running_zones = {
        zone: client.running_zone_settings(zone) for zone in (formers if needs_zones else ())
    }
    return State(
        permanent=permanent,
        runtime=runtime,
        default_zone=default_zone,
        zone_names=frozenset(known),
        zones={
            zone: client.zone_settings(zone)
            for zone in sorted((formers if needs_zones else set()) | (port_zones & known))
        },
        running_zones={zone: found for zone, found in running_zones.items() if found is not None},
        passes_over_default=passes_over_default,
        ends_early=_ends_early(client, default_zone),
        sources=client.sources() if needs_zones else {},
        foreign_policies=client.foreign_policies() if interfaces else {},
        builtin_zones=frozenset(zone for zone in port_zones & known if client.is_builtin(zone)),
        profiles={
            interface: client.profile_of(interface)
            for interface in interfaces - set(record.bindings)
        },
    )


def _ends_early(client: Client, default_zone: str) -> bool:
    if _major(client.version()) > 0:
        return False
    zones = client.runtime_objects(of_others=True)
    return any(
        settings.get("target") in ("DROP", "%%REJECT%%", "REJECT")
        for (_kind, name), settings in zones.items()
        if name == default_zone or settings.get("interfaces") or settings.get("sources")
    )


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _checkpoint(
    client: Client,
    store: RecordStore,
    state: State,
    target: Target,
    record: Record,
    others: Others,
    permanent: Sequence[Change],
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
    later = Record(
        bindings={**target.record.bindings, **record.bindings},
        ports={**record.ports, **target.record.ports},
    )
    return Checkpoint(
        identity=secrets.token_hex(8),
        permanent=state.permanent,
        runtime=state.runtime,
        record=record,
        later=later,
        others=others,
        files=tuple(FileCopy.take(path) for path in (*client.file_paths(keys), store.path)),
    )


def _diff(
    state: State, target: Target, permanent: Sequence[Change], runtime: Sequence[Change]
) -> list[dict[str, Any]]:
    parts = []
    for name, steps, before, after in (
        ("permanent", permanent, state.permanent, target.permanent),
        ("running", runtime, state.runtime, target.runtime),
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
