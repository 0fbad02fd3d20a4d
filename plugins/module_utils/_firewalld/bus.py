# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""firewalld's objects on D-Bus: finds them, calls their methods, reads their properties.

The interface is that of firewalld.dbus(5), the same in firewalld 0.9 to 2.x. Python's dbus
comes with firewalld itself; it is imported only when a client is made, so that everything
else can be tested without it.
"""

from __future__ import annotations

from typing import Any

from .errors import NotRunningError, translate, with_polkit
from .model import IPSET, POLICY, ZONE

NAME = "org.fedoraproject.FirewallD1"
_PATH = "/org/fedoraproject/FirewallD1"
CONFIG = f"{NAME}.config"
_CONFIG_PATH = f"{_PATH}/config"
_GETTERS = {IPSET: "getIPSetByName", ZONE: "getZoneByName", POLICY: "getPolicyByName"}
# Direct rules: how to list, add and remove each kind, chains before the rules in them.
DIRECT = {
    "chains": ("getAllChains", "addChain", "removeChain"),
    "rules": ("getAllRules", "addRule", "removeRule"),
    "passthroughs": ("getAllPassthroughs", "addPassthrough", "removePassthrough"),
}


class Bus:
    """The firewalld of this host on D-Bus. Raises NotRunningError if there is none."""

    def __init__(self, dbus: Any) -> None:
        """C(dbus) is Python's module of that name."""
        self._dbus = dbus
        self.connect()

    def connect(self) -> None:
        """Find firewalld's objects, again after it was restarted."""
        dbus = self._dbus
        with translate("connect to firewalld"):
            self._bus = dbus.SystemBus()
            # Never let D-Bus start a firewalld that somebody stopped.
            if not self._bus.name_has_owner(NAME):
                raise NotRunningError("firewalld is not running")
            # By its owner, so that one that was started again in between is noticed.
            self._owner = self._bus.get_name_owner(NAME)
            self._object = self._bus.get_object(self._owner, _PATH, introspect=False)
            self._config = self._bus.get_object(self._owner, _CONFIG_PATH, introspect=False)
            self._version = ""

    def version(self) -> str:
        """Return firewalld's version, such as C(1.3.3)."""
        if not self._version:
            self._version = str(self.read(self._object, NAME, "version"))
        return self._version

    def state(self) -> str:
        """Return firewalld's state, such as C(RUNNING) or C(FAILED)."""
        return str(self.read(self._object, NAME, "state"))

    def backend(self) -> str:
        """Return firewalld's backend, C(nftables) or C(iptables)."""
        return str(self.read(self._config, CONFIG, "FirewallBackend"))

    def read(self, obj: Any, interface: str, name: str) -> Any:
        """Return a property of an object."""
        properties = "org.freedesktop.DBus.Properties"
        return with_polkit(
            f"read {name}", lambda: obj.Get(interface, name, dbus_interface=properties)
        )

    def call(self, interface: str, method: str, *arguments: Any) -> Any:
        """Call a method of the runtime configuration; C(interface) is such as C(.zone)."""
        function = getattr(self._object, method)
        return with_polkit(method, lambda: function(*arguments, dbus_interface=NAME + interface))

    def call_config(self, method: str, *arguments: Any) -> Any:
        """Call a method of the permanent configuration."""
        function = getattr(self._config, method)
        return with_polkit(method, lambda: function(*arguments, dbus_interface=CONFIG))

    def handle(self, kind: str, name: str) -> Any:
        """Return an object of the permanent configuration."""
        path = self.call_config(_GETTERS[kind], name)
        return self._bus.get_object(self._owner, path, introspect=False)

    def reload(self, timeout: int) -> None:
        """Reload firewalld; wait for it up to C(timeout) seconds."""
        with translate("reload firewalld"):
            self._object.reload(dbus_interface=NAME, timeout=timeout)
