# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a host's default routes and carries out a plan of _default_route."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import platform
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _default_route
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    Host,
    Link,
    Plan,
    Wanted,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    NetworkManagerError,
    RunCommand,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._routes import (
    PROFILE,
    real_routes,
)


def read(run_command: RunCommand, network_manager: NetworkManager, wanted: Wanted) -> Host:
    """Return what the plan needs to know of this host."""
    routes = _ip(run_command, "-4", "route", "show", "default")
    names = network_manager.profiles()
    profile = None
    if names is not None and PROFILE in names:
        keys = list(wanted.profile())
        values = network_manager.settings(PROFILE, keys)
        profile = dict(zip(keys, values))
    if real_routes(routes, *_default_route.dummies(profile, wanted)):
        # Nothing will be added, so whether that could be done need not be known.
        return Host(routes=routes, links={}, profile=profile, network_manager=names is not None)
    return Host(
        routes=routes,
        links=_links(_ip(run_command, "-details", "address", "show")),
        profile=profile,
        profile_interface_owner=(
            network_manager.connection_name(wanted.interface) if profile is None else ""
        ),
        network_manager=names is not None,
        driver_problem=_driver_problem(),
    )


def apply(network_manager: NetworkManager, plan: Plan, wanted: Wanted, host: Host) -> None:
    """Carry out a plan. Raises NetworkManagerError, with nothing of ours left of a new profile."""
    if plan.remove:
        network_manager.run("connection", "delete", "id", PROFILE)
    if plan.write:
        settings = [part for pair in wanted.profile().items() for part in pair]
        if host.profile is None:
            network_manager.run(
                "connection", "add", "save", "yes", "type", "dummy",
                "con-name", PROFILE, "ifname", wanted.interface, *settings,
            )  # fmt: skip
        else:
            network_manager.run("connection", "modify", "id", PROFILE, *settings)
    if plan.activate:
        try:
            network_manager.run("connection", "up", "id", PROFILE)
        except Exception:
            if plan.write and host.profile is None:
                # The first error is the one to report.
                with contextlib.suppress(NetworkManagerError):
                    network_manager.run("connection", "delete", "id", PROFILE)
            raise


def _ip(run_command: RunCommand, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run_command(["ip", "-json", *arguments])
    if code != 0:
        raise _default_route.DefaultRouteError(f"ip {' '.join(arguments)}: {err.strip()}")
    entries: list[dict[str, Any]] = json.loads(out or "[]")
    return entries


def _links(data: list[dict[str, Any]]) -> dict[str, Link]:
    return {
        link["ifname"]: Link(
            name=link["ifname"],
            kind=link.get("linkinfo", {}).get("info_kind", ""),
            addresses=[
                f"{address['local']}/{address['prefixlen']}"
                for address in link.get("addr_info", [])
                if address.get("family") == "inet"
            ],
        )
        for link in data
        if link.get("ifname")
    }


def _driver_problem() -> str:
    release = platform.release()
    lists: dict[str, str] = {}
    for path in glob.glob("/lib/modules/*/modules.dep") + glob.glob(
        "/lib/modules/*/modules.builtin"
    ):
        with open(path, encoding="utf-8") as stream:
            owner = os.path.basename(os.path.dirname(path))
            lists[owner] = lists.get(owner, "") + stream.read()
    return _default_route.driver_problem(
        release=release,
        loaded=os.path.isdir(f"/sys/module/{_default_route.DRIVER}"),
        module_lists=lists,
        package=_default_route.driver_package(_os_release(), release),
    )


def _os_release() -> dict[str, str]:
    try:
        with open("/etc/os-release", encoding="utf-8") as stream:
            pairs = (line.strip().partition("=") for line in stream)
            return {key: value.strip("'\"") for key, _equals, value in pairs if key}
    except OSError:
        return {}
