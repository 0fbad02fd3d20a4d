# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A firewalld in memory, on the fake D-Bus, that answers as a recorded one did.

Its zones, policies and services, and the keys of their settings, come from a recording of
molecule/guard/record_firewalld.py. What it does with writes is written here, and
test_fake_daemon.py proves it: it plays the script of the recordings and compares each answer.
"""

from __future__ import annotations

import copy
import functools
import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_dbus import (
    DBusException,
    FakeDBus,
    ObjectPath,
)

RECORDINGS = Path(__file__).parent / "recordings"
VERSIONS = ("0.9.3", "1.3.3", "2.3.1", "2.5.2")
NAME = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
PROPERTIES = "org.freedesktop.DBus.Properties"
IPSET, ZONE, POLICY = "ipset", "zone", "policy"
KINDS = (IPSET, ZONE, POLICY)
_DIRECTORIES = {IPSET: "ipsets", ZONE: "zones", POLICY: "policies"}
_PROPERTY_METHODS = {"Get": "_property", "Set": "_set_property"}
_READING = ("get", "Get", "query", "list")
# In the order in which firewalld checks them.
_KEYS = {
    ZONE: (
        "version short description target services ports icmp_blocks masquerade forward_ports "
        "interfaces sources rules_str protocols source_ports icmp_block_inversion forward "
        "ingress_priority egress_priority"
    ).split(),
    POLICY: (
        "version short description target services ports icmp_blocks masquerade forward_ports "
        "rich_rules protocols source_ports priority ingress_zones egress_zones disable"
    ).split(),
}
_TARGETS = {
    ZONE: ("default", "ACCEPT", "DROP", "%%REJECT%%"),
    POLICY: ("CONTINUE", "ACCEPT", "DROP", "REJECT"),
}
_TEXTS = ("version", "short", "description", "target")
_NFTABLES = "'python-nftables' failed: internal:0:0-0: Error: "
_EXISTS = "Could not process rule: File exists"
_RANGE = "Must be in range [-32768, 32767]. The following are reserved: [0]"
_FAILED = (
    "Changing permanent configuration is not allowed while firewalld is in FAILED state. The "
    "permanent configuration must be fixed and then firewalld restarted. Try "
    "`firewall-offline-cmd --check-config`."
)

Settings = dict[str, Any]
Objects = dict[str, dict[str, Settings]]


class Killed(BaseException):
    """The process that called ended here: killed, or the power went."""


def error(code: str, text: str) -> DBusException:
    return bare_error(f"{code}: {text}")


def bare_error(text: str) -> DBusException:
    return DBusException(f"{NAME}.Exception", text)


@functools.cache
def recording(version: str) -> dict[str, list[dict[str, Any]]]:
    """Return the recording of a firewalld."""
    return json.loads((RECORDINGS / f"firewalld-{version}.json").read_text())


def _plain(value: Any) -> Any:
    """Turn a recorded answer into plain values."""
    if isinstance(value, dict):
        if list(value) == ["()"]:
            return tuple(_plain(one) for one in value["()"])
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


class FirewalldDaemon:
    """The firewalld of one generation.

    C(writes) holds the name and arguments of every call so far that changes something.
    C(fail_at) is the number of the one that fails, from 1 on: with C(applied) it takes effect
    first (an answer that was lost). C(kill) ends the process of the caller there.
    C(profiles) holds the zones that NetworkManager gives to interfaces, empty for the default.
    """

    def __init__(self, version: str = "1.3.3", profiles: Optional[dict[str, str]] = None) -> None:
        self.version = tuple(int(part) for part in version.split("."))
        self._answers = {
            (one.get("on", "main"), one["call"], json.dumps(one["args"])): one
            for one in recording(version)["initial"]
            if "call" in one
        }
        self._checks_all = self.version >= (1, 0)
        self._stock = {kind: self._recorded(kind) for kind in KINDS}
        self._saved: Objects = {kind: {} for kind in KINDS}
        self._running: Objects = {kind: {} for kind in KINDS}
        # Policies that firewalld 0.9 does not load, though it goes on running them.
        self._hidden: set[str] = set()
        # What firewalld takes for the permanent configuration after a failed reload.
        self._left: Optional[Objects] = None
        self.properties: dict[str, Any] = {
            json.loads(arguments)[1]: one["answer"]
            for (on, call, arguments), one in self._answers.items()
            if on == "config" and call == f"{PROPERTIES}.Get" and "answer" in one
        }
        self._services = set(self._answer("listServices"))
        self._paths: dict[str, tuple[str, str]] = {}
        self._default_interfaces: set[str] = set()
        self.profiles = dict(profiles or {})
        self.starts = 0
        self.writes: list[str] = []
        self.fail_at = 0
        self.applied = False
        self.kill = False
        self.reloads = 0
        self.reboot()

    # For tests

    def dbus(self) -> FakeDBus:
        """Return what takes the place of the module dbus."""
        return FakeDBus(self)

    def snapshot(self) -> dict[str, Any]:
        """Return all that somebody could see of it."""
        return copy.deepcopy(
            {
                "saved": self._saved,
                "running": {
                    kind: {name: _shown(one) for name, one in objects.items()}
                    for kind, objects in self._running.items()
                },
                "direct": self._direct,
                "profiles": self.profiles,
                "properties": self.properties,
            }
        )

    def reboot(self) -> None:
        """Start again from the permanent configuration."""
        self.running = True
        self.starts += 1
        self.panic = False
        self._direct: dict[str, list[Any]] = {"Chain": [], "Rule": [], "Passthrough": []}
        self._default_interfaces.clear()
        # Why firewalld is in the state FAILED, and whether it runs its stock configuration.
        self._failed: Optional[DBusException] = None
        self._failsafe = False
        self._load(flush=True, start=True)

    def stop(self) -> None:
        self.running = False

    def reset(self) -> None:
        """Start from an empty configuration."""
        self._saved = {kind: {} for kind in KINDS}
        self.properties["FlushAllOnReload"] = "yes"
        self.properties["DefaultZone"] = "public"
        self._paths.clear()
        self.reboot()

    def save(self, kind: str, name: str, **settings: Any) -> None:
        """Let somebody write an object into the permanent configuration only."""
        self._saved[kind][name] = {**self._new(kind), **self._permanent(kind).get(name, {})}
        self._saved[kind][name].update(settings)

    def run_only(self, kind: str, name: str, **settings: Any) -> None:
        """Let somebody change an object in the running configuration only."""
        self._running[kind][name].update(settings)

    def permanent(self, kind: str) -> Objects:
        """Return the objects of the permanent configuration."""
        return copy.deepcopy({name: _shown(one) for name, one in self._permanent(kind).items()})

    def runtime(self, kind: str) -> Objects:
        """Return the objects of the running configuration."""
        return copy.deepcopy({name: _shown(one) for name, one in self._running[kind].items()})

    def network_manager_binds(self, interface: str, zone: str) -> None:
        """Let NetworkManager change the zone of an interface that it manages."""
        self.profiles[interface] = zone
        # firewalld refuses an unknown zone, and the interface stays where it is.
        if self.running and (not zone or zone in self._running[ZONE]):
            self._unbind(interface)
            self._bind(interface, zone)

    # On the bus

    def handle(self, path: str, interface: str, method: str, arguments: list[Any]) -> Any:
        """Answer a call."""
        if method.startswith(_READING):
            return self._dispatch(path, interface, method, arguments)
        where = self._paths.get(path, ())
        texts = [one for one in arguments if isinstance(one, str)]
        action = functools.partial(self._dispatch, path, interface, method, arguments)
        return self.write(" ".join([*where, method, *texts]), action)

    def write(self, name: str, action: Callable[[], Any]) -> Any:
        """Call what changes something, and fail if its number is C(fail_at)."""
        self.writes.append(name)
        fails = len(self.writes) == self.fail_at
        answer = None
        if not fails or self.applied:
            answer = action()
        if fails:
            if self.kill:
                raise Killed(name)
            raise DBusException("org.freedesktop.DBus.Error.NoReply", "Message recipient is gone")
        return answer

    def _dispatch(self, path: str, interface: str, method: str, arguments: list[Any]) -> Any:
        if interface == PROPERTIES:
            return copy.deepcopy(getattr(self, _PROPERTY_METHODS[method])(path, *arguments))
        place = interface[len(NAME) + 1 :].replace(".", "_")
        if path in (PATH, f"{PATH}/config"):
            handler = getattr(self, f"_{place or 'main'}_{_snake(method)}", None)
        elif path not in self._paths:
            text = f"Method '{method}' with interface '{interface}' on path '{path}' doesn't exist"
            raise DBusException("org.freedesktop.DBus.Error.UnknownObject", text)
        else:
            kind, name = self._paths[path]
            assert interface == f"{NAME}.config.{kind}", "the interface of another kind"
            handler = getattr(self, f"_object_{_snake(method)}", None)
            if handler is not None:
                handler = functools.partial(handler, kind, name)
        if handler is None:
            name = "org.freedesktop.DBus.Error.UnknownMethod"
            text = f"Unknown method: {method} is not a valid method of interface {interface}"
            raise DBusException(name, f"dbus.exceptions.UnknownMethodException: {name}: {text}")
        return copy.deepcopy(handler(*arguments))

    # Properties

    def _property(self, path: str, interface: str, name: str) -> Any:
        if path == PATH and name == "version":
            return ".".join(map(str, self.version))
        if path == PATH and name == "state":
            return "FAILED" if self._failed else "RUNNING"
        if path == f"{PATH}/config" and name in self.properties:
            return self.properties[name]
        if path in self._paths and name in ("builtin", "default"):
            kind, own = self._paths[path]
            overridden = own in self._saved[kind] and own in self._stock[kind]
            if name == "default":
                return not overridden
            return own not in self._saved[kind]
        raise _no_property(name)

    def _set_property(self, path: str, interface: str, name: str, value: Any) -> None:
        if path != f"{PATH}/config" or name not in self.properties:
            raise _no_property(name)
        self.properties[name] = value

    # Main

    def _main_get_default_zone(self) -> str:
        return self.properties["DefaultZone"]

    def _main_set_default_zone(self, zone: str) -> None:
        self._find(ZONE, zone)
        old, self.properties["DefaultZone"] = self.properties["DefaultZone"], zone
        for interface in sorted(self._default_interfaces):
            _remove(self._running[ZONE][old]["interfaces"], interface)
            # From 2.0 on, only NetworkManager adds its own again.
            if self.version < (2, 0) or interface in self.profiles:
                self._running[ZONE][zone]["interfaces"].append(interface)
            else:
                self._default_interfaces.discard(interface)

    def _main_query_panic_mode(self) -> bool:
        return self.panic

    def _main_enable_panic_mode(self) -> None:
        self.panic = True

    def _main_disable_panic_mode(self) -> None:
        self.panic = False

    def _main_list_services(self) -> list[str]:
        return sorted(self._services)

    def _main_get_service_settings2(self, name: str) -> Settings:
        if name not in self._services:
            raise error("INVALID_SERVICE", name)
        return self._answer("getServiceSettings2", name)

    def _main_reload(self) -> None:
        if self._checks_all:
            self._check_files()
        self.reloads += 1
        before = {kind: self._permanent(kind) for kind in KINDS}
        self._load(flush=self.properties["FlushAllOnReload"] == "yes")
        if self._failed:
            # firewalld clears zones and ipsets before it loads the files, and its D-Bus objects
            # keep the cleared ones.
            ipset = _ipset(("", "", "", "", {}, []))
            self._left = {
                IPSET: {name: copy.deepcopy(ipset) for name in before[IPSET]},
                ZONE: {name: self._new(ZONE) for name in before[ZONE]},
                POLICY: before[POLICY],
            }
            raise self._failed

    def _load(self, flush: bool, start: bool = False) -> None:
        """Make the permanent configuration the running one."""
        before, self._running = self._running, {}
        self._failed, self._failsafe = None, False
        self._left = None
        self._running = {kind: copy.deepcopy(self._permanent(kind)) for kind in KINDS}
        if not self._checks_all:
            self._hidden = {name for name in self._saved[POLICY] if not self._loads(name)}
            for name in self._hidden:
                self._running[POLICY][name] = copy.deepcopy(self._read_part(name))
        self._failed = self._problem()
        if start and self._failed and self._checks_all:
            self._failsafe = True
            self._running = {kind: copy.deepcopy(self._stock[kind]) for kind in KINDS}
        if flush:
            self._default_interfaces.clear()
            self._direct = {kind: [] for kind in self._direct}
        else:
            self._keep(before)
        for interface, zone in self.profiles.items():
            self._unbind(interface)
            if not zone or zone in self._running[ZONE]:
                self._bind(interface, zone)

    def _check_files(self) -> None:
        """Check what a reload or start would load."""
        self._check_all({kind: {**self._stock[kind], **self._saved[kind]} for kind in KINDS})

    def _check_others(self, kind: str, name: str, settings: Settings) -> None:
        """Check all of the permanent configuration, as it would be with a write."""
        if self._checks_all:
            objects = {other: self._permanent(other) for other in KINDS}
            self._check_all({**objects, kind: {**objects[kind], name: settings}})

    def _check_all(self, objects: Objects) -> None:
        for kind in (ZONE, POLICY):
            for name, settings in objects[kind].items():
                # The package's own are valid.
                if settings is not self._stock[kind].get(name):
                    self._check(kind, name, settings, objects)

    def _problem(self) -> Optional[DBusException]:
        """Return why the configuration that was loaded can't be applied, None if it can."""
        if self._checks_all:
            try:
                self._check_files()
            except DBusException as problem:
                return problem
        overlap = any(
            _overlap(settings["entries"])
            for settings in self._running[IPSET].values()
            if settings["type"] == "hash:net"
        )
        # Newer ones merge the intervals.
        if overlap and self.version < (2, 4):
            text = "conflicting intervals specified" if self._checks_all else _EXISTS
            return error("COMMAND_FAILED", _NFTABLES + text)
        # What is not active is not applied.
        zones = {*self._zone_get_active_zones(), self.properties["DefaultZone"]}
        rules = [
            *(rule for name in zones for rule in self._running[ZONE][name]["rules_str"]),
            *(
                rule
                for name in self._policy_get_active_policies()
                for rule in self._running[POLICY][name]["rich_rules"]
            ),
        ]
        for ipset in (one for rule in rules for one in _ipsets_of(rule)):
            if ipset not in self._running[IPSET]:
                return error("INVALID_IPSET", ipset)
        return None

    def _keep(self, before: Objects) -> None:
        """Keep what a reload keeps without FlushAllOnReload."""
        for name, settings in before[IPSET].items():
            now = self._running[IPSET].setdefault(name, settings)
            if (now["type"], now["options"]) == (settings["type"], settings["options"]):
                now["entries"] = [*dict.fromkeys([*now["entries"], *settings["entries"]])]
        for zone, settings in before[ZONE].items():
            for interface in settings["interfaces"] if zone in self._running[ZONE] else ():
                by_default = interface in self._default_interfaces
                self._unbind(interface)
                self._bind(interface, "" if by_default else zone)

    def _loads(self, policy: str) -> bool:
        try:
            self._check(POLICY, policy, self._saved[POLICY][policy])
        except DBusException:
            return False
        return True

    def _read_part(self, policy: str) -> Settings:
        """Return what firewalld 0.9 has read of a policy when it meets a zone that is not there."""
        settings = self._saved[POLICY][policy]
        read = ["version", "short", "description", "target", "priority"]
        zones = {ZONE: self._permanent(ZONE)}
        if all(self._knows(zone, zones) for zone in settings["ingress_zones"]):
            read.append("ingress_zones")
        return {**self._new(POLICY), **{key: settings[key] for key in read}}

    # Zones and policies that run

    def _zone_get_zones(self) -> list[str]:
        return sorted(self._running[ZONE])

    def _policy_get_policies(self) -> list[str]:
        return sorted(self._running[POLICY])

    def _zone_get_zone_settings2(self, name: str) -> Settings:
        return _shown(self._find(ZONE, name))

    def _policy_get_policy_settings(self, name: str) -> Settings:
        return _shown(self._find(POLICY, name))

    def _zone_set_zone_settings2(self, name: str, settings: Settings) -> None:
        self._change(ZONE, name, settings)

    def _policy_set_policy_settings(self, name: str, settings: Settings) -> None:
        self._change(POLICY, name, settings)

    def _change(self, kind: str, name: str, settings: Settings) -> None:
        current = self._find(kind, name)
        new = self._new(kind)
        for key in settings:
            if key not in new:
                if self._checks_all:
                    raise error("INVALID_OPTION", f"option '{key}' is not valid")
                raise bare_error(f"dbus.String('{key}')")
        if self._checks_all:
            self._check(kind, name, settings, self._running)
        for key in settings:
            if key in _TEXTS:
                text = "str" if self._checks_all else "dbus.String"
                text = f"Unhandled setting type <class '{text}'> key {key}"
                raise error("INVALID_SETTING", text)
        changed = copy.deepcopy(current)
        for key, value in settings.items():
            if isinstance(value, list):
                changed[key] = [one for one in changed[key] if one in value]
        if not self._checks_all:
            # Each step takes effect on its own.
            current.update(copy.deepcopy(changed))
        for key, value in settings.items():
            if isinstance(value, list):
                added = [one for one in value if one not in changed[key]]
                self._check_added(kind, name, key, added)
                changed[key] += added
            elif key.endswith("_priority") and bool(value) != bool(current[key]):
                raise bare_error(f"'{key}'")
            elif isinstance(value, bool):
                changed[key] = value
            if not self._checks_all:
                current.update(copy.deepcopy(changed))
        current.update(changed)

    def _check_added(self, kind: str, name: str, key: str, added: list[Any]) -> None:
        """Check what is added, as the functions do that add it one by one."""
        if key in ("rules_str", "rich_rules"):
            for rule in added:
                _check_rule(rule)
                for ipset in _ipsets_of(rule):
                    if ipset not in self._running[IPSET]:
                        raise error("INVALID_IPSET", ipset)
        if self._checks_all:
            return
        for one in added:
            if key == "services" and one not in self._services:
                raise error("INVALID_SERVICE", one)
            if key == "ports" and int(one[0].split("-")[-1]) > 65535:
                raise bare_error("object of type 'int' has no len()")
            if key in ("ingress_zones", "egress_zones") and not self._knows(one, self._running):
                raise error("INVALID_ZONE", one)
            if key == "sources" and not _is_source(one):
                raise error("INVALID_ADDR", one)
            if key in ("interfaces", "sources") and self._holder(key, one, self._running):
                raise error("ZONE_CONFLICT", f"'{one}' already bound to a zone")

    def _zone_get_active_zones(self) -> dict[str, dict[str, list[str]]]:
        found = {}
        for name, settings in self._running[ZONE].items():
            bound = {key: list(settings[key]) for key in ("interfaces", "sources")}
            if self.version >= (2, 0):
                if any(bound.values()) or name == self.properties["DefaultZone"]:
                    found[name] = bound
            elif any(bound.values()):
                found[name] = {key: value for key, value in bound.items() if value}
        return found

    def _policy_get_active_policies(self) -> dict[str, dict[str, list[str]]]:
        zones = {"ANY", "HOST", *self._zone_get_active_zones()}
        ends = ("ingress_zones", "egress_zones")
        return {
            name: {end: list(settings[end]) for end in ends}
            for name, settings in self._running[POLICY].items()
            if all(zones.intersection(settings[end]) for end in ends)
            and not settings.get("disable")
        }

    # Interfaces and sources that run

    def _zone_get_zone_of_interface(self, interface: str) -> str:
        return self._holder("interfaces", interface, self._running)

    def _zone_get_zone_of_source(self, source: str) -> str:
        return self._holder("sources", source, self._running)

    def _zone_add_interface(self, zone: str, interface: str) -> str:
        name = zone or self.properties["DefaultZone"]
        self._find(ZONE, name)
        holder = self._holder("interfaces", interface, self._running)
        if holder == name:
            raise error("ZONE_ALREADY_SET", f"'{interface}' already bound to '{zone}'")
        if holder:
            where = f"'{holder}'" if self._checks_all else "a zone"
            raise error("ZONE_CONFLICT", f"'{interface}' already bound to {where}")
        self._bind(interface, zone)
        return name

    def _zone_change_zone_of_interface(self, zone: str, interface: str) -> str:
        name = zone or self.properties["DefaultZone"]
        self._find(ZONE, name)
        if self._holder("interfaces", interface, self._running) != name:
            self._unbind(interface)
            self._bind(interface, zone)
        return name

    def _zone_remove_interface(self, zone: str, interface: str) -> str:
        holder = self._holder("interfaces", interface, self._running)
        if not holder:
            raise error("UNKNOWN_INTERFACE", f"'{interface}' is not in any zone")
        if zone:
            self._find(ZONE, zone)
        if zone not in ("", holder):
            text = f"remove_interface({zone}, {interface}): zoi='{holder}'"
            raise error("ZONE_CONFLICT", text)
        self._unbind(interface)
        return holder

    def _zone_add_source(self, zone: str, source: str) -> str:
        settings = self._find(ZONE, zone)
        if not _is_source(source):
            raise error("INVALID_ADDR", source)
        if source in settings["sources"]:
            raise error("ZONE_ALREADY_SET", f"'{source}' already bound to '{zone}'")
        if self._holder("sources", source, self._running):
            raise error("ZONE_CONFLICT", f"'{source}' already bound to a zone")
        settings["sources"].append(source)
        return zone

    def _zone_remove_source(self, zone: str, source: str) -> str:
        if not self._holder("sources", source, self._running):
            raise error("UNKNOWN_SOURCE", f"'{source}' is not in any zone")
        self._find(ZONE, zone)["sources"].remove(source)
        return zone

    def _bind(self, interface: str, zone: str) -> None:
        name = zone or self.properties["DefaultZone"]
        self._running[ZONE][name]["interfaces"].append(interface)
        if not zone:
            self._default_interfaces.add(interface)

    def _unbind(self, interface: str) -> None:
        for settings in self._running[ZONE].values():
            _remove(settings["interfaces"], interface)
        self._default_interfaces.discard(interface)

    def _holder(self, key: str, value: str, objects: Objects) -> str:
        return " ".join(sorted(name for name, one in objects[ZONE].items() if value in one[key]))

    # Ipsets that run

    def _ipset_get_ipsets(self) -> list[str]:
        return sorted(self._running[IPSET])

    def _ipset_get_ipset_settings(self, name: str) -> tuple[Any, ...]:
        return _shown(self._find(IPSET, name))

    def _ipset_get_entries(self, name: str) -> list[str]:
        return self._find(IPSET, name)["entries"]

    def _ipset_query_entry(self, name: str, entry: str) -> bool:
        return entry in self._find(IPSET, name)["entries"]

    def _ipset_add_entry(self, name: str, entry: str) -> None:
        settings = self._find(IPSET, name)
        _check_entry(settings, entry)
        if entry in settings["entries"]:
            raise error("ALREADY_ENABLED", f"'{entry}' already is in '{name}'")
        if self._checks_all:
            _check_overlap(settings, entry)
        elif settings["type"] == "hash:ip" and "/" in entry:
            text = "You must add 'flags interval' to your set declaration if you want to add prefix"
            raise error("COMMAND_FAILED", f"{_NFTABLES}{text} elements")
        else:
            other = _first_overlap(settings, entry)
            if other and _network(other) == _network(entry):
                text = f"'/usr/sbin/ipset add {name} {entry}' failed: ipset v7.10: "
                text += "Element cannot be added to the set: it's already added"
                raise error("COMMAND_FAILED", text)
            if other:
                raise error("COMMAND_FAILED", _NFTABLES + "interval overlaps with an existing one")
        settings["entries"].append(entry)

    def _ipset_remove_entry(self, name: str, entry: str) -> None:
        settings = self._find(IPSET, name)
        if entry not in settings["entries"]:
            raise error("NOT_ENABLED", f"'{entry}' not in '{name}'")
        settings["entries"].remove(entry)

    def _ipset_set_entries(self, name: str, entries: list[str]) -> None:
        settings = self._find(IPSET, name)
        overlap = _overlap(entries) if settings["type"] == "hash:net" else None
        if overlap and self._checks_all:
            text = f"Entry '{overlap[0]}' overlaps entry '{overlap[1]}'"
            raise error("INVALID_ENTRY", text)
        for entry in entries:
            _check_entry(settings, entry)
        settings["entries"] = list(entries)
        if overlap:
            raise error("COMMAND_FAILED", _NFTABLES + _EXISTS)

    # Direct rules

    def _direct_get_all_chains(self) -> list[Any]:
        return self._direct["Chain"]

    def _direct_get_all_rules(self) -> list[Any]:
        return self._direct["Rule"]

    def _direct_get_all_passthroughs(self) -> list[Any]:
        return self._direct["Passthrough"]

    def _direct_add_chain(self, ipv: str, table: str, chain: str) -> None:
        text = f"chain '{chain}' already is in '{ipv}:{table}'"
        self._add_direct("Chain", (ipv, table, chain), text)

    def _direct_remove_chain(self, ipv: str, table: str, chain: str) -> None:
        text = f"chain '{chain}' is not in '{ipv}:{table}'"
        self._remove_direct("Chain", (ipv, table, chain), text)

    def _direct_add_rule(
        self, ipv: str, table: str, chain: str, priority: int, rest: list[str]
    ) -> None:
        text = f"rule '{tuple(rest)}' already is in '{ipv}:{table}:{chain}'"
        self._add_direct("Rule", (ipv, table, chain, priority, rest), text)

    def _direct_remove_rule(
        self, ipv: str, table: str, chain: str, priority: int, rest: list[str]
    ) -> None:
        text = f"rule '{tuple(rest)}' is not in '{ipv}:{table}:{chain}'"
        self._remove_direct("Rule", (ipv, table, chain, priority, rest), text)

    def _direct_add_passthrough(self, ipv: str, rest: list[str]) -> None:
        text = f"passthrough '{ipv}', '{rest}'"
        self._add_direct("Passthrough", (ipv, rest), text)

    def _direct_remove_passthrough(self, ipv: str, rest: list[str]) -> None:
        self._remove_direct("Passthrough", (ipv, rest), f"passthrough '{ipv}', '{rest}'")

    def _add_direct(self, kind: str, what: tuple[Any, ...], text: str) -> None:
        if what[0] not in ("ipv4", "ipv6", "eb"):
            raise error("INVALID_IPV", f"'{what[0]}' not in '['ipv4', 'ipv6', 'eb']'")
        if what in self._direct[kind]:
            raise error("ALREADY_ENABLED", text)
        self._direct[kind].append(what)

    def _remove_direct(self, kind: str, what: tuple[Any, ...], text: str) -> None:
        if what not in self._direct[kind]:
            raise error("NOT_ENABLED", text)
        self._direct[kind].remove(what)

    # The permanent configuration

    def _config_get_zone_names(self) -> list[str]:
        return sorted(self._permanent(ZONE))

    def _config_get_policy_names(self) -> list[str]:
        return sorted(self._permanent(POLICY))

    def _config_get_ipset_names(self) -> list[str]:
        return sorted(self._permanent(IPSET))

    def _config_get_zone_by_name(self, name: str) -> str:
        return self._path(ZONE, name)

    def _config_get_policy_by_name(self, name: str) -> str:
        return self._path(POLICY, name)

    def _config_get_ipset_by_name(self, name: str) -> str:
        return self._path(IPSET, name)

    def _config_get_zone_of_interface(self, interface: str) -> str:
        return self._holder("interfaces", interface, {ZONE: self._permanent(ZONE)})

    def _config_get_zone_of_source(self, source: str) -> str:
        return self._holder("sources", source, {ZONE: self._permanent(ZONE)})

    def _config_add_zone2(self, name: str, settings: Settings) -> str:
        return self._add(ZONE, name, settings, "new_zone()")

    def _config_add_policy(self, name: str, settings: Settings) -> str:
        return self._add(POLICY, name, settings, "new_policy_object()")

    def _config_add_ipset(self, name: str, settings: tuple[Any, ...]) -> str:
        return self._add(IPSET, name, _ipset(settings), "new_ipset()")

    def _add(self, kind: str, name: str, settings: Settings, function: str) -> str:
        self._check_state()
        if name in self._permanent(kind):
            raise error("NAME_CONFLICT", f"{function}: '{name}'")
        odd = re.search(r"[^\w/-]", name)
        if odd:
            raise error("INVALID_NAME", f"'{odd.group()}' is not allowed in '{name}'")
        if kind == ZONE and len(name) > 17 and self.version < (2, 4):
            size = f"has {len(name)} chars, max is 17"
            text = f"Zone '{name}': name {size}" if self._checks_all else f"Zone of '{name}' {size}"
            raise error("INVALID_NAME", text if self._checks_all else f"{text} False")
        self._check(kind, name, settings, bound=self._checks_all)
        new = {**self._new(kind), **copy.deepcopy(settings)}
        self._check_others(kind, name, new)
        self._write(kind, name, new)
        return self._path(kind, name)

    def _object_get_settings(self, kind: str, name: str) -> Any:
        return _shown(self._permanent(kind)[name])

    _object_get_settings2 = _object_get_settings

    def _object_update(self, kind: str, name: str, settings: Any) -> None:
        assert kind != ZONE, "a zone's update() takes a tuple that lacks newer settings"
        self._update(kind, name, _ipset(settings) if kind == IPSET else settings)

    def _object_update2(self, kind: str, name: str, settings: Settings) -> None:
        self._update(kind, name, settings)

    def _update(self, kind: str, name: str, settings: Settings) -> None:
        self._check_state()
        current = self._permanent(kind)[name]
        for key in ("interfaces", "sources") if kind == ZONE else ():
            for one in settings.get(key, ()):
                if one not in current[key] and self._holder(
                    key, one, {ZONE: self._permanent(ZONE)}
                ):
                    raise error("ZONE_CONFLICT", one)
        self._check(kind, name, settings)
        new = {**copy.deepcopy(current), **copy.deepcopy(settings)}
        self._check_others(kind, name, new)
        self._write(kind, name, new)

    def _write(self, kind: str, name: str, settings: Settings) -> None:
        self._saved[kind][name] = settings
        if self._left:
            self._left[kind][name] = settings

    def _object_set_ports(self, kind: str, name: str, ports: list[Any]) -> None:
        self._update(kind, name, {"ports": ports})

    def _object_add_interface(self, kind: str, name: str, interface: str) -> None:
        interfaces = self._permanent(kind)[name]["interfaces"]
        if interface in interfaces:
            raise error("ALREADY_ENABLED", interface)
        self._update(kind, name, {"interfaces": [*interfaces, interface]})

    def _object_remove_interface(self, kind: str, name: str, interface: str) -> None:
        interfaces = self._permanent(kind)[name]["interfaces"]
        if interface not in interfaces:
            raise error("NOT_ENABLED", interface)
        rest = [one for one in interfaces if one != interface]
        self._update(kind, name, {"interfaces": rest})

    def _object_get_entries(self, kind: str, name: str) -> list[str]:
        return self._permanent(kind)[name]["entries"]

    def _object_add_entry(self, kind: str, name: str, entry: str) -> None:
        self._check_state()
        settings = self._permanent(kind)[name]
        if not settings["type"]:
            raise error("INVALID_IPSET", "ipset type '' not usable")
        _check_entry(settings, entry)
        if entry in settings["entries"]:
            raise error("ALREADY_ENABLED", entry)
        if self._checks_all:
            _check_overlap(settings, entry)
        self._update(kind, name, {"entries": [*settings["entries"], entry]})

    def _object_remove_entry(self, kind: str, name: str, entry: str) -> None:
        entries = self._permanent(kind)[name]["entries"]
        if entry not in entries:
            raise error("NOT_ENABLED", entry)
        self._update(kind, name, {"entries": [one for one in entries if one != entry]})

    def _object_load_defaults(self, kind: str, name: str) -> None:
        if name not in self._stock[kind]:
            raise error("NO_DEFAULTS", f"'{name}' not a built-in {kind}")
        if name not in self._saved[kind]:
            raise error("NO_DEFAULTS", name)
        del self._saved[kind][name]

    def _object_remove(self, kind: str, name: str) -> None:
        self._check_state()
        if name in self._stock[kind]:
            if kind == POLICY:
                raise bare_error("module 'firewall.errors' has no attribute 'BUILTIN_POLICY'")
            raise error(f"BUILTIN_{kind.upper()}", f"'{name}' is built-in {kind}")
        del self._saved[kind][name]
        if self._left:
            del self._left[kind][name]
        self._paths = {path: one for path, one in self._paths.items() if one != (kind, name)}

    # Checks

    def _check_state(self) -> None:
        if self._failed and self._checks_all:
            raise error("RUNNING_BUT_FAILED", _FAILED)

    def _check(
        self,
        kind: str,
        name: str,
        settings: Settings,
        objects: Optional[Objects] = None,
        bound: bool = True,
    ) -> None:
        """Check settings against the other objects, those of the permanent configuration."""
        objects = objects or {other: self._permanent(other) for other in KINDS}
        if kind == IPSET:
            self._check_ipset(settings)
            return
        new = self._new(kind)
        for key in settings:
            if key not in new:
                raise error("INVALID_OPTION", f"option '{key}' is not valid")
        other = POLICY if kind == ZONE else ZONE
        if name in objects[other]:
            if self._checks_all:
                self._refuse("NAME_CONFLICT", kind, name, f"Can't have the same name as a {other}.")
            many = {ZONE: "Zones", POLICY: "Policies"}[kind]
            raise error("NAME_CONFLICT", f"{many} can't have the same name as a {other}.")
        whole = {**new, **objects[kind].get(name, {}), **settings}
        for key in _KEYS[kind]:
            if key in settings and (bound or key not in ("interfaces", "sources")):
                self._check_value(kind, name, key, settings[key], whole, objects)

    def _check_value(
        self, kind: str, name: str, key: str, value: Any, whole: Settings, objects: Objects
    ) -> None:
        def refuse(code: str, text: str) -> None:
            self._refuse(code, kind, name, text)

        if key == "target" and value not in _TARGETS[kind]:
            if kind == POLICY:
                refuse("INVALID_TARGET", f"'{value}' is invalid target")
            refuse("INVALID_TARGET", self._short(f"invalid target '{value}'", value))
        elif key == "services":
            for one in value:
                if one not in self._services:
                    refuse("INVALID_SERVICE", f"'{one}' not among existing services")
        elif key in ("ports", "source_ports"):
            for port, protocol in value:
                if int(port.split("-")[-1]) > 65535:
                    raise error("INVALID_PORT", f"port number in '{port}' is too big")
                if protocol not in ("tcp", "udp", "sctp", "dccp"):
                    text = f"'{protocol}' not from {{'tcp'|'udp'|'sctp'|'dccp'}}"
                    raise error("INVALID_PROTOCOL", text)
        elif key in ("rules_str", "rich_rules"):
            for one in value:
                _check_rule(one)
                for ipset in _ipsets_of(one) if self.version >= (2, 0) else ():
                    if ipset not in objects[IPSET]:
                        refuse("INVALID_IPSET", f"'{ipset}' not among existing ipsets")
        elif key in ("interfaces", "sources"):
            for one in value:
                self._check_bound(name, key, one, objects)
        elif key == "priority" and (value == 0 or abs(value) > 32767):
            refuse("INVALID_PRIORITY", f"{value} is invalid priority. {_RANGE}")
        elif key in ("ingress_zones", "egress_zones"):
            for one in value:
                if not self._knows(one, objects):
                    refuse("INVALID_ZONE", f"'{one}' not among existing zones")
            if len(value) > 1 and {"ANY", "HOST"}.intersection(value):
                text = f"'{key}' may only contain one of: many regular zones, ANY, or HOST"
                refuse("INVALID_ZONE", text)
            if all("HOST" in whole[end] for end in ("ingress_zones", "egress_zones")):
                text = "'HOST' can only appear in either ingress or egress zones, but not both"
                refuse("INVALID_ZONE", text)

    def _check_bound(self, name: str, key: str, one: str, objects: Objects) -> None:
        what = key[:-1]
        valid = re.fullmatch(r"[^\s/]{1,15}", one) if what == "interface" else _is_source(one)
        code = {"interface": "INVALID_INTERFACE", "source": "INVALID_ADDR"}[what]
        if not valid:
            self._refuse(code, ZONE, name, self._short(f"invalid {what} '{one}'", one))
        for zone, settings in objects[ZONE].items() if self._checks_all else ():
            if zone != name and one in settings[key]:
                text = f"{what} '{one}' already bound to zone '{zone}'"
                self._refuse(code, ZONE, name, text)

    def _check_ipset(self, settings: Settings) -> None:
        if settings.get("type", "hash:ip") not in ("hash:ip", "hash:net"):
            raise error("INVALID_TYPE", f"'{settings['type']}' is not valid ipset type")
        for option in settings.get("options", ()):
            if option not in ("family", "timeout", "hashsize", "maxelem"):
                raise error("INVALID_IPSET", f"ipset invalid option '{option}'")
        for entry in settings["entries"] if "type" in settings else ():
            _check_entry(settings, entry)

    def _refuse(self, code: str, kind: str, name: str, text: str) -> None:
        where = f"{kind.capitalize()} '{name}': " if self._checks_all else ""
        raise error(code, f"{where}{text}")

    def _short(self, text: str, value: str) -> str:
        return text if self._checks_all else value

    # Private

    def _answer(self, call: str, *arguments: Any, on: str = "main") -> Any:
        found = self._answers.get((on, call, json.dumps(list(arguments))))
        assert found, f"{call} {arguments} was not recorded"
        return _plain(found["answer"])

    def _recorded(self, kind: str) -> dict[str, Settings]:
        names = {IPSET: "getIPSetNames", ZONE: "getZoneNames", POLICY: "getPolicyNames"}[kind]
        method = "getSettings2" if kind == ZONE else "getSettings"
        found = {}
        for name in self._answer(f"config.{names}", on="config"):
            settings = self._answer(f"config.{kind}.{method}", on=f"{kind} {name}")
            found[name] = _ipset(settings) if kind == IPSET else {**_empty(kind), **settings}
        return found

    def _new(self, kind: str) -> Settings:
        """Return the settings of a new object, with all keys that this firewalld knows."""
        if kind == IPSET:
            return {}
        settings = _empty(kind)
        for key, value in next(iter(self._stock[kind].values())).items():
            if isinstance(value, (bool, int)):
                settings[key] = type(value)()
        if kind == ZONE:
            return {**settings, "target": "default", "forward": self._checks_all}
        return {**settings, "target": "CONTINUE", "priority": -1}

    def _permanent(self, kind: str) -> dict[str, Settings]:
        if self._left:
            return self._left[kind]
        if self._failsafe:
            return self._stock[kind]
        whole = {**self._stock[kind], **self._saved[kind]}
        hidden = self._hidden if kind == POLICY else ()
        return {name: settings for name, settings in whole.items() if name not in hidden}

    def _path(self, kind: str, name: str) -> str:
        if name not in self._permanent(kind):
            raise error(f"INVALID_{kind.upper()}", name)
        for path, key in self._paths.items():
            if key == (kind, name):
                return ObjectPath(path)
        number = len(self._paths)
        while f"{PATH}/config/{kind}/{number}" in self._paths:
            number += 1
        self._paths[f"{PATH}/config/{kind}/{number}"] = (kind, name)
        return ObjectPath(f"{PATH}/config/{kind}/{number}")

    def _find(self, kind: str, name: str) -> Settings:
        if name not in self._running[kind]:
            raise error(f"INVALID_{kind.upper()}", name)
        return self._running[kind][name]

    def _knows(self, zone: str, objects: Objects) -> bool:
        return zone in ("ANY", "HOST") or zone in objects[ZONE]


def _snake(method: str) -> str:
    """Return the name that a method of D-Bus has here: get_ipset_settings of getIPSetSettings."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method).lower()


def _no_property(name: str) -> DBusException:
    text = f"org.freedesktop.DBus.Error.InvalidArgs: Property '{name}' does not exist"
    return DBusException("org.freedesktop.DBus.Python.dbus.exceptions.DBusException", text)


def _empty(kind: str) -> Settings:
    flags = ("masquerade", "forward", "icmp_block_inversion", "disable", "priority")
    flags = (*flags, "ingress_priority", "egress_priority")
    settings: Settings = {key: [] for key in _KEYS[kind] if key not in (*_TEXTS, *flags)}
    return {**settings, "version": "", "short": "", "description": ""}


def _ipset(settings: tuple[Any, ...]) -> Settings:
    version, short, description, set_type, options, entries = settings
    return {
        "version": version,
        "short": short,
        "description": description,
        "type": set_type,
        "options": options,
        "entries": entries,
    }


def _shown(settings: Settings) -> Any:
    """Return settings as firewalld does: a tuple of an ipset, and no empty lists and texts."""
    if "entries" in settings:
        return tuple(settings.values())
    return {key: value for key, value in settings.items() if value not in ([], "")}


def _remove(values: list[str], value: str) -> None:
    if value in values:
        values.remove(value)


def _check_rule(rule: str) -> None:
    first = rule.split()[0]
    if first != "rule":
        raise error("INVALID_RULE", f"unknown element {first}")


def _ipsets_of(rule: str) -> list[str]:
    return re.findall(r'ipset="([^"]+)"', rule)


def _is_source(text: str) -> bool:
    if text.startswith("ipset:") or re.fullmatch(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text):
        return True
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _network(entry: str) -> Any:
    return ipaddress.ip_network(entry, strict=False)


def _check_entry(settings: Settings, entry: str) -> None:
    version = 6 if settings["options"].get("family") == "inet6" else 4
    try:
        network = _network(entry)
    except ValueError:
        network = None
    if network is None or network.version != version or not network.prefixlen:
        text = f"invalid address '{entry}' in '{entry}' for {settings['type']} (ipv{version})"
        raise error("INVALID_ENTRY", text)


def _first_overlap(settings: Settings, entry: str) -> Optional[str]:
    if settings["type"] != "hash:net":
        return None
    for other in settings["entries"]:
        if _network(other).overlaps(_network(entry)):
            return other
    return None


def _check_overlap(settings: Settings, entry: str) -> None:
    other = _first_overlap(settings, entry)
    if other:
        text = f"Entry '{entry}' overlaps with existing entry '{other}'"
        raise error("INVALID_ENTRY", text)


def _overlap(entries: list[str]) -> Optional[tuple[str, str]]:
    """Return two networks that overlap, None if none do."""
    ordered = sorted(entries, key=lambda one: (_network(one).version, _network(one)))
    for one, other in zip(ordered, ordered[1:]):
        one_network, other_network = _network(one), _network(other)
        same = one_network.version == other_network.version
        if same and one_network.overlaps(other_network):
            return one, other
    return None
