# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The default route on this host: carries out a plan, and rolls back what fails."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence

from .._host.files import (
    FileCopy,
    make_directory,
    remove_file,
    restore_all,
    write_file,
    write_link,
)
from .._host.routes import devices
from . import files as route_files
from .files import (
    ADOPTED,
    KEYFILE,
    LAST_METRIC,
    NAME,
    NETWORKD,
    NETWORKMANAGER,
    PATHS,
    UNIT,
    WATCH,
    ZONE_UNIT,
    Wanted,
)
from .plan import (
    DefaultRouteError,
    Host,
    Plan,
    route_lines,
    units,
)
from .read import DefaultRouteReader, link_of, read_files

_PATIENCE_SECONDS = 15.0
_STEP_SECONDS = 0.1


class DefaultRouteHost(DefaultRouteReader):
    """This host, whose default route a plan changes."""

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
        if not read_files():
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
        links = [link for link in map(link_of, self.links()) if link.name == wanted.interface]
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
            now = read_files()
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

    def _systemctl(self, *arguments: str) -> None:
        self._run(["systemctl", *arguments])

    def _run(self, command: Sequence[str]) -> None:
        code, out, err = self._run_command(command)
        if code != 0:
            raise DefaultRouteError(f"{' '.join(command)}: {(err or out).strip()}")


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
