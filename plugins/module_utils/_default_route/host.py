# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The default route on this host: reads it, and carries out a plan."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._host.files import (
    FileCopy,
    make_directory,
    remove_file,
    restore_all,
    write_file,
    write_link,
)
from .._host.interfaces import SshConnection, interface_of
from .._host.kernel_driver import DRIVER, driver_package, driver_problem
from .._host.networkmanager import NetworkManager, RunCommand
from .._host.routes import devices, real_routes
from .._k3s import detection
from . import files as route_files
from .files import (
    ADOPTED,
    KEYFILE,
    LAST_METRIC,
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
    route_lines,
    units,
)

_SERVICES = (
    "NetworkManager.service",
    "systemd-networkd.service",
    "firewalld.service",
    UNIT,
    WATCH,
    ZONE_UNIT,
)
_NETWORKD_LINKS = "/run/systemd/netif/links"
_PATIENCE_SECONDS = 15.0
_STEP_SECONDS = 0.1


class DefaultRouteHost:
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
        files = _read_files()
        routes = self._ip("-4", "route", "show", "table", "all", "default")
        data = self.links()
        links = {link.name: link for link in map(_link, data)}
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

    def apply(self, plan: Plan, before: Host) -> None:
        """Carry out a plan and verify the result; a change that fails is rolled back.

        Raises DefaultRouteError or OSError.
        """
        way = self._way_to_peer()
        copies = [FileCopy.take(path) for path in before.files if not route_files.is_link(path)]
        try:
            self._carry_out(plan, before)
            if plan.start:
                self._verify()
            if way and self._way_to_peer() != way:
                raise DefaultRouteError(
                    f"the way back to where Ansible came from led over {way} before, and over "
                    f"{self._way_to_peer() or 'nothing'} with the new route"
                )
        except Exception as error:
            problems = self._roll_back(before, copies)
            outcome = f"; the rollback failed, too: {problems}" if problems else ", was rolled back"
            raise DefaultRouteError(f"the change failed{outcome}: {error}") from error

    def _carry_out(self, plan: Plan, before: Host) -> None:
        if plan.start and (plan.unlink or any(file.path in before.files for file in plan.write)):
            # They must not go on with the values of before; whatever comes next starts them.
            self._systemctl("stop", WATCH, ZONE_UNIT)
        if plan.stop and not plan.unlink:
            # Once the files name another interface, nothing says that this one was ours.
            self._take_away((), plan.stop)
        if plan.adopt and not before.files:
            write_file(ADOPTED, b"")
        elif plan.start and not plan.adopt:
            remove_file(ADOPTED)
        for file in plan.write:
            _write(file)
        if plan.unlink:
            self._take_away(plan.unlink, plan.stop)
        if plan.start:
            self._start(plan.backend, self._wanted, plan.adopt)

    def _take_away(self, paths: Sequence[str], interfaces: Sequence[str]) -> None:
        stopped = [unit for unit in (WATCH, ZONE_UNIT) if _unit_path(unit) in paths]
        for path in paths:
            if path in route_files.COMMITS.values():
                self._remove(path)
        if stopped:
            self._systemctl("stop", *stopped)
        for interface in interfaces:
            # NetworkManager may have been quicker.
            self._run_command(["ip", "link", "delete", "dev", interface])
        for path in paths:
            _remove_file(path)
        if any(path in paths for path in map(_unit_path, (UNIT, WATCH, ZONE_UNIT))):
            self._systemctl("daemon-reload")
        if _unit_path(UNIT) in paths:
            # Its file is gone, and with it what it would have done at its end.
            self._run_command(["systemctl", "stop", UNIT])
        if not _read_files():
            remove_file(ADOPTED)

    def _remove(self, path: str) -> None:
        if path == KEYFILE and self._network_manager.knows(NAME):
            self._network_manager.run("connection", "delete", "id", NAME)
        _remove_file(path)

    def _start(self, backend: str, wanted: Wanted, adopt: bool) -> None:
        self._systemctl("daemon-reload")
        if backend == NETWORKMANAGER:
            self._network_manager.run("connection", "load", KEYFILE)
            if not self._network_manager.knows(NAME):
                raise DefaultRouteError(f"NetworkManager does not take the profile {KEYFILE}")
            # Bringing it up would take a running interface down first.
            if not adopt:
                self._network_manager.run("--wait", "30", "connection", "up", "id", NAME)
        elif backend == NETWORKD:
            # Not by reloading networkd, which would apply whatever else waits in its files.
            *commands, making_the_route = route_files.commands(wanted)
            for command in commands:
                self._run(command)
            if not adopt:
                # As networkd does, which would otherwise put one of its own beside it.
                making_the_route = [*making_the_route, "proto", "static"]
                self._run(making_the_route)
                self._leave_former_addresses(wanted, commands[-1], making_the_route)
        elif not adopt:
            self._systemctl("restart", UNIT)
        for route in self._ip("-4", "route", "show", "default"):
            metric = route.get("metric", 0)
            own = metric in (wanted.metric, LAST_METRIC) and route.get("gateway") == wanted.gateway
            if route.get("dev") == wanted.interface and not own:
                # One made by hand, which might win over real ones, or with the values of before.
                via = ["via", route["gateway"]] if route.get("gateway") else []
                what = ["default", *via, "dev", wanted.interface, "metric", str(metric)]
                self._run(["ip", "-4", "route", "del", *what])
        self._systemctl("start", *units(backend, "firewalld.service" in self._active()))

    def _leave_former_addresses(self, wanted: Wanted, *again: Sequence[str]) -> None:
        """Take the addresses of before off our interface; C(again) makes what goes with them.

        The first address of a network takes the others with it. It is one command, so that a run
        that is killed leaves nothing half done.
        """
        links = [link for link in map(_link, self.links()) if link.name == wanted.interface]
        addresses = [one for link in links for one in link.addresses if ":" not in one]
        former = [one for one in addresses if one != wanted.address]
        if former:
            gone = [f"ip -4 address del {one} dev {wanted.interface}" for one in former]
            script = f"{'; '.join(gone)}; {' && '.join(map(' '.join, again))}"
            self._run(["/bin/sh", "-c", script])

    def _verify(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            routes = self._ip("-4", "route", "show", "default")
            if self._wanted.route() in route_lines(routes):
                return
            if time.monotonic() > end:
                raise DefaultRouteError(
                    f"'{self._wanted.route()}' did not come within {_PATIENCE_SECONDS:.0f} s; the "
                    f"default routes are: {', '.join(route_lines(routes)) or 'none'}"
                )
            time.sleep(_STEP_SECONDS)

    def _roll_back(self, before: Host, copies: Sequence[FileCopy]) -> str:
        """Restore the state before; return what failed."""
        problems = []
        try:
            now = _read_files()
            interfaces = route_files.interfaces(now) - (
                set() if before.files else set(before.links)
            )
            if not before.files and self._wanted.interface in before.links:
                self._strip(before)
            if now != before.files:
                self._take_away([path for path in PATHS if path in now], sorted(interfaces))
                for path in reversed(PATHS):
                    if path in before.files:
                        _write(route_files.file_of(path, before.files[path]))
                # With the owner, mode and attributes that the user may have given them.
                restore_all(copies)
            elif not before.files:
                self._take_away((), sorted(interfaces))
            backend = next(
                (name for name, path in route_files.COMMITS.items() if path in before.files), ""
            )
            values = route_files.values(before.files)
            if backend and values:
                self._start(backend, values, adopt=False)
        except Exception as error:  # The first error is the one to report; this goes with it.
            problems.append(str(error))
        return "; ".join(problems)

    def _strip(self, before: Host) -> None:
        """Take what is ours off an interface that was there before."""
        interface = self._wanted.interface
        # The backend may have been quicker with either.
        if self._wanted.route() not in route_lines(before.main_routes()):
            self._run_command(["ip", "-4", "route", "del", *self._wanted.route().split()])
        if self._wanted.address not in before.links[interface].addresses:
            self._run_command(
                ["ip", "-4", "address", "del", self._wanted.address, "dev", interface]
            )

    def _way_to_peer(self) -> str:
        """Return the NIC that packets to the other end of Ansible's connection leave by."""
        # The address of a link itself is always reached over that link.
        if self._connection is None or "%" in self._connection.source:
            return ""
        with contextlib.suppress(DefaultRouteError):
            for route in self._ip("route", "get", self._connection.source):
                return ", ".join(devices(route))
        return ""

    def _active(self) -> frozenset[str]:
        if not os.path.isdir("/run/systemd/system"):
            return frozenset()
        _code, out, _err = self._run_command(["systemctl", "is-active", *_SERVICES])
        states = dict(zip(_SERVICES, out.split()))
        return frozenset({SYSTEMD, *(unit for unit, state in states.items() if state == "active")})

    def _managed_by(
        self,
        links: Sequence[Mapping[str, Any]],
        profiles: Mapping[str, tuple[str, str]],
        dummies: set[str],
    ) -> str:
        """Return what manages the NICs; that of the connection that Ansible came by counts most."""
        none = {"lo", *dummies}
        nics = [link for link in links if _link(link).addresses and link["ifname"] not in none]
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

    def _systemctl(self, *arguments: str) -> None:
        self._run(["systemctl", *arguments])

    def _run(self, command: Sequence[str]) -> None:
        code, out, err = self._run_command(command)
        if code != 0:
            raise DefaultRouteError(f"{' '.join(command)}: {(err or out).strip()}")


def _read_files() -> dict[str, str]:
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


def _write(file: route_files.File) -> None:
    make_directory(os.path.dirname(file.path))
    if file.link:
        write_link(file.path, file.text)
    else:
        write_file(file.path, file.text.encode(), file.mode)


def _remove_file(path: str) -> None:
    remove_file(path)
    if route_files.is_link(path):
        try:
            os.rmdir(os.path.dirname(path))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


def _unit_path(unit: str) -> str:
    return f"/etc/systemd/system/{unit}"


def _link(data: Mapping[str, Any]) -> Link:
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


def _os_release() -> dict[str, str]:
    try:
        pairs = (line.strip().partition("=") for line in _read("/etc/os-release").splitlines())
    except OSError:
        return {}
    return {key: value.strip("'\"") for key, _equals, value in pairs if key}
