# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""firewalld over D-Bus: reads single objects and what a reload would forget."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
from collections.abc import Callable, Collection
from typing import Any, Optional, TypeVar

from .._host.networkmanager import NetworkManager
from .bus import CONFIG, DIRECT, Bus
from .dbus_values import DbusValues, plain
from .errors import FirewalldError, translate
from .iptables import Iptables
from .model import (
    IPSET,
    POLICY,
    ZONE,
    ActiveZones,
    Key,
    Objects,
    Settings,
)
from .profiles import Profiles
from .reload import Direct, Others, would_flush_iptables
from .values import normal

_LISTS = {IPSET: "getIPSetNames", ZONE: "getZoneNames", POLICY: "getPolicyNames"}
_RUNNING = {
    IPSET: (".ipset", "getIPSets", ".ipset", "getIPSetSettings"),
    ZONE: (".zone", "getZones", ".zone", "getZoneSettings2"),
    POLICY: (".policy", "getPolicies", ".policy", "getPolicySettings"),
}
# firewalld has this since 2.0, and older ones to which a distribution has given the change.
_KEEPS_IPTABLES = b"may_skip_flush_direct_backends"
PERMANENT, RUNTIME = "permanent", "runtime"
_Answer = TypeVar("_Answer")


class FirewalldReader(Profiles):
    """Reads firewalld over D-Bus. Raises NotRunningError if there is none.

    Names and settings are read once until they change: firewalld checks each call with polkit,
    which costs 4 ms of a processor.
    """

    def __init__(self, network_manager: NetworkManager, iptables: Iptables) -> None:
        import dbus  # noqa: PLC0415

        super().__init__(network_manager)
        self._iptables = iptables
        self._bus = Bus(dbus)
        self._values = DbusValues(dbus)
        self._known: dict[str, dict[object, Any]] = {PERMANENT: {}, RUNTIME: {}}

    def forget(self) -> None:
        """Read everything again: others may have changed it."""
        for known in self._known.values():
            known.clear()

    def is_running(self) -> bool:
        """Tell that there is a running configuration besides the permanent one."""
        return True

    def version(self) -> str:
        """Return firewalld's version, such as C(1.3.3)."""
        return self._bus.version()

    def is_failed(self) -> bool:
        """Tell whether firewalld did not accept its own configuration."""
        return self._bus.state() == "FAILED"

    def trouble(self) -> str:
        """Return what keeps firewalld from taking a change, empty where nothing does."""
        if bool(self._bus.call("", "queryPanicMode")):
            return (
                "firewalld is in panic mode and drops every packet; end it with: "
                "firewall-cmd --panic-off"
            )
        state = self._bus.state()
        if state != "RUNNING":
            return (
                f"firewalld is in state {state}, so it did not take its own configuration; look at "
                "journalctl -u firewalld, mend what it names, and run: firewall-cmd --reload"
            )
        return ""

    def default_zone(self) -> str:
        """Return the zone of interfaces that were given none."""
        return str(self._bus.call("", "getDefaultZone"))

    def is_builtin(self, zone: str) -> bool:
        """Tell whether a zone is the distribution's own, without a file under /etc."""
        return bool(self._bus.read(self._bus.handle(ZONE, zone), f"{CONFIG}.zone", "builtin"))

    def active_zones(self) -> ActiveZones:
        """Return the sources and interfaces of each active zone in the runtime configuration."""
        # Before 2.0 a zone has only the keys that it needs, since then each has both.
        return {
            str(zone): {
                key: sorted(str(one) for one in what.get(key, ()))
                for key in ("interfaces", "sources")
            }
            for zone, what in self._bus.call(".zone", "getActiveZones").items()
        }

    def permanent_holder(self, interface: str) -> str:
        """Return the zone whose permanent configuration lists an interface, or an empty text."""
        return str(self._bus.call_config("getZoneOfInterface", interface))

    def permanent_keys(self) -> set[Key]:
        """Return the names of all objects in the permanent configuration."""
        return self._once(PERMANENT, "names", self._permanent_keys)

    def runtime_keys(self) -> set[Key]:
        """Return the names of all objects in the runtime configuration."""
        return self._once(RUNTIME, "names", self._runtime_keys)

    def permanent_settings(self, key: Key) -> Settings:
        """Return an object of the permanent configuration, a zone with its interfaces."""
        return self._once(PERMANENT, key, lambda: self._permanent(*key))

    def runtime_settings(self, key: Key) -> Settings:
        """Return an object of the runtime configuration, a zone with its interfaces."""
        return self._once(RUNTIME, key, lambda: self._runtime(*key))

    def runtime_zone_of(self, interface: str) -> str:
        """Return the zone that holds an interface now, empty for the default."""
        return str(self._bus.call(".zone", "getZoneOfInterface", interface))

    def service(self, name: str) -> Optional[Settings]:
        """Return the definition of a service, None where firewalld has none of that name."""
        try:
            return normal(ZONE, self._bus.call("", "getServiceSettings2", name))
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
            kind: [plain(one) for one in self._bus.call(".direct", names[0])]
            for kind, names in DIRECT.items()
        }
        own_zones = tuple(sorted(name for kind, name in owned if kind == ZONE))
        tables = self._flushed_tables(direct) if with_tables else {}
        return Others(objects, interfaces, direct, tables, own_zones)

    def _flushed_tables(self, direct: Direct) -> dict[str, str]:
        flushes = would_flush_iptables(
            self.version(),
            self._bus.backend(),
            any(direct.values()),
            _keeps_iptables(),
        )
        return self._iptables.saved() if flushes else {}

    def _once(self, which: str, question: object, read: Callable[[], _Answer]) -> _Answer:
        known = self._known[which]
        if question not in known:
            known[question] = read()
        answer: _Answer = copy.deepcopy(known[question])
        return answer

    def _permanent_keys(self) -> set[Key]:
        return {
            (kind, name)
            for kind in (IPSET, ZONE, POLICY)
            for name in map(str, self._bus.call_config(_LISTS[kind]))
        }

    def _runtime_keys(self) -> set[Key]:
        return {
            (kind, name)
            for kind, (where, names, _there, _get) in _RUNNING.items()
            for name in map(str, self._bus.call(where, names))
        }

    def _permanent(self, kind: str, name: str) -> Settings:
        handle = self._bus.handle(kind, name)
        # A zone answers in two forms; only the second one has all its settings.
        method = "getSettings2" if kind == ZONE else "getSettings"
        with translate(f"read {kind} {name}"):
            raw = getattr(handle, method)(dbus_interface=f"{CONFIG}.{kind}")
        return normal(kind, raw, with_interfaces=True)

    def _runtime(self, kind: str, name: str) -> Settings:
        _where, _names, there, get = _RUNNING[kind]
        return normal(kind, self._bus.call(there, get, name), with_interfaces=True)


def _keeps_iptables() -> bool:
    spec = importlib.util.find_spec("firewall")
    for directory in spec.submodule_search_locations or () if spec else ():
        with contextlib.suppress(OSError), open(f"{directory}/core/fw.py", "rb") as stream:
            return _KEEPS_IPTABLES in stream.read()
    return False
