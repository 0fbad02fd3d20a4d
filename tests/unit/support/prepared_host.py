# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that the module prepares: firewalld, NetworkManager, iptables, and the module's state."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    files,
    safety,
    write,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.apply import ensure
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.dbus import Firewalld
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.inspect import inspect
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    Key,
    Settings,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.safety import (
    ApplyOptions,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.ssh_admission import (
    Connection,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import (
    firewall_wanted,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    port_rule,
    segregated,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import (
    NAME,
    PATH,
    ZONE,
    FirewalldDaemon,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_nm import (
    FakeNetworkManager,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.saved_state import (
    CountingStore,
    FakeGuard,
)

Seen = dict[str, Any]

RULES = [
    port_rule(6443),
    port_rule(10250),
    port_rule(10000, 30000),
    port_rule(443, source=["external"]),
]
MODES = ["shared", "plain", "segregated", "segregated plain"]
# Never changed, and most of what a daemon holds.
_RECORDED = "_answers"


def wanted(mode="shared", rules=None, agents=1, **others):
    """Return what a server wants in one of the modes."""
    server = segregated() if "segregated" in mode else node()
    nodes = [server, *(node(f"a{n}", "agent", f"192.0.2.{20 + n}") for n in range(agents))]
    cluster = topology(
        nodes, RULES if rules is None else rules, restrict_sources="plain" not in mode, **others
    )
    return firewall_wanted(cluster, "server1")


# Of these, the recordings have the name only.
_SERVICES = {"cockpit": [("9090", "tcp")], "netbios-ns": [("137", "udp")]}


class Daemon(FirewalldDaemon):
    """A firewalld whose reload flushes the rules of iptables, as firewalld#863 describes it."""

    def __init__(self, version: str) -> None:
        self.tables: dict[str, str] = {}
        super().__init__(version)

    def is_saved(self, key: Key) -> bool:
        """Tell whether an object has a file under /etc."""
        kind, name = key
        return name in self._saved[kind]

    def direct_rules(self) -> list[Any]:
        return self._direct_get_all_rules()

    def _main_get_service_settings2(self, name: str) -> Settings:
        if name in _SERVICES:
            return {"ports": _SERVICES[name]}
        return super()._main_get_service_settings2(name)

    def _main_reload(self) -> None:
        if self.version < (2, 0) or any(self._direct.values()):
            self.tables = {}
        super()._main_reload()


class FakeIptables:
    """Takes the place of _iptables.Iptables, with the tables of the daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def saved(self) -> dict[str, str]:
        return dict(self._daemon.tables)

    def restore(self, before: Mapping[str, str]) -> None:
        self._daemon.tables.update(before)


class Host:
    """A host of one generation of firewalld, and what the module does there."""

    def __init__(self, version: str, managed: Optional[Mapping[str, str]] = None) -> None:
        """Take the zones of the interfaces that NetworkManager manages."""
        self._directory = tempfile.TemporaryDirectory()
        self.daemon = Daemon(version)
        profiles = f"{self._directory.name}/system-connections"
        self.network_manager = FakeNetworkManager(self.daemon, profiles, managed or {})
        self.store = CountingStore(f"{self._directory.name}/k3s-network/firewalld.json")
        self.guard = FakeGuard()

    @property
    def version(self) -> tuple[int, ...]:
        return self.daemon.version

    @property
    def writes(self) -> list[str]:
        return self.daemon.writes

    # The module

    def run(
        self,
        what: Optional[Mapping[str, Any]],
        connection: Optional[Connection] = None,
        **others: Any,
    ) -> dict[str, Any]:
        """Run the module."""
        options = ApplyOptions(connection=lambda: connection, **others)
        with self._system():
            return ensure(self._client, self.store, self.guard, what, options)

    def inspect(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """Compare the host with what is wanted."""
        with self._system():
            return inspect(self._client(), self.store.load(), what)

    def expire(self) -> None:
        """Let the guardian roll back a change that nobody confirmed."""
        with self._system():
            self.guard.expire(self._client())

    def _client(self) -> Firewalld:
        return Firewalld(self.network_manager, FakeIptables(self.daemon))

    @contextlib.contextmanager
    def _system(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "dbus", self.daemon.dbus())
            # The daemon writes no files, so that there are none to restore.
            patch.setattr(files, "ETC", f"{self._directory.name}/firewalld")
            patch.setattr(safety, "is_customized", self.daemon.is_saved)
            patch.setattr(write, "_SETTLE_SECONDS", 0.0)
            patch.setattr(write, "_SETTLE_STEP", 0.0)
            patch.setattr(os, "fsync", lambda _handle: None)
            yield

    # Other people

    def reboot(self) -> None:
        """Start again from the permanent configuration."""
        self.daemon.tables = {}
        self.network_manager.boot()
        self.daemon.reboot()

    def create(self, kind: str, name: str, **settings: Any) -> None:
        """Let the user create an object, in the permanent and in the runtime configuration."""
        self.daemon.save(kind, name, **settings)
        self.call("", "reload")

    def call(self, interface: str, method: str, *arguments: Any) -> Any:
        """Call a method of firewalld."""
        return self.daemon.handle(PATH, NAME + interface, method, list(arguments))

    # What is to be seen

    def permanent(self, kind: str, name: str) -> Settings:
        return self.daemon.permanent(kind)[name]

    def runtime(self, kind: str, name: str) -> Settings:
        return self.daemon.runtime(kind)[name]

    def seen(self) -> Seen:
        """Return all that somebody could see, lists in order."""
        files = {path.name: content for path, content in self._files().items()}
        files.pop("firewalld.json", None)
        seen = _sorted(self.daemon.snapshot())
        tables = dict(self.daemon.tables)
        return {**seen, "tables": tables, "files": files, "record": self.store.record}

    def save(self) -> bytes:
        """Return the whole host, for load()."""
        daemon = {name: one for name, one in vars(self.daemon).items() if name != _RECORDED}
        return pickle.dumps((daemon, self.network_manager.zones, self._files(), self.guard))

    def load(self, saved: bytes) -> None:
        """Turn the host back to what it was at save()."""
        daemon, zones, files, self.guard = pickle.loads(saved)
        vars(self.daemon).update(daemon)
        self.network_manager.zones = zones
        for path in self._files().keys() - files.keys():
            path.unlink()
        for path, content in files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    def _files(self) -> dict[Path, bytes]:
        found = Path(self._directory.name).glob("*/*")
        return {path: path.read_bytes() for path in found}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(one) for name, one in value.items()}
    return sorted(value) if isinstance(value, list) else value


def managed_host(version: str) -> Host:
    """Return a host whose NICs NetworkManager manages, one of them in a zone by name."""
    host = Host(version, managed={"eth0": "internal", "eth1": ""})
    host.daemon.save(ZONE, "public", services=["ssh"], ports=[("10250", "tcp")])
    host.daemon.save(ZONE, "internal", services=["cockpit", "ssh"], ports=[("9100", "tcp")])
    host.reboot()
    return host


def plain_host(version: str) -> Host:
    """Return a host without NetworkManager, one of its NICs in no zone."""
    host = Host(version)
    host.daemon.save(ZONE, "work", services=["ssh"], interfaces=["eth1"])
    host.reboot()
    return host


HOSTS = [managed_host, plain_host]
