# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a node's firewalld to its target: read once, plan once, apply, read back, compare."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Protocol

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import FirewalldError
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    BINDING,
    PORTS,
    Change,
    Objects,
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
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import Profile

RECORD_PATH = "/var/lib/k3s-network/firewalld.json"
# NetworkManager binds its interfaces again, on its own time, after firewalld reloads; what is read
# back has to hold for some readings in a row.
_SETTLE_SECONDS = 10.0
_SETTLE_STEP = 0.1
_SETTLED_READINGS = 4


class Client(Protocol):
    """What this file needs of firewalld; see _firewalld.Firewalld."""

    def version(self) -> str: ...
    def default_zone(self) -> str: ...
    def zone_names(self) -> list[str]: ...
    def zone_settings(self, zone: str) -> Settings: ...
    def is_builtin(self, zone: str) -> bool: ...
    def foreign_policies(self) -> dict[str, set[str]]: ...
    def permanent_objects(self) -> Objects: ...
    def runtime_objects(self) -> Objects: ...
    def permanent_zone_of(self, interface: str) -> str: ...
    def runtime_zone_of(self, interface: str) -> str: ...
    def permanent_ports(self, zone: str) -> list[str]: ...
    def runtime_ports(self, zone: str) -> list[str]: ...
    def apply_permanent(self, change: Change) -> None: ...
    def apply_runtime(self, change: Change) -> None: ...
    def restore_builtin(self, zone: str) -> None: ...
    def profile_of(self, interface: str) -> Optional[Profile]: ...
    def restore_profile(self, profile: Profile) -> None: ...
    def reload(self) -> None: ...


class RecordStore:
    """The record of what was there before us, in a file of the node."""

    def __init__(self, path: str = RECORD_PATH) -> None:
        self._path = path

    def load(self) -> Record:
        """Return the record, an empty one where there is no file.

        Raises FirewalldError where the file can't be read as one.
        """
        try:
            with open(self._path, encoding="utf-8") as stream:
                return Record.from_dict(json.load(stream))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FirewalldError(
                f"{self._path} can't be read ({error}). It says how the interfaces were bound "
                "before this collection changed them; restore it, or remove it to take the zones "
                "of now for those of before"
            ) from error

    def save(self, record: Record) -> None:
        """Write the record so that a power loss leaves the old one or the new one."""
        if record == Record():
            try:
                os.unlink(self._path)
                os.rmdir(os.path.dirname(self._path))
            except OSError:
                pass
            return
        directory = os.path.dirname(self._path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=directory)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(record.to_dict(), stream, indent=2, sort_keys=True)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise


def ensure(
    client: Client,
    store: RecordStore,
    wanted: Optional[Mapping[str, Sequence[Mapping[str, Any]]]],
    check_mode: bool,
) -> dict[str, Any]:
    """Bring firewalld to C(wanted), or rid it of everything of ours where that is None.

    Returns C(changed), C(diff), C(reloaded) and C(firewalld_version). Raises FirewalldError;
    what was changed until then has been taken back, or the text says that it could not be.
    """
    record = store.load()
    interfaces = set(record.bindings)
    port_interfaces: set[str] = set()
    if wanted is not None:
        interfaces |= {zone["interface"] for zone in wanted["zones"]}
        port_interfaces = {entry["interface"] for entry in wanted["interface_ports"]}
    state = _read(client, record, interfaces, port_interfaces)
    if wanted is None:
        target = target_absent(state, record)
    else:
        left = left_policies(state, record, wanted["zones"])
        if left:
            raise FirewalldError(
                f"Nothing was changed. The firewalld policies {', '.join(left)}, which are not "
                "ours, name the zone that holds a NIC now, and would no longer apply once the NIC "
                "is in a zone of this collection (k3s_topology_mode segregated). Let them name "
                "ANY, or bind the NIC to another zone first, or set k3s_topology_mode to shared"
            )
        target = target_present(state, record, **wanted)

    permanent = changes(state.permanent, target.permanent)
    runtime = changes(state.runtime, target.runtime)
    changed = bool(permanent or runtime)
    result: dict[str, Any] = {
        "changed": changed,
        "reloaded": False,
        "firewalld_version": client.version(),
        "diff": _diff(state, target, permanent, runtime),
    }
    if check_mode or not changed:
        if not check_mode and record != target.record:
            _tidy(client, record, target.record)
            store.save(target.record)
        return result

    # Until all is done, the record holds whatever is needed to undo either state.
    union = _union(record, target.record)
    store.save(union)
    try:
        result["reloaded"] = _write(client, target.permanent, target.runtime)
        moved = any(change.key[0] == BINDING for change in (*permanent, *runtime))
        _verify(client, target, _SETTLED_READINGS if moved else 1)
    except Exception as error:
        undone = _undo(client, state, union, record)
        if undone is None:
            store.save(record)
        raise FirewalldError(
            f"{error}. "
            + (
                "What this run had changed was taken back"
                if undone is None
                else f"What this run had changed could not be taken back ({undone}); "
                "run the playbook again"
            )
        ) from error
    _tidy(client, record, target.record)
    store.save(target.record)
    return result


def _read(client: Client, record: Record, interfaces: set[str], port_interfaces: set[str]) -> State:
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
    known = set(client.zone_names())
    for zone in sorted(port_zones & known):
        permanent[PORTS, zone] = {"ports": client.permanent_ports(zone)}
        runtime[PORTS, zone] = {"ports": client.runtime_ports(zone)}
    formers = {former.runtime for former in record.bindings.values()}
    formers |= {str(runtime[BINDING, interface]["zone"]) for interface in interfaces}
    formers = ({zone or default_zone for zone in formers} | {default_zone}) & known
    return State(
        permanent=permanent,
        runtime=runtime,
        default_zone=default_zone,
        zone_names=frozenset(known),
        zones={
            zone: client.zone_settings(zone)
            for zone in sorted((formers if interfaces else set()) | (port_zones & known))
        },
        foreign_policies=client.foreign_policies() if interfaces else {},
        builtin_zones=frozenset(zone for zone in port_zones & known if client.is_builtin(zone)),
        profiles={
            interface: client.profile_of(interface)
            for interface in interfaces - set(record.bindings)
        },
    )


def _write(client: Client, target_permanent: Objects, target_runtime: Objects) -> bool:
    """Apply both targets; return whether firewalld was reloaded.

    What is new becomes active before an interface is bound to it (NetworkManager asks for the
    zone at once), and what goes is left by the interfaces first.
    """
    reloaded = False
    for leaving in (False, True):
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
            client.reload()
            reloaded = True
        if not leaving:
            current = _reread(client, target_permanent, runtime=False)
            for change in changes(current, target_permanent):
                if change.key[0] == BINDING:
                    client.apply_permanent(change)
        for change in changes(_reread(client, target_runtime, runtime=True), target_runtime):
            if not change.needs_reload:
                client.apply_runtime(change)
    return reloaded


def _verify(client: Client, target: Target, readings: int) -> None:
    """Read both configurations back. Raises FirewalldError where one is not as planned."""
    right = 0
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        wrong = changes(_reread(client, target.permanent, runtime=False), target.permanent)
        which = "permanent"
        if not wrong:
            wrong = changes(_reread(client, target.runtime, runtime=True), target.runtime)
            which = "running"
        right = 0 if wrong else right + 1
        if right >= readings:
            return
        if wrong and time.monotonic() > deadline:
            names = ", ".join(" ".join(change.key) for change in wrong)
            raise FirewalldError(
                f"read back after the change, the {which} configuration is not as planned: {names}"
            )
        time.sleep(_SETTLE_STEP)


def _reread(client: Client, like: Objects, runtime: bool) -> Objects:
    objects = client.runtime_objects() if runtime else client.permanent_objects()
    for kind, name in like:
        if kind == BINDING:
            zone = client.runtime_zone_of(name) if runtime else client.permanent_zone_of(name)
            objects[kind, name] = {"zone": zone}
        elif kind == PORTS:
            ports = client.runtime_ports(name) if runtime else client.permanent_ports(name)
            objects[kind, name] = {"ports": ports}
    return objects


def _tidy(client: Client, before: Record, after: Record) -> None:
    """Give back the files of zones and profiles that the record no longer holds."""
    for zone, ports in before.ports.items():
        # Whoever has changed the zone since keeps the file.
        ours = ports.builtin is not None and zone not in after.ports
        if ours and client.zone_settings(zone) == ports.builtin:
            client.restore_builtin(zone)
    for interface, former in before.bindings.items():
        if former.profile is not None and interface not in after.bindings:
            client.restore_profile(former.profile)


def _undo(client: Client, state: State, union: Record, record: Record) -> Optional[str]:
    """Bring firewalld back to what was read. Returns why not, or None."""
    try:
        _write(client, state.permanent, state.runtime)
        _tidy(client, union, record)
    except Exception as error:  # The first error is the one to report; this one goes with it.
        return str(error)
    return None


def _union(one: Record, other: Record) -> Record:
    return Record(bindings={**other.bindings, **one.bindings}, ports={**one.ports, **other.ports})


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
