# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A firewalld in memory, which refuses what the real one refuses.

It knows a permanent and a running configuration, the zones of the distribution, interfaces that
NetworkManager manages (their profile decides the zone) and others (firewalld's own binding does).
A reload makes the permanent configuration the running one and forgets what was there only at
run time, as firewalld with FlushAllOnReload does.
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._checkpoint import Checkpoint
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import FirewalldError
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_apply import (
    RecordStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_others import (
    Direct,
    Others,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    ZONE,
    Change,
    Key,
    Objects,
    Record,
    Settings,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_write import roll_back
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import Profile

DEFAULT_ZONE = "public"


class Killed(BaseException):
    """The process ended here: killed, or the power went."""


class CountingStore(RecordStore):
    """A record in a directory of its own, which counts how often it is written."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        super().__init__(f"{self._directory.name}/k3s-network/firewalld.json")
        self.saves = 0

    @property
    def record(self) -> Record:
        return self.load()

    def save(self, record: Record) -> None:
        self.saves += 1
        super().save(record)


class FakeGuard:
    """Keeps the checkpoint as the file would, and takes a change back as the guardian would."""

    def __init__(self) -> None:
        self.checkpoint: Optional[Checkpoint] = None
        self.awaits: Optional[int] = None

    def need_writable(self, files: Iterable[str]) -> None:
        list(files)

    def begin(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = Checkpoint.from_dict(json.loads(json.dumps(checkpoint.to_dict())))
        self.awaits = None

    def await_confirmation(self, checkpoint: Checkpoint, seconds: int) -> None:
        self.awaits = seconds

    def end(self) -> None:
        self.checkpoint = None

    def expire(self, client: Any) -> None:
        """Take back whatever is open."""
        if self.checkpoint is not None:
            roll_back(client, self.checkpoint, interrupted=self.awaits is None)
            self.end()


class FakeFirewalld:
    """Implements _firewalld_apply.Client; C(writes) holds the name of every write so far.

    C(fail_at) is the number of the write that goes wrong, from 1 on: with C(applied) it takes
    effect first (an answer that was lost). C(kill) makes it the end of the process.
    """

    def __init__(
        self,
        zones: Optional[dict[str, Settings]] = None,
        managed: Optional[dict[str, str]] = None,
        bound: Optional[dict[str, str]] = None,
    ) -> None:
        """Take settings of zones by name, and the zones of interfaces by who binds them."""
        zones = {DEFAULT_ZONE: {"services": ["ssh"]}, **(zones or {})}
        self._builtin = {name: copy.deepcopy(settings) for name, settings in zones.items()}
        self._overridden: set[str] = set()
        self._permanent: Objects = {(ZONE, name): value for name, value in zones.items()}
        self._permanent = copy.deepcopy(self._permanent)
        self._bound = dict(bound or {})
        self._profiles = dict(managed or {})
        self._directory = tempfile.TemporaryDirectory()
        for name, zone in self._profiles.items():
            self._write_profile(name, f"written by hand, zone={zone}")
        self._runtime: Objects = {}
        self._runtime_bound: dict[str, str] = {}
        self._take_over()
        self.writes: list[str] = []
        self.fail_at = 0
        self.applied = False
        self.kill = False
        self.reloads = 0
        self.what_is_wrong = ""
        self.tables: dict[str, str] = {}
        self.direct: Direct = {"chains": [], "rules": [], "passthroughs": []}

    def snapshot(self) -> dict[str, Any]:
        """Return all that somebody could see of it."""
        return copy.deepcopy(
            {
                "permanent": self._permanent,
                "runtime": self._runtime,
                "bound": {name: zone for name, zone in self._bound.items() if zone},
                "runtime_bound": {name: zone for name, zone in self._runtime_bound.items() if zone},
                "profiles": self._profiles,
                "files": {name: self._read_profile(name) for name in self._profiles},
                "overridden": self._overridden,
            }
        )

    def reboot(self) -> None:
        """Start again from the permanent configuration."""
        self._take_over()

    def run_only(self, zone: str, **settings: Any) -> None:
        """Let somebody change a zone in the running configuration alone."""
        self._runtime[ZONE, zone].update(settings)

    def create_zone(self, name: str, **settings: Any) -> None:
        """Let the user create a zone."""
        self._permanent[ZONE, name] = settings
        self._runtime[ZONE, name] = copy.deepcopy(settings)

    def create_policy(self, name: str, **settings: Any) -> None:
        """Let the user create a policy."""
        whole = {"target": "CONTINUE", "rich_rules": [], **settings}
        self._permanent[POLICY, name] = whole
        self._runtime[POLICY, name] = copy.deepcopy(whole)

    def add_permanent(self, kind: str, name: str, **settings: Any) -> None:
        """Let somebody write an object into the permanent configuration alone."""
        self._permanent[kind, name] = settings

    # Reading

    def is_running(self) -> bool:
        return True

    def trouble(self) -> str:
        return self.what_is_wrong

    def version(self) -> str:
        return "1.3.3"

    def default_zone(self) -> str:
        return DEFAULT_ZONE

    def is_builtin(self, zone: str) -> bool:
        return zone in self._builtin and zone not in self._overridden

    def active_zones(self) -> dict[str, dict[str, list[str]]]:
        return {
            name: {
                "interfaces": self._held(self._runtime_bound, one, name),
                "sources": list(one.get("sources", [])),
            }
            for (kind, name), one in self._runtime.items()
            if kind == ZONE
        }

    def permanent_holder(self, interface: str) -> str:
        for (kind, name), one in self._permanent.items():
            if kind == ZONE and interface in one.get("interfaces", []):
                return name
        return self._bound.get(interface, "")

    def service(self, name: str) -> Optional[Settings]:
        return {"ports": ["22/tcp"]} if name == "ssh" else None

    def others(self, owned: Collection[Key]) -> Others:
        objects = {key: one for key, one in self._runtime.items() if key not in owned}
        interfaces = {name: zone for name, zone in self._runtime_bound.items() if zone}
        for (kind, name), one in self._runtime.items():
            if kind == ZONE:
                interfaces.update(dict.fromkeys(one.get("interfaces", []), name))
        own_zones = tuple(name for kind, name in owned if kind == ZONE)
        return copy.deepcopy(Others(objects, interfaces, self.direct, self.tables, own_zones))

    def file_paths(self, keys: Sequence[Key], profiles: Mapping[str, Profile]) -> list[str]:
        names = [name for kind, name in keys if kind == BINDING and name in self._profiles]
        return [f"{self._directory.name}/{name}" for name in names]

    def _read_profile(self, interface: str) -> str:
        with open(f"{self._directory.name}/{interface}", encoding="utf-8") as stream:
            return stream.read()

    def _write_profile(self, interface: str, text: str) -> None:
        with open(f"{self._directory.name}/{interface}", "w", encoding="utf-8") as stream:
            stream.write(text)

    def permanent_keys(self) -> set[Key]:
        return set(self._permanent)

    def runtime_keys(self) -> set[Key]:
        return set(self._runtime)

    def permanent_settings(self, key: Key) -> Settings:
        return copy.deepcopy(self._find(self._permanent, key))

    def runtime_settings(self, key: Key) -> Settings:
        return copy.deepcopy(self._find(self._runtime, key))

    def permanent_zone_of(self, interface: str) -> str:
        if interface in self._profiles:
            return self._profiles[interface]
        return self._bound.get(interface, "")

    def runtime_zone_of(self, interface: str) -> str:
        return self._runtime_bound.get(interface, "")

    def profile_of(self, interface: str) -> Optional[Profile]:
        if interface not in self._profiles:
            return None
        return Profile(path=interface, text=self._read_profile(interface))

    # Writing

    def apply_permanent(self, change: Change) -> None:
        self._write(f"permanent {' '.join(change.key)}", self._apply_permanent, change)

    def apply_runtime(self, change: Change) -> None:
        self._write(f"running {' '.join(change.key)}", self._apply_runtime, change)

    def apply_running_of_others(self, change: Change) -> None:
        self._write(f"give back {' '.join(change.key)}", self._give_back, change)

    def restore_direct(self, before: Direct, after: Direct) -> None:
        self.direct = copy.deepcopy(before)

    def restore_tables(self, others: Others) -> None:
        self.tables = dict(others.tables)

    def load_profile(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if name in self._profiles:
            self._profiles[name] = self._read_profile(name).partition("zone=")[2]
        else:
            assert name == "firewalld.json", "no file but the record and profiles is here"

    def restore_builtin(self, zone: str) -> None:
        self._write(f"restore zone {zone}", self._restore_builtin, zone)

    def written_profile(self, profile: Profile) -> Profile:
        return profile

    def restore_profile(self, profile: Profile, zone: str) -> None:
        self._write(f"restore profile {profile.path}", self._restore_profile, profile, zone)

    def reload(self) -> None:
        self._write("reload", self._reload)

    def _write(self, name: str, action: Any, *arguments: Any) -> None:
        self.writes.append(name)
        fails = len(self.writes) == self.fail_at
        if not fails or self.applied:
            action(*arguments)
        if fails:
            raise Killed(name) if self.kill else FirewalldError(f"{name} went wrong")

    def _apply_permanent(self, change: Change) -> None:
        kind, name = change.key
        if kind == BINDING:
            self._bind(name, (change.after or {})["zone"])
        elif kind == PORTS:
            self._set_ports(self._permanent, name, change)
            self._overridden.add(name)
        elif change.after is None:
            self._find(self._permanent, change.key)
            del self._permanent[change.key]
            if kind == ZONE:
                self._bound = {one: zone for one, zone in self._bound.items() if zone != name}
        elif (change.before is None) == (change.key in self._permanent):
            raise FirewalldError(f"NAME_CONFLICT or INVALID: {kind} {name}")
        else:
            self._check(change)
            self._permanent[change.key] = copy.deepcopy(change.after)

    def _check(self, change: Change) -> None:
        kind, name = change.key
        settings = change.after or {}
        if kind in (ZONE, POLICY) and len(name) > 17:
            raise FirewalldError(f"INVALID_NAME: {name}")
        if kind == POLICY:
            self._check_policy(self._permanent, settings)

    def _check_policy(self, objects: Objects, settings: Settings) -> None:
        for zone in [*settings["ingress_zones"], *settings["egress_zones"]]:
            if zone not in ("ANY", "HOST"):
                self._find(objects, (ZONE, zone))
        for rule in settings["rich_rules"]:
            for ipset in re.findall(r'ipset="([^"]+)"', rule):
                self._find(objects, (IPSET, ipset))

    def _bind(self, interface: str, zone: str) -> None:
        if zone:
            self._find(self._permanent, (ZONE, zone))
        if interface not in self._profiles:
            self._bound[interface] = zone
            return
        if self._profiles[interface] == zone:
            return
        self._profiles[interface] = zone
        self._write_profile(interface, f"written by nmcli, zone={zone}")
        # NetworkManager tells firewalld at once.
        if not zone or (ZONE, zone) in self._runtime:
            self._runtime_bound[interface] = zone or DEFAULT_ZONE

    def _apply_runtime(self, change: Change) -> None:
        kind, name = change.key
        assert not change.needs_reload, f"{change.key} can't be changed without a reload"
        if kind == BINDING:
            zone = (change.after or {})["zone"]
            if zone:
                self._find(self._runtime, (ZONE, zone))
                self._runtime_bound[name] = zone
            else:
                self._runtime_bound.pop(name, None)
        elif kind == PORTS:
            self._set_ports(self._runtime, name, change)
        else:
            self._find(self._runtime, change.key)
            if kind == POLICY:
                self._check_policy(self._runtime, change.after or {})
            self._runtime[change.key] = copy.deepcopy(change.after or {})

    def _give_back(self, change: Change) -> None:
        self._find(self._runtime, change.key)
        self._runtime[change.key] = copy.deepcopy(change.after or {})

    def _set_ports(self, objects: Objects, zone: str, change: Change) -> None:
        settings = self._find(objects, (ZONE, zone))
        settings["ports"] = list((change.after or {})["ports"])
        if not settings["ports"]:
            del settings["ports"]

    def _restore_builtin(self, zone: str) -> None:
        if zone in self._overridden:
            self._permanent[ZONE, zone] = copy.deepcopy(self._builtin[zone])
            self._overridden.discard(zone)

    def _restore_profile(self, profile: Profile, zone: str) -> None:
        self._bind(profile.path, zone)
        self._write_profile(profile.path, profile.text)

    def _reload(self) -> None:
        for (kind, _name), settings in self._permanent.items():
            if kind == POLICY:
                self._check_policy(self._permanent, settings)
        kept = self._runtime_bound
        self._take_over()
        self.reloads += 1
        # Without FlushAllOnReload, firewalld keeps what was bound in the running configuration.
        for name, zone in kept.items():
            if (ZONE, zone) in self._runtime:
                self._runtime_bound.setdefault(name, zone)

    def _take_over(self) -> None:
        self._runtime = copy.deepcopy(self._permanent)
        self._runtime_bound = {name: zone for name, zone in self._bound.items() if zone}
        for name, zone in self._profiles.items():
            self._runtime_bound[name] = zone if (ZONE, zone) in self._runtime else DEFAULT_ZONE

    @staticmethod
    def _held(bound: dict[str, str], settings: Settings, zone: str) -> list[str]:
        own = [name for name, holder in bound.items() if holder == zone]
        return sorted({*own, *settings.get("interfaces", [])})

    @staticmethod
    def _find(objects: Objects, key: tuple[str, str]) -> Settings:
        if key not in objects:
            raise FirewalldError(f"INVALID_{key[0].upper()}: {key[1]}")
        return objects[key]
