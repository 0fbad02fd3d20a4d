# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host's default route depends on: reads it, changes nothing."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._host.commands import RunCommand
from .._host.interfaces import SshConnection, interface_of
from .._host.kernel_driver import DRIVER, driver_package, driver_problem
from .._host.networkmanager import NetworkManager
from .._host.routes import real_routes
from .._k3s import detection
from . import files as route_files
from .files import (
    ADOPTED,
    NAME,
    NETWORKD,
    NETWORKMANAGER,
    PATHS,
    SYSTEMD,
    UNIT,
    WATCH,
    ZONE_UNIT,
    Wanted,
)
from .plan import (
    DefaultRouteError,
    Host,
    Link,
    Plan,
)

_SERVICES = (
    "NetworkManager.service",
    "systemd-networkd.service",
    "firewalld.service",
    UNIT,
    WATCH,
    ZONE_UNIT,
)
_START_SECONDS = 15
_NETWORKD_LINKS = "/run/systemd/netif/links"


class DefaultRouteReader:
    """This host, as far as its default route goes. C(connection) is that of Ansible, if known."""

    def __init__(
        self, run_command: RunCommand, wanted: Wanted, connection: Optional[SshConnection] = None
    ) -> None:
        self._run_command = run_command
        self._wanted = wanted
        self._connection = connection
        self._network_manager = NetworkManager(run_command)

    def read(self) -> Host:
        """Return what the plan needs to know. Raises DefaultRouteError."""
        files = read_files()
        routes = self._ip("-4", "route", "show", "table", "all", "default")
        data = self.links()
        links = {link.name: link for link in map(link_of, data)}
        host = Host(routes=routes, links=links, files=files, adopted=os.path.exists(ADOPTED))
        if real_routes(host.main_routes(), *host.dummies(self._wanted)):
            # Nothing will be added, so whether that could be done need not be known.
            return host
        active = self._active()
        profiles = (
            self._network_manager.active_profiles() if "NetworkManager.service" in active else {}
        )
        others = any("table" in route for route in routes)
        return Host(
            routes=routes,
            links=links,
            files=files,
            managed_by=self._managed_by(data, profiles, route_files.interfaces(files)),
            active=active,
            rules=self._ip("-4", "rule", "show") if others else (),
            owner=self._owner(data, profiles),
            ipv6_default=bool(real_routes(self._ip("-6", "route", "show", "default"))),
            adopted=host.adopted,
            driver_problem=_driver_problem(),
        )

    def links(self) -> list[dict[str, Any]]:
        """Return the interfaces as C(ip) prints them."""
        return self._ip("-details", "address", "show")

    def detected(self, plan: Optional[Plan] = None) -> detection.Detected:
        """Return what K3s detects, or would once a plan is carried out."""
        ipv4 = detection.parse_ipv4(_read("/proc/net/route"))
        ipv6 = detection.parse_ipv6(_read("/proc/net/ipv6_route"))
        links: Sequence[Mapping[str, Any]] = self.links()
        if plan is not None:
            gone = set(plan.stop)
            if plan.start and not plan.adopt:
                gone.add(self._wanted.interface)
            ipv4 = [row for row in ipv4 if row.interface not in gone]
            if plan.start and not plan.adopt:
                dummy = {
                    "ifname": self._wanted.interface,
                    "flags": ["UP"],
                    "addr_info": [{"local": self._wanted.address.partition("/")[0]}],
                }
                links = [
                    *(link for link in links if link.get("ifname") != self._wanted.interface),
                    dummy,
                ]
                ipv4 = detection.with_route(ipv4, self._wanted.interface, self._wanted.metric)
        return detection.detect(ipv4, ipv6, links)

    def _active(self) -> frozenset[str]:
        if not os.path.isdir("/run/systemd/system"):
            return frozenset()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            _code, out, _err = self._run_command(["systemctl", "is-active", *_SERVICES])
            states = dict(zip(_SERVICES, out.split()))
            # After a boot, the unit of the zone waits until firewalld answers on D-Bus.
            if "activating" not in states.values() or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return frozenset({SYSTEMD, *(unit for unit, state in states.items() if state == "active")})

    def _managed_by(
        self,
        links: Sequence[Mapping[str, Any]],
        profiles: Mapping[str, tuple[str, str]],
        dummies: set[str],
    ) -> str:
        """Return what manages the NICs; that of the connection that Ansible came by counts most."""
        none = {"lo", *dummies}
        nics = [link for link in links if link_of(link).addresses and link["ifname"] not in none]
        first = interface_of(links, self._connection.address) if self._connection else ""
        for link in sorted(nics, key=lambda link: link["ifname"] != first):
            if link["ifname"] in profiles:
                return NETWORKMANAGER
            if _networkd_file(link):
                return NETWORKD
        return SYSTEMD

    def _owner(
        self, links: Sequence[Mapping[str, Any]], profiles: Mapping[str, tuple[str, str]]
    ) -> str:
        name, path = profiles.get(self._wanted.interface, ("", ""))
        if name not in ("", NAME):
            return f"the profile '{name}' of NetworkManager ({path})"
        for link in links:
            if link.get("ifname") == self._wanted.interface:
                file = _networkd_file(link)
                if file and file != route_files.NETWORK:
                    return f"systemd-networkd ({file})"
        return ""

    def _ip(self, *arguments: str) -> list[dict[str, Any]]:
        code, out, err = self._run_command(["ip", "-json", *arguments])
        if code != 0:
            raise DefaultRouteError(f"ip {' '.join(arguments)}: {err.strip()}")
        entries: list[dict[str, Any]] = json.loads(out or "[]")
        return entries


def read_files() -> dict[str, str]:
    """Return the files of ours that are there with their text, links with their target."""
    found = {}
    for path in PATHS:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found[path] = os.readlink(path) if route_files.is_link(path) else _read(path)
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        if path.startswith("/proc/"):
            # A kernel without that protocol.
            return ""
        raise


def link_of(data: Mapping[str, Any]) -> Link:
    """Return an interface as a plan needs it, from what C(ip) prints."""
    return Link(
        name=data.get("ifname", ""),
        kind=data.get("linkinfo", {}).get("info_kind", ""),
        addresses=[
            f"{address['local']}/{address['prefixlen']}"
            for address in data.get("addr_info", [])
            if address.get("scope") == "global"
        ],
    )


def _networkd_file(link: Mapping[str, Any]) -> str:
    """Return the .network file by which networkd manages an interface, empty where it does not."""
    with contextlib.suppress(OSError):
        for line in _read(f"{_NETWORKD_LINKS}/{link.get('ifindex')}").splitlines():
            if line.startswith("NETWORK_FILE="):
                return line.partition("=")[2]
    return ""


def _driver_problem() -> str:
    release = platform.release()
    lists: dict[str, str] = {}
    for path in glob.glob("/lib/modules/*/modules.dep") + glob.glob(
        "/lib/modules/*/modules.builtin"
    ):
        directory = os.path.dirname(path)
        lines = (line.partition(":")[0] for line in _read(path).splitlines())
        drivers = [line for line in lines if f"/{DRIVER}.ko" in line]
        # The list of modules may be older than what is there.
        there = [
            driver
            for driver in drivers
            if path.endswith(".builtin") or os.path.exists(os.path.join(directory, driver))
        ]
        lists[os.path.basename(directory)] = "\n".join(
            [lists.get(os.path.basename(directory), ""), *there]
        )
    return driver_problem(
        release=release,
        loaded=os.path.isdir(f"/sys/module/{DRIVER}"),
        module_lists=lists,
        package=driver_package(_os_release(), release),
    )


def _os_release() -> str:
    with contextlib.suppress(OSError):
        return _read("/etc/os-release")
    return ""
