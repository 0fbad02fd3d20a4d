# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""firewalld over D-Bus: writes single objects and reloads, decides nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Optional

from .._host.networkmanager import NetworkManager
from .bus import CONFIG, DIRECT
from .dbus_read import PERMANENT, RUNTIME, FirewalldReader
from .errors import FirewalldError, NotRunningError, translate
from .files import files_of
from .iptables import Iptables
from .model import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    RUNTIME_KEYS,
    ZONE,
    Change,
    Settings,
)
from .plan import overlaps
from .reload import Direct, Others
from .values import (
    DESCRIPTION,
    complete,
    port_pairs,
)

_RELOAD_SECONDS = 120
_STEP = 0.1


class Firewalld(FirewalldReader):
    """The firewalld of this host. Raises NotRunningError where there is none on D-Bus."""

    def __init__(
        self,
        network_manager: NetworkManager,
        iptables: Iptables,
        restart: Optional[Callable[[], None]] = None,
    ) -> None:
        """C(restart) restarts the service, which may be on D-Bus only later."""
        super().__init__(network_manager, iptables)
        self._restart = restart

    def apply_permanent(self, change: Change) -> None:
        """Bring one object of the permanent configuration to C(change.after)."""
        kind, name = change.key
        if kind == BINDING:
            # NetworkManager binds its interfaces in the runtime configuration as well.
            self.forget()
        self._known[PERMANENT].clear()
        with translate(f"permanent {kind} {name}"):
            if kind == BINDING:
                self._bind_permanent(name, (change.after or {})["zone"])
            elif kind == PORTS:
                ports = self._values.typed("ports", port_pairs((change.after or {})["ports"]))
                self._bus.handle(ZONE, name).setPorts(ports, dbus_interface=f"{CONFIG}.zone")
            elif change.after is None:
                self._bus.handle(kind, name).remove(dbus_interface=f"{CONFIG}.{kind}")
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(files_of(kind, name)[1])
            elif change.before is None:
                self._create(kind, name, change.after)
            else:
                # A zone's update() takes a tuple that lacks newer settings.
                method = "update2" if kind == ZONE else "update"
                settings = self._values.whole(kind, change.after, change.before)
                getattr(self._bus.handle(kind, name), method)(
                    settings, dbus_interface=f"{CONFIG}.{kind}"
                )

    def apply_runtime(self, change: Change) -> None:
        """Bring one object of the running configuration to C(change.after), without a reload."""
        kind, name = change.key
        after = change.after or {}
        self._known[RUNTIME].clear()
        with translate(f"running {kind} {name}"):
            if kind == BINDING:
                # An empty zone would put it into the default zone by name, for good.
                if after["zone"]:
                    self._bus.call(".zone", "changeZoneOfInterface", after["zone"], name)
                else:
                    self._bus.call(".zone", "removeInterface", "", name)
            elif kind == PORTS:
                settings = {"ports": port_pairs(after["ports"])}
                self._bus.call(".zone", "setZoneSettings2", name, self._values.variants(settings))
            elif kind == IPSET:
                self._change_entries(name, (change.before or {}).get("entries", []), after)
            else:
                self._set_running(kind, name, after, RUNTIME_KEYS, change.before)
                self._change_interfaces(name, change.before or {}, after)

    def apply_running_of_others(self, change: Change) -> None:
        """Bring an object of others in the running configuration to C(change.after)."""
        kind, name = change.key
        self._known[RUNTIME].clear()
        if kind == ZONE:
            with translate(f"running zone {name}"):
                keys = RUNTIME_KEYS | {"sources"}
                self._set_running(kind, name, change.after or {}, keys, change.before)
        else:
            self.apply_runtime(change)

    def restore_direct(self, before: Direct, after: Direct) -> None:
        """Bring direct chains, rules and passthroughs to what they were."""
        gone = {kind: [one for one in after[kind] if one not in before[kind]] for kind in DIRECT}
        lost = {kind: [one for one in before[kind] if one not in after[kind]] for kind in DIRECT}
        for kind in reversed(list(DIRECT)):
            for one in gone[kind]:
                self._bus.call(".direct", DIRECT[kind][2], *self._values.direct(one))
        for kind in DIRECT:
            for one in lost[kind]:
                self._bus.call(".direct", DIRECT[kind][1], *self._values.direct(one))

    def restore_tables(self, others: Others) -> None:
        """Bring back the rules of iptables that a reload has flushed."""
        self._iptables.restore(others.tables)

    def restore_builtin(self, zone: str) -> None:
        """Take away the file under /etc of a zone that was the distribution's own."""
        self._known[PERMANENT].clear()
        with translate(f"zone {zone}"):
            if not self.is_builtin(zone):
                self._bus.handle(ZONE, zone).loadDefaults(dbus_interface=f"{CONFIG}.zone")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(files_of(ZONE, zone)[1])

    def reload(self) -> None:
        """Make the permanent configuration the runtime one.

        In state FAILED firewalld is restarted instead. There, a reload of 0.9 raises an error and
        leaves a policy that drops all packets.
        """
        self.forget()
        if self._restart is not None and self.is_failed():
            self._restart()
            self._wait_until_started()
            return
        self._bus.reload(_RELOAD_SECONDS)

    # Private

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
            self._bus.connect()
            return self._bus.state() in ("RUNNING", "FAILED")
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
                self._bus.call(".ipset", method, name, entry)

    def _change_interfaces(self, zone: str, before: Settings, after: Settings) -> None:
        held, wanted = before.get("interfaces", []), after.get("interfaces", [])
        for interface in sorted(set(wanted) - set(held)):
            self._bus.call(".zone", "changeZoneOfInterface", zone, interface)
        for interface in sorted(set(held) - set(wanted)):
            self._bus.call(".zone", "removeInterface", zone, interface)

    def _bind_permanent(self, interface: str, zone: str) -> None:
        if self._network_manager.manages(interface):
            self._network_manager.set_zone(interface, zone)
            return
        current = str(self._bus.call_config("getZoneOfInterface", interface))
        if current and current != zone:
            self._bus.handle(ZONE, current).removeInterface(
                interface, dbus_interface=f"{CONFIG}.zone"
            )
        if zone and current != zone:
            self._bus.handle(ZONE, zone).addInterface(interface, dbus_interface=f"{CONFIG}.zone")

    def _create(self, kind: str, name: str, settings: Settings) -> None:
        if kind == IPSET:
            self._bus.call_config("addIPSet", name, self._values.whole(kind, settings))
            return
        whole = {**complete(kind, settings), "short": name, "description": DESCRIPTION}
        method = "addZone2" if kind == ZONE else "addPolicy"
        self._bus.call_config(method, name, self._values.variants(whole))

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
        self._bus.call(where, method, name, self._values.variants(chosen))
