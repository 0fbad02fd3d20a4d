# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Default routes as iproute2 prints them. Pure functions, apart so that facts load little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def real_routes(routes: Sequence[Mapping[str, Any]], *interfaces: str) -> list[Mapping[str, Any]]:
    """Return the default routes that lead somewhere and are not those of our dummies."""
    return [
        route
        for route in routes
        if route.get("type", "unicast") == "unicast"
        and not set(interfaces) & set(devices(route))
        and devices(route)
    ]


def devices(route: Mapping[str, Any]) -> list[str]:
    """Return the interfaces that a route leaves by, of all its next hops."""
    hops = [route, *route.get("nexthops", ())]
    return [hop["dev"] for hop in hops if hop.get("dev")]
