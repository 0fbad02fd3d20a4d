# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""firewalld over D-Bus: reads and writes single objects, decides nothing.

The interface is that of firewalld.dbus(5), the same in firewalld 0.9 to 2.x. Python's dbus
comes with firewalld itself; it is imported only when a client is made, so that everything
else can be tested without it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Optional

from .._host.networkmanager import NetworkManager, Profile
from .iptables import Iptables
from .model import BINDING, IPSET, POLICY, PORTS, RUNTIME_KEYS, ZONE, Change, Key, Objects, Settings
from .plan import overlaps
from .reload import Direct, Others, would_flush_iptables
from .values import (
    DESCRIPTION,
    LIST_SIGNATURES,
    complete,
    normal,
    port_pairs,
)

ActiveZones = dict[str, dict[str, list[str]]]
"""Sources and interfaces by zone."""

NAME = "org.fedoraproject.FirewallD1"
_PATH = "/org/fedoraproject/FirewallD1"
_CONFIG = f"{NAME}.config"
_CONFIG_PATH = f"{_PATH}/config"
ETC = "/etc/firewalld"
_DIRECTORIES = {IPSET: "ipsets", ZONE: "zones", PORTS: "zones", POLICY: "policies"}
_GETTERS = {IPSET: "getIPSetByName", ZONE: "getZoneByName", POLICY: "getPolicyByName"}
_LISTS = {IPSET: "getIPSetNames", ZONE: "getZoneNames", POLICY: "getPolicyNames"}
_RUNNING = {
    IPSET: (".ipset", "getIPSets", ".ipset", "getIPSetSettings"),
    ZONE: (".zone", "getZones", ".zone", "getZoneSettings2"),
    POLICY: (".policy", "getPolicies", ".policy", "getPolicySettings"),
}
# Direct rules: how to list, add and remove each kind, chains before the rules in them.
_DIRECT = {
    "chains": ("getAllChains", "addChain", "removeChain"),
    "rules": ("getAllRules", "addRule", "removeRule"),
    "passthroughs": ("getAllPassthroughs", "addPassthrough", "removePassthrough"),
}
_RELOAD_SECONDS = 120
_STEP = 0.1
# firewalld has this since 2.0, and older ones to which a distribution has given the change.
_KEEPS_IPTABLES = b"may_skip_flush_direct_backends"


class FirewalldError(Exception):
    """firewalld could not be reached or refused; the text says what and what to do."""


class NotRunningError(FirewalldError):
    """There is no firewalld on D-Bus."""


@contextlib.contextmanager
def _translate(action: str) -> Iterator[None]:
    import dbus  # noqa: PLC0415

    try:
        yield
    except dbus.exceptions.DBusException as error:
        name = error.get_dbus_name() or ""
        text = error.get_dbus_message() or str(error)
        if name.endswith((".ServiceUnknown", ".NameHasNoOwner", ".NoReply", ".Disconnected")):
            text = (
                f"firewalld has ended or does not answer ({text}); look at: "
                "systemctl status firewalld"
            )
        raise FirewalldError(f"{action}: {text}") from error


def files_of(kind: str, name: str) -> list[str]:
    """Return the files of /etc that firewalld may write for an object."""
    path = f"{ETC}/{_DIRECTORIES[kind]}/{name}.xml"
    return [path, f"{path}.old"]


def written_files(
    keys: Sequence[Key],
    profiles: Mapping[str, Profile],
    network_manager: NetworkManager,
    zone_of: Callable[[str], str],
) -> list[str]:
    """Return the files that changing objects may write.

    C(profiles) are those to restore, by interface; C(zone_of) returns firewalld's own bindings.
    """
    paths: dict[str, None] = {}
    for kind, name in keys:
        if kind != BINDING:
            paths.update(dict.fromkeys(files_of(kind, name)))
        elif network_manager.manages(name):
            paths.update(dict.fromkeys(network_manager.files(name, profiles.get(name))))
        else:
            zone = zone_of(name)
            paths.update(dict.fromkeys(files_of(ZONE, zone) if zone else []))
    return list(paths)


def is_customized(key: Key) -> bool:
    """Tell whether somebody has given an object a file under /etc."""
    return os.path.exists(files_of(*key)[0])


class Firewalld:
    """The firewalld of this host. Raises NotRunningError where there is none on D-Bus."""

    def __init__(
        self,
        network_manager: NetworkManager,
        iptables: Iptables,
        restart: Optional[Callable[[], None]] = None,
    ) -> None:
        """C(restart) restarts the service, which may be on D-Bus only later."""
        import dbus  # noqa: PLC0415

        self._dbus = dbus
        self._iptables = iptables
        self._network_manager = network_manager
        self._restart = restart
        self._connect()

    def _connect(self) -> None:
        dbus = self._dbus
        with _translate("connect to firewalld"):
            self._bus = dbus.SystemBus()
            # Never let D-Bus start a firewalld that somebody stopped.
            if not self._bus.name_has_owner(NAME):
                raise NotRunningError("firewalld is not running")
            # By its owner, so that one that was started again in between is noticed.
            self._owner = self._bus.get_name_owner(NAME)
            self._object = self._bus.get_object(self._owner, _PATH, introspect=False)
            self._config = self._bus.get_object(self._owner, _CONFIG_PATH, introspect=False)
            self._version = ""

    # Reading

    def is_running(self) -> bool:
        """Tell that there is a running configuration besides the permanent one."""
        return True

    def version(self) -> str:
        """Return firewalld's version, such as C(1.3.3)."""
        if not self._version:
            self._version = str(self._property(self._object, NAME, "version"))
        return self._version

    def is_failed(self) -> bool:
        """Tell whether firewalld did not accept its own configuration."""
        return self._state() == "FAILED"

    def trouble(self) -> str:
        """Return what keeps firewalld from taking a change, empty where nothing does."""
        if bool(self._call("", "queryPanicMode")):
            return (
                "firewalld is in panic mode and drops every packet; end it with: "
                "firewall-cmd --panic-off"
            )
        state = self._state()
        if state != "RUNNING":
            return (
                f"firewalld is in state {state}, so it did not take its own configuration; look at "
                "journalctl -u firewalld, mend what it names, and run: firewall-cmd --reload"
            )
        return ""

    def default_zone(self) -> str:
        """Return the zone of interfaces that were given none."""
        return str(self._call("", "getDefaultZone"))

    def is_builtin(self, zone: str) -> bool:
        """Tell whether a zone is the distribution's own, without a file under /etc."""
        return bool(self._property(self._handle(ZONE, zone), f"{_CONFIG}.zone", "builtin"))

    def active_zones(self) -> ActiveZones:
        """Return the sources and interfaces of each active zone in the runtime configuration."""
        # Before 2.0 a zone has only the keys that it needs, since then each has both.
        return {
            str(zone): {
                key: sorted(str(one) for one in what.get(key, ()))
                for key in ("interfaces", "sources")
            }
            for zone, what in self._call(".zone", "getActiveZones").items()
        }

    def permanent_holder(self, interface: str) -> str:
        """Return the zone whose permanent configuration lists an interface, or an empty text."""
        return str(self._call_config("getZoneOfInterface", interface))

    def permanent_keys(self) -> set[Key]:
        """Return the names of all objects in the permanent configuration."""
        return {
            (kind, name)
            for kind in (IPSET, ZONE, POLICY)
            for name in map(str, self._call_config(_LISTS[kind]))
        }

    def runtime_keys(self) -> set[Key]:
        """Return the names of all objects in the runtime configuration."""
        return {
            (kind, name)
            for kind, (where, names, _there, _get) in _RUNNING.items()
            for name in map(str, self._call(where, names))
        }

    def permanent_settings(self, key: Key) -> Settings:
        """Return an object of the permanent configuration, a zone with its interfaces."""
        return self._permanent(*key, with_interfaces=True)

    def runtime_settings(self, key: Key) -> Settings:
        """Return an object of the runtime configuration, a zone with its interfaces."""
        kind, name = key
        _where, _names, there, get = _RUNNING[kind]
        return normal(kind, self._call(there, get, name), with_interfaces=True)

    def permanent_zone_of(self, interface: str) -> str:
        """Return the zone that an interface gets at the next start, empty for the default."""
        if self._network_manager.manages(interface):
            return self._network_manager.zone(interface)
        return str(self._call_config("getZoneOfInterface", interface))

    def runtime_zone_of(self, interface: str) -> str:
        """Return the zone that holds an interface now, empty for the default."""
        return str(self._call(".zone", "getZoneOfInterface", interface))

    def profile_of(self, interface: str) -> Optional[Profile]:
        """Return the file of NetworkManager that binds an interface, None where none does."""
        return self._network_manager.profile(interface)

    def service(self, name: str) -> Optional[Settings]:
        """Return the definition of a service, None where firewalld has none of that name."""
        try:
            return normal(ZONE, self._call("", "getServiceSettings2", name))
        except FirewalldError:
            return None

    def others(self, owned: Collection[Key], with_tables: bool = True) -> Others:
        """Return the runtime configuration of others, as far as a reload forgets it.

        C(with_tables) includes the rules of iptables, where a reload flushes them.
        """
        interfaces: dict[str, str] = {}
        objects: Objects = {}
        for key in sorted(self.runtime_keys()):
            if key in owned and key[0] != ZONE:
                continue
            settings = self.runtime_settings(key)
            if key[0] == ZONE:
                interfaces.update(dict.fromkeys(settings.pop("interfaces", []), key[1]))
            if key not in owned:
                objects[key] = settings
        direct = {
            kind: [_bare(one) for one in self._call(".direct", names[0])]
            for kind, names in _DIRECT.items()
        }
        own_zones = tuple(sorted(name for kind, name in owned if kind == ZONE))
        tables = self._flushed_tables(direct) if with_tables else {}
        return Others(objects, interfaces, direct, tables, own_zones)

    def file_paths(self, keys: Sequence[Key], profiles: Mapping[str, Profile]) -> list[str]:
        """Return the files that changing these objects and restoring profiles may write."""
        return written_files(
            keys,
            profiles,
            self._network_manager,
            lambda interface: str(self._call_config("getZoneOfInterface", interface)),
        )

    # Writing

    def apply_permanent(self, change: Change) -> None:
        """Bring one object of the permanent configuration to C(change.after)."""
        kind, name = change.key
        with _translate(f"permanent {kind} {name}"):
            if kind == BINDING:
                self._bind_permanent(name, (change.after or {})["zone"])
            elif kind == PORTS:
                ports = self._typed("ports", port_pairs((change.after or {})["ports"]))
                self._handle(ZONE, name).setPorts(ports, dbus_interface=f"{_CONFIG}.zone")
            elif change.after is None:
                self._handle(kind, name).remove(dbus_interface=f"{_CONFIG}.{kind}")
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(files_of(kind, name)[1])
            elif change.before is None:
                self._create(kind, name, change.after)
            else:
                # A zone's update() takes a tuple that lacks newer settings.
                method = "update2" if kind == ZONE else "update"
                settings = self._out(kind, change.after, change.before)
                getattr(self._handle(kind, name), method)(
                    settings, dbus_interface=f"{_CONFIG}.{kind}"
                )

    def apply_runtime(self, change: Change) -> None:
        """Bring one object of the running configuration to C(change.after), without a reload."""
        kind, name = change.key
        after = change.after or {}
        with _translate(f"running {kind} {name}"):
            if kind == BINDING:
                # An empty zone would put it into the default zone by name, for good.
                if after["zone"]:
                    self._call(".zone", "changeZoneOfInterface", after["zone"], name)
                else:
                    self._call(".zone", "removeInterface", "", name)
            elif kind == PORTS:
                settings = {"ports": port_pairs(after["ports"])}
                self._call(".zone", "setZoneSettings2", name, self._variants(settings))
            elif kind == IPSET:
                self._change_entries(name, (change.before or {}).get("entries", []), after)
            else:
                self._set_running(kind, name, after, RUNTIME_KEYS, change.before)
                self._change_interfaces(name, change.before or {}, after)

    def apply_running_of_others(self, change: Change) -> None:
        """Bring an object of others in the running configuration to C(change.after)."""
        kind, name = change.key
        if kind == ZONE:
            with _translate(f"running zone {name}"):
                keys = RUNTIME_KEYS | {"sources"}
                self._set_running(kind, name, change.after or {}, keys, change.before)
        else:
            self.apply_runtime(change)

    def restore_direct(self, before: Direct, after: Direct) -> None:
        """Bring direct chains, rules and passthroughs to what they were."""
        gone = {kind: [one for one in after[kind] if one not in before[kind]] for kind in _DIRECT}
        lost = {kind: [one for one in before[kind] if one not in after[kind]] for kind in _DIRECT}
        for kind in reversed(list(_DIRECT)):
            for one in gone[kind]:
                self._call(".direct", _DIRECT[kind][2], *self._direct_arguments(one))
        for kind in _DIRECT:
            for one in lost[kind]:
                self._call(".direct", _DIRECT[kind][1], *self._direct_arguments(one))

    def restore_tables(self, others: Others) -> None:
        """Bring back the rules of iptables that a reload has flushed."""
        self._iptables.restore(others.tables)

    def restore_builtin(self, zone: str) -> None:
        """Take away the file under /etc of a zone that was the distribution's own."""
        with _translate(f"zone {zone}"):
            if not self.is_builtin(zone):
                self._handle(ZONE, zone).loadDefaults(dbus_interface=f"{_CONFIG}.zone")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(files_of(ZONE, zone)[1])

    def written_profile(self, profile: Profile) -> Profile:
        """Return a profile's record with what NetworkManager wrote since it was taken."""
        return self._network_manager.written(profile)

    def restore_profile(self, profile: Profile, zone: str) -> None:
        """Restore a profile of NetworkManager, which then names a zone."""
        self._network_manager.restore(profile, zone)

    def load_profile(self, path: str) -> None:
        """Let NetworkManager read a file again if it is one of its profiles."""
        self._network_manager.load_profile(path)

    def reload(self) -> None:
        """Make the permanent configuration the runtime one.

        In state FAILED firewalld is restarted instead. There, a reload of 0.9 raises an error and
        leaves a policy that drops all packets.
        """
        if self._restart is not None and self.is_failed():
            self._restart()
            self._wait_until_started()
            return
        with _translate("reload firewalld"):
            self._object.reload(dbus_interface=NAME, timeout=_RELOAD_SECONDS)

    # Private

    def _state(self) -> str:
        return str(self._property(self._object, NAME, "state"))

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + _RELOAD_SECONDS
        while not self._has_started() and time.monotonic() < deadline:
            time.sleep(_STEP)
        if self.is_failed():
            raise FirewalldError(
                "firewalld does not accept its configuration after a restart; see journalctl -u "
                "firewalld"
            )

    def _has_started(self) -> bool:
        # Since 2.5, systemd counts firewalld as started before it is on D-Bus.
        with contextlib.suppress(NotRunningError):
            self._connect()
            return self._state() in ("RUNNING", "FAILED")
        return False

    def _change_entries(self, name: str, before: Sequence[str], after: Settings) -> None:
        """Change the members of an ipset one by one: setEntries() empties the set first."""
        gone = [one for one in before if one not in after["entries"]]
        new = [one for one in after["entries"] if one not in before]
        # firewalld refuses networks that overlap, so what a new one replaces goes before it comes.
        replaced = [one for one in gone if overlaps([one], new)]
        for method, entries in (
            ("removeEntry", replaced),
            ("addEntry", new),
            ("removeEntry", [one for one in gone if one not in replaced]),
        ):
            for entry in entries:
                self._call(".ipset", method, name, entry)

    def _change_interfaces(self, zone: str, before: Settings, after: Settings) -> None:
        held, wanted = before.get("interfaces", []), after.get("interfaces", [])
        for interface in sorted(set(wanted) - set(held)):
            self._call(".zone", "changeZoneOfInterface", zone, interface)
        for interface in sorted(set(held) - set(wanted)):
            self._call(".zone", "removeInterface", zone, interface)

    def _flushed_tables(self, direct: Direct) -> dict[str, str]:
        flushes = would_flush_iptables(
            self.version(),
            str(self._property(self._config, _CONFIG, "FirewallBackend")),
            any(direct.values()),
            _keeps_iptables(),
        )
        return self._iptables.saved() if flushes else {}

    def _property(self, obj: Any, interface: str, name: str) -> Any:
        with _translate(f"read {name}"):
            return obj.Get(interface, name, dbus_interface="org.freedesktop.DBus.Properties")

    def _call(self, interface: str, method: str, *arguments: Any) -> Any:
        with _translate(method):
            return getattr(self._object, method)(*arguments, dbus_interface=NAME + interface)

    def _call_config(self, method: str, *arguments: Any) -> Any:
        with _translate(method):
            return getattr(self._config, method)(*arguments, dbus_interface=_CONFIG)

    def _handle(self, kind: str, name: str) -> Any:
        path = self._call_config(_GETTERS[kind], name)
        return self._bus.get_object(self._owner, path, introspect=False)

    def _permanent(self, kind: str, name: str, with_interfaces: bool = False) -> Settings:
        handle = self._handle(kind, name)
        # A zone answers in two forms; only the second one has all its settings.
        method = "getSettings2" if kind == ZONE else "getSettings"
        with _translate(f"read {kind} {name}"):
            raw = getattr(handle, method)(dbus_interface=f"{_CONFIG}.{kind}")
        return normal(kind, raw, with_interfaces)

    def _bind_permanent(self, interface: str, zone: str) -> None:
        if self._network_manager.manages(interface):
            self._network_manager.set_zone(interface, zone)
            return
        current = str(self._call_config("getZoneOfInterface", interface))
        if current and current != zone:
            self._handle(ZONE, current).removeInterface(interface, dbus_interface=f"{_CONFIG}.zone")
        if zone and current != zone:
            self._handle(ZONE, zone).addInterface(interface, dbus_interface=f"{_CONFIG}.zone")

    def _create(self, kind: str, name: str, settings: Settings) -> None:
        if kind == IPSET:
            self._call_config("addIPSet", name, self._out(kind, settings))
            return
        whole = {**complete(kind, settings), "short": name, "description": DESCRIPTION}
        method = "addZone2" if kind == ZONE else "addPolicy"
        self._call_config(method, name, self._variants(whole))

    def _set_running(
        self,
        kind: str,
        name: str,
        settings: Settings,
        keys: frozenset[str],
        before: Optional[Settings],
    ) -> None:
        whole = complete(kind, settings, before)
        # The interfaces of a zone change one by one.
        chosen = {key: whole[key] for key in keys & whole.keys() - {"interfaces"}}
        where, method = {
            ZONE: (".zone", "setZoneSettings2"),
            POLICY: (".policy", "setPolicySettings"),
        }[kind]
        self._call(where, method, name, self._variants(chosen))

    def _out(self, kind: str, settings: Settings, before: Optional[Settings] = None) -> Any:
        if kind != IPSET:
            about = {"description": DESCRIPTION}
            return self._variants({**complete(kind, settings, before), **about})
        return self._dbus.Struct(
            (
                "",
                "",
                DESCRIPTION,
                settings["type"],
                self._dbus.Dictionary({"family": settings["family"]}, signature="ss"),
                self._dbus.Array(settings["entries"], signature="s"),
            ),
            signature="ssssa{ss}as",
        )

    def _variants(self, settings: Settings) -> Any:
        typed = {key: self._typed(key, value) for key, value in settings.items()}
        return self._dbus.Dictionary(typed, signature="sv")

    def _typed(self, key: str, value: Any) -> Any:
        # An empty list has no type of its own.
        if isinstance(value, list):
            return self._dbus.Array(value, signature=LIST_SIGNATURES.get(key, "s"))
        return value

    def _direct_arguments(self, one: Sequence[Any]) -> list[Any]:
        return [
            self._dbus.Array(part, signature="s") if isinstance(part, list) else part
            for part in one
        ]


def _keeps_iptables() -> bool:
    spec = importlib.util.find_spec("firewall")
    for directory in spec.submodule_search_locations or () if spec else ():
        with contextlib.suppress(OSError), open(f"{directory}/core/fw.py", "rb") as stream:
            return _KEEPS_IPTABLES in stream.read()
    return False


def _bare(value: Any) -> Any:
    """Turn a D-Bus value into one that JSON holds."""
    if isinstance(value, (list, tuple)):
        return [_bare(part) for part in value]
    return int(value) if isinstance(value, int) else str(value)
