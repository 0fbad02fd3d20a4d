# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A firewalld that does not run: its permanent configuration through firewalld's own library.

This is what firewall-offline-cmd(1) does. What is written becomes active when firewalld starts, so
the running configuration is taken to be the permanent one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import Any, Optional

from .._host.networkmanager import NetworkManager
from .errors import FirewalldError
from .files import files_of
from .model import BINDING, IPSET, POLICY, PORTS, ZONE, ActiveZones, Change, Key, Settings
from .profiles import Profiles
from .reload import Direct, Others
from .values import (
    DESCRIPTION,
    complete,
    normal,
    port_pairs,
)


@contextlib.contextmanager
def _translate(action: str) -> Iterator[None]:
    from firewall.errors import FirewallError  # noqa: PLC0415

    try:
        yield
    except (FirewallError, OSError) as error:
        raise FirewalldError(f"{action}: {error}") from error


class OfflineFirewalld(Profiles):
    """The permanent configuration of this host's firewalld. Raises FirewalldError."""

    def __init__(self, network_manager: NetworkManager, trouble: str = "") -> None:
        """C(trouble) tells why firewalld will not start with what is written, where it won't."""
        try:
            from firewall.core.fw import Firewall  # noqa: PLC0415
        except ImportError as error:
            raise FirewalldError(
                "firewalld is not installed; install the package firewalld"
            ) from error
        super().__init__(network_manager)
        self._trouble = trouble
        with _translate("read the permanent configuration"):
            firewall = Firewall(offline=True)
            firewall.start()
        self._firewall = firewall
        self._config = firewall.config

    # Reading

    def forget(self) -> None:
        """Do nothing: nobody else changes what this object has read."""

    def is_running(self) -> bool:
        """Tell that there is no running configuration besides the permanent one."""
        return False

    def version(self) -> str:
        """Return firewalld's version, such as C(1.3.3)."""
        from firewall.config import VERSION  # noqa: PLC0415

        return str(VERSION)

    def is_failed(self) -> bool:
        """Tell that nothing has failed: what does not run has not read its configuration."""
        return False

    def trouble(self) -> str:
        """Return what keeps firewalld from taking a change, empty where nothing does."""
        return self._trouble

    def default_zone(self) -> str:
        """Return the zone of interfaces that were given none."""
        return str(self._firewall.get_default_zone())

    def is_builtin(self, zone: str) -> bool:
        """Tell whether a zone is the distribution's own, without a file under /etc."""
        return bool(self._config.get_zone(zone).builtin)

    def active_zones(self) -> ActiveZones:
        """Return the sources and interfaces of each zone that will be active."""
        found = {}
        for zone in self._config.get_zones():
            settings = self._settings(ZONE, zone, with_interfaces=True)
            held = {key: settings.get(key, []) for key in ("interfaces", "sources")}
            if any(held.values()):
                found[str(zone)] = held
        return found

    def permanent_holder(self, interface: str) -> str:
        """Return the zone whose permanent configuration lists an interface, or an empty text."""
        for zone in self._config.get_zones():
            if interface in self._config.get_zone(zone).interfaces:
                return str(zone)
        return ""

    def permanent_keys(self) -> set[Key]:
        """Return the names of all objects in the permanent configuration."""
        return {(kind, name) for kind in (IPSET, ZONE, POLICY) for name in self._names(kind)}

    def runtime_keys(self) -> set[Key]:
        """Return the names of all objects that firewalld will start with."""
        return self.permanent_keys()

    def permanent_settings(self, key: Key) -> Settings:
        """Return an object, a zone with its interfaces."""
        return self._settings(*key, with_interfaces=True)

    def runtime_settings(self, key: Key) -> Settings:
        """Return an object that firewalld will start with, a zone with its interfaces."""
        return self.permanent_settings(key)

    def runtime_zone_of(self, interface: str) -> str:
        """Return the zone that will hold an interface, empty for the default."""
        return self.permanent_zone_of(interface)

    def service(self, name: str) -> Optional[Settings]:
        """Return the definition of a service, None where there is none of that name."""
        if name not in self._config.get_services():
            return None
        service = self._config.get_service(name)
        return normal(ZONE, self._config.get_service_config_dict(service))

    def others(self, owned: Collection[Key], with_tables: bool = True) -> Others:
        """Return that nothing runs."""
        return Others()

    # Writing

    def apply_permanent(self, change: Change) -> None:
        """Bring one object to C(change.after)."""
        kind, name = change.key
        with _translate(f"permanent {kind} {name}"):
            if kind == BINDING:
                self._bind(name, (change.after or {})["zone"])
            elif kind == PORTS:
                self._update_zone(name, {"ports": port_pairs((change.after or {})["ports"])})
            elif change.after is None:
                self._remove(kind, name)
            else:
                self._write(kind, name, change.after, change.before)

    def apply_runtime(self, change: Change) -> None:
        """Do nothing: what is permanent is what will run."""

    def apply_running_of_others(self, change: Change) -> None:
        """Do nothing: nothing runs."""

    def restore_direct(self, before: Direct, after: Direct) -> None:
        """Do nothing: nothing runs."""

    def restore_tables(self, others: Others) -> None:
        """Do nothing: nothing was flushed."""

    def restore_builtin(self, zone: str) -> None:
        """Take away the file under /etc of a zone that was the distribution's own."""
        with _translate(f"zone {zone}"):
            if not self.is_builtin(zone):
                self._config.load_zone_defaults(self._config.get_zone(zone))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(files_of(ZONE, zone)[1])

    def reload(self) -> None:
        """Do nothing: what is permanent is what will run."""

    # Private

    def _names(self, kind: str) -> list[str]:
        getters = {IPSET: "get_ipsets", ZONE: "get_zones", POLICY: "get_policy_objects"}
        return list(getattr(self._config, getters[kind])())

    def _settings(self, kind: str, name: str, with_interfaces: bool = False) -> Settings:
        config = self._config
        raw: Any
        if kind == IPSET:
            raw = config.get_ipset_config(config.get_ipset(name))
        elif kind == ZONE:
            raw = config.get_zone_config_dict(config.get_zone(name))
        else:
            raw = config.get_policy_object_config_dict(config.get_policy_object(name))
        return normal(kind, raw, with_interfaces)

    def _write(self, kind: str, name: str, settings: Settings, before: Optional[Settings]) -> None:
        config = self._config
        is_new = before is None
        if kind == IPSET:
            raw = (
                "",
                "",
                DESCRIPTION,
                settings["type"],
                {"family": settings["family"]},
                settings["entries"],
            )
            if is_new:
                config.new_ipset(name, raw)
            else:
                config.set_ipset_config(config.get_ipset(name), raw)
            return
        whole = {**complete(kind, settings, before), "short": name, "description": DESCRIPTION}
        if kind == ZONE:
            if is_new:
                config.new_zone_dict(name, whole)
            else:
                self._update_zone(name, whole)
        elif is_new:
            config.new_policy_object_dict(name, whole)
        else:
            config.set_policy_object_config_dict(config.get_policy_object(name), whole)

    def _remove(self, kind: str, name: str) -> None:
        config = self._config
        if kind == IPSET:
            config.remove_ipset(config.get_ipset(name))
        elif kind == ZONE:
            config.remove_zone(config.get_zone(name))
        else:
            config.remove_policy_object(config.get_policy_object(name))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(files_of(kind, name)[1])

    def _bind(self, interface: str, zone: str) -> None:
        if self._network_manager.manages(interface):
            self._network_manager.set_zone(interface, zone)
            return
        current = self.permanent_zone_of(interface)
        for name, held in ((current, False), (zone, True)):
            if name and current != zone:
                interfaces = set(self._config.get_zone(name).interfaces) - {interface}
                self._update_zone(
                    name, {"interfaces": sorted(interfaces | ({interface} if held else set()))}
                )

    def _update_zone(self, name: str, settings: Settings) -> None:
        zone = self._config.get_zone(name)
        whole = {**self._config.get_zone_config_dict(zone), **settings}
        self._config.set_zone_config_dict(zone, whole)
