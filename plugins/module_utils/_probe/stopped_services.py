# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports that services of this host need when they start.

A temporary listener on such a port keeps the service from starting: K3s ends if it cannot have
6443, and the kernel cannot make the device of Flannel's overlay if a socket holds its UDP port.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from .._host.units import SHOW, parse_units

_AGENT = (("tcp", 5001), ("tcp", 10250), ("udp", 8472), ("udp", 51820), ("udp", 51821))
_K3S: Mapping[str, tuple[tuple[str, int], ...]] = {
    "k3s-agent.service": _AGENT,
    "k3s.service": (*_AGENT, ("tcp", 2379), ("tcp", 2380), ("tcp", 6443)),
}
"""From K3s's documentation, "Requirements", Inbound Rules for K3s Nodes."""
_OTHERS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "apache2.service": (("tcp", 80), ("tcp", 443)),
    "haproxy.service": (("tcp", 80), ("tcp", 443)),
    "httpd.service": (("tcp", 80), ("tcp", 443)),
    "influxdb.service": (("tcp", 8086),),
    "kafka.service": (("tcp", 9093), ("tcp", 9095)),
    "nfs-server.service": (("tcp", 2049),),
    "nginx.service": (("tcp", 80), ("tcp", 443)),
    "redis-server.service": (("tcp", 6379),),
    "redis.service": (("tcp", 6379),),
    "telegraf.service": (("tcp", 8125), ("udp", 8125)),
    "tgt.service": (("tcp", 3260),),
}
"""What may hold the other ports of the vendor guide's tables, by the units' names in packages."""
UNITS = (*_K3S, *_OTHERS)


def read() -> dict[tuple[str, int], str]:
    """Return the unit of a service that does not run, by protocol and port that it needs."""
    try:
        out = subprocess.run(
            [*SHOW, *UNITS],
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    except OSError:
        return {}
    return parse(out)


def parse(text: str) -> dict[tuple[str, int], str]:
    """Return the same of what systemctl printed.

    K3s counts if it is installed. Of the others, many are installed with a package and never
    started; they count if they are enabled, or if systemd is starting them.
    """
    units = parse_units(text)
    found: dict[tuple[str, int], str] = {}
    for unit, ports in _OTHERS.items():
        if unit in units and _is_stopped(units[unit]) and _is_wanted(units[unit]):
            found.update(dict.fromkeys(ports, unit))
    k3s = {
        unit: state for unit, state in units.items() if unit in _K3S and state["load"] == "loaded"
    }
    if all(map(_is_stopped, k3s.values())):
        # An image may have both units, of which a node starts one.
        names = [unit for unit, state in k3s.items() if _is_wanted(state)] or sorted(k3s)
        for unit in names:
            found.update(dict.fromkeys(_K3S[unit], " or ".join(names)))
    return found


def _is_stopped(state: Mapping[str, str]) -> bool:
    return state["load"] == "loaded" and state["active"] not in ("active", "reloading")


def _is_wanted(state: Mapping[str, str]) -> bool:
    return state["file"].startswith("enabled") or state["active"] == "activating"
