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
import os
from collections.abc import Iterator
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    PREFIX,
    RUNTIME_KEYS,
    ZONE,
    Change,
    Objects,
    Settings,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    Profile,
)

_NAME = "org.fedoraproject.FirewallD1"
_PATH = "/org/fedoraproject/FirewallD1"
_CONFIG = f"{_NAME}.config"
_CONFIG_PATH = f"{_PATH}/config"
_ETC = "/etc/firewalld"
_DIRECTORIES = {IPSET: "ipsets", ZONE: "zones", POLICY: "policies"}
_GETTERS = {IPSET: "getIPSetByName", ZONE: "getZoneByName", POLICY: "getPolicyByName"}
_LISTS = {IPSET: "getIPSetNames", ZONE: "getZoneNames", POLICY: "getPolicyNames"}
# A variant with an empty list needs its type said.
_LIST_SIGNATURES = {
    "ports": "(ss)",
    "source_ports": "(ss)",
    "forward_ports": "(ssss)",
}
_LIST_KEYS = {
    ZONE: (
        "services ports icmp_blocks forward_ports sources rules_str protocols source_ports"
    ).split(),
    POLICY: (
        "services ports icmp_blocks forward_ports rich_rules protocols source_ports "
        "ingress_zones egress_zones"
    ).split(),
}
# firewalld keeps what it is not told, and a new zone forwards by default from 1.0 on.
_BOOLEANS = {
    ZONE: ("forward", "masquerade", "icmp_block_inversion"),
    POLICY: ("masquerade",),
}
_ABOUT = ("version", "short", "description", "UNUSED")
_DESCRIPTION = (
    "Made by the Ansible collection edgeops.k3s_network, which owns everything named k3s-*."
)


class FirewalldError(Exception):
    """firewalld could not be reached or refused; the text says what and what to do."""


@contextlib.contextmanager
def _translate(action: str) -> Iterator[None]:
    import dbus  # noqa: PLC0415

    try:
        yield
    except dbus.exceptions.DBusException as error:
        name = error.get_dbus_name() or ""
        if name.endswith((".ServiceUnknown", ".NameHasNoOwner")):
            text = "firewalld is not running; start it with: systemctl enable --now firewalld"
        elif name.endswith((".NoReply", ".Disconnected", ".Timeout")):
            text = "firewalld did not answer; look at: systemctl status firewalld"
        else:
            text = error.get_dbus_message() or str(error)
        raise FirewalldError(f"{action}: {text}") from error


class Firewalld:
    """The firewalld of this host. Raises FirewalldError where it is not running."""

    def __init__(self, network_manager: NetworkManager) -> None:
        import dbus  # noqa: PLC0415

        self._dbus = dbus
        self._network_manager = network_manager
        with _translate("connect to firewalld"):
            self._bus = dbus.SystemBus()
            # Never let D-Bus start a firewalld that somebody stopped.
            if not self._bus.name_has_owner(_NAME):
                raise FirewalldError(
                    "firewalld is not running; start it with: systemctl enable --now firewalld"
                )
            self._object = self._bus.get_object(_NAME, _PATH, introspect=False)
            self._config = self._bus.get_object(_NAME, _CONFIG_PATH, introspect=False)

    # Reading

    def version(self) -> str:
        """Return firewalld's version, such as C(1.3.3)."""
        return str(self._property(self._object, _NAME, "version"))

    def default_zone(self) -> str:
        """Return the zone of interfaces that were given none."""
        return str(self._call("", "getDefaultZone"))

    def zone_names(self) -> list[str]:
        """Return the names of the zones in the permanent configuration."""
        return [str(name) for name in self._call_config(_LISTS[ZONE])]

    def zone_settings(self, zone: str) -> Settings:
        """Return the normal settings of a zone in the permanent configuration, NICs included."""
        return self._permanent(ZONE, zone, with_interfaces=True)

    def is_builtin(self, zone: str) -> bool:
        """Tell whether a zone is the distribution's own, without a file under /etc."""
        return bool(self._property(self._handle(ZONE, zone), f"{_CONFIG}.zone", "builtin"))

    def permanent_objects(self) -> Objects:
        """Return what is ours in the permanent configuration."""
        return {
            (kind, name): self._permanent(kind, name)
            for kind in (IPSET, ZONE, POLICY)
            for name in map(str, self._call_config(_LISTS[kind]))
            if name.startswith(PREFIX)
        }

    def foreign_policies(self) -> dict[str, set[str]]:
        """Return the zones that each policy of others names in the permanent configuration."""
        result = {}
        for name in map(str, self._call_config(_LISTS[POLICY])):
            if not name.startswith(PREFIX):
                settings = self._permanent(POLICY, name)
                result[name] = {
                    *settings.get("ingress_zones", ()),
                    *settings.get("egress_zones", ()),
                }
        return result

    def runtime_objects(self) -> Objects:
        """Return what is ours in the running configuration."""
        objects: Objects = {}
        for kind, interface, names, getter in (
            (IPSET, ".ipset", "getIPSets", ("", "getIPSetSettings")),
            (ZONE, ".zone", "getZones", (".zone", "getZoneSettings2")),
            (POLICY, ".policy", "getPolicies", (".policy", "getPolicySettings")),
        ):
            # getIPSetSettings stands on the ipset interface as well as getIPSets.
            where = interface if kind == IPSET else getter[0]
            for name in map(str, self._call(interface, names)):
                if name.startswith(PREFIX):
                    objects[kind, name] = _normal(kind, self._call(where, getter[1], name))
        return objects

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

    def permanent_ports(self, zone: str) -> list[str]:
        """Return the plain ports of a zone in the permanent configuration."""
        return list(self._permanent(ZONE, zone).get("ports", []))

    def runtime_ports(self, zone: str) -> list[str]:
        """Return the plain ports of a zone in the running configuration."""
        settings = self._call(".zone", "getZoneSettings2", zone)
        return list(_normal(ZONE, settings).get("ports", []))

    # Writing

    def apply_permanent(self, change: Change) -> None:
        """Bring one object of the permanent configuration to C(change.after)."""
        kind, name = change.key
        with _translate(f"permanent {kind} {name}"):
            if kind == BINDING:
                self._bind_permanent(name, (change.after or {})["zone"])
            elif kind == PORTS:
                handle = self._handle(ZONE, name)
                ports = _ports_out(self._dbus, (change.after or {})["ports"])
                handle.setPorts(ports, dbus_interface=f"{_CONFIG}.zone")
            elif change.after is None:
                self._handle(kind, name).remove(dbus_interface=f"{_CONFIG}.{kind}")
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{_ETC}/{_DIRECTORIES[kind]}/{name}.xml.old")
            elif change.before is None:
                self._create(kind, name, change.after)
            else:
                # A zone's update() takes a tuple that lacks newer settings.
                method = "update2" if kind == ZONE else "update"
                settings = self._out(kind, change.after)
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
                ports = {"ports": _ports_out(self._dbus, after["ports"])}
                self._call(".zone", "setZoneSettings2", name, self._variants(ports))
            elif kind == IPSET:
                entries = self._dbus.Array(after["entries"], signature="s")
                self._call(".ipset", "setEntries", name, entries)
            else:
                settings = {
                    key: value
                    for key, value in self._typed(kind, after).items()
                    if key in RUNTIME_KEYS
                }
                call = {
                    ZONE: (".zone", "setZoneSettings2"),
                    POLICY: (".policy", "setPolicySettings"),
                }
                self._call(*call[kind], name, self._variants(settings))

    def restore_builtin(self, zone: str) -> None:
        """Take away the file under /etc of a zone that was the distribution's own."""
        with _translate(f"zone {zone}"):
            if not self.is_builtin(zone):
                self._handle(ZONE, zone).loadDefaults(dbus_interface=f"{_CONFIG}.zone")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{_ETC}/zones/{zone}.xml.old")

    def restore_profile(self, profile: Profile) -> None:
        """Write a profile back as it was, where nobody has changed it in between."""
        self._network_manager.restore(profile)

    def reload(self) -> None:
        """Make the permanent configuration the running one."""
        with _translate("reload firewalld"):
            self._call("", "reload")

    # Private

    def _property(self, obj: Any, interface: str, name: str) -> Any:
        with _translate(f"read {name}"):
            return obj.Get(interface, name, dbus_interface="org.freedesktop.DBus.Properties")

    def _call(self, interface: str, method: str, *arguments: Any) -> Any:
        with _translate(method):
            return getattr(self._object, method)(*arguments, dbus_interface=_NAME + interface)

    def _call_config(self, method: str, *arguments: Any) -> Any:
        with _translate(method):
            return getattr(self._config, method)(*arguments, dbus_interface=_CONFIG)

    def _handle(self, kind: str, name: str) -> Any:
        path = self._call_config(_GETTERS[kind], name)
        return self._bus.get_object(_NAME, path, introspect=False)

    def _permanent(self, kind: str, name: str, with_interfaces: bool = False) -> Settings:
        handle = self._handle(kind, name)
        # A zone answers in two forms; only the second one has all its settings.
        method = "getSettings2" if kind == ZONE else "getSettings"
        with _translate(f"read {kind} {name}"):
            raw = getattr(handle, method)(dbus_interface=f"{_CONFIG}.{kind}")
        return _normal(kind, raw, with_interfaces)

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
        about = {"short": name, "description": _DESCRIPTION}
        method = "addZone2" if kind == ZONE else "addPolicy"
        self._call_config(method, name, self._variants({**self._typed(kind, settings), **about}))

    def _out(self, kind: str, settings: Settings) -> Any:
        if kind != IPSET:
            return self._variants(self._typed(kind, settings))
        return self._dbus.Struct(
            (
                "",
                "",
                _DESCRIPTION,
                settings["type"],
                self._dbus.Dictionary({"family": settings["family"]}, signature="ss"),
                self._dbus.Array(settings["entries"], signature="s"),
            ),
            signature="ssssa{ss}as",
        )

    def _typed(self, kind: str, settings: Settings) -> Settings:
        """Return settings with those that are empty or false, and with every list in its type."""
        typed = {key: value for key, value in settings.items() if not isinstance(value, list)}
        for key in _BOOLEANS[kind]:
            typed[key] = self._dbus.Boolean(settings.get(key, False))
        for key in _LIST_KEYS[kind]:
            value = settings.get(key, [])
            if key in ("ports", "source_ports"):
                typed[key] = _ports_out(self._dbus, value)
            elif key in _LIST_SIGNATURES:
                typed[key] = self._dbus.Array(
                    [tuple(one) for one in value], signature=_LIST_SIGNATURES[key]
                )
            else:
                typed[key] = self._dbus.Array(value, signature="s")
        return typed

    def _variants(self, settings: Settings) -> Any:
        return self._dbus.Dictionary(settings, signature="sv")


def _ports_out(dbus: Any, ports: list[str]) -> Any:
    pairs = [tuple(text.split("/", 1)) for text in ports]
    return dbus.Array(pairs, signature="(ss)")


def _normal(kind: str, raw: Any, with_interfaces: bool = False) -> Settings:
    """Turn D-Bus values into plain ones that can be compared: sorted, and without empty ones."""
    if kind == IPSET:
        _version, _short, _description, set_type, options, entries = raw
        plain = {str(key): str(value) for key, value in options.items()}
        family = plain.pop("family", "inet")
        settings: Settings = {
            "type": str(set_type),
            "family": family,
            "entries": sorted(str(entry) for entry in entries),
        }
        if plain:
            settings["options"] = plain
        return settings
    normal: Settings = {}
    for key, value in raw.items():
        key = str(key)
        # The NICs of a zone of ours are compared as bindings.
        if key in _ABOUT or (kind == ZONE and key == "interfaces" and not with_interfaces):
            continue
        plain_value = _plain(key, value)
        if plain_value not in ("", [], False):
            normal[key] = plain_value
    return normal


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        if key in ("ports", "source_ports"):
            return sorted(f"{port}/{protocol}" for port, protocol in value)
        if key in _LIST_SIGNATURES:
            return sorted([str(part) for part in one] for one in value)
        return sorted(str(one) for one in value)
    # dbus.Boolean is an int.
    if type(value).__name__ in ("Boolean", "bool"):
        return bool(value)
    return int(value) if isinstance(value, int) else str(value)
