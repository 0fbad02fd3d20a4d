# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates what C(port_listener) returns of a destination. Pure functions.

The types of its C(firewall) are validated when it is read (_report/firewalls.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import values
from .probes import PROTOCOLS

# Each port of a range may be held by a process of its own, at up to three addresses.
_MOST_PORTS = 4 * 65536
_MOST_ERRORS = 10_000
_MOST_PROCESSES = 1000
_MOST_ADDRESSES = 1000
_SHOWN_ADDRESSES = 4
_PID_MAX = 2**22
_TICKS = 2**63


def read(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what listens on a node. Raises ValueError if a value is not valid."""
    found = {
        "processes": [
            {
                "pid": values.integer(one.get("pid"), "pid in processes", 2, _PID_MAX),
                "started": values.integer(one.get("started"), "started in processes", 0, _TICKS),
            }
            for one in values.mappings(result, "processes", _MOST_PROCESSES)
        ],
        "busy": [_place(one, "busy") for one in values.mappings(result, "busy", _MOST_PORTS)],
        "witnessed": [
            _place(one, "witnessed") for one in values.mappings(result, "witnessed", _MOST_PORTS)
        ],
        "bound_elsewhere": [
            {**_place(one, "bound_elsewhere"), "held_at": _held_at(one)}
            for one in values.mappings(result, "bound_elsewhere", _MOST_PORTS)
        ],
        "reserved": [
            {
                **_place(one, "reserved"),
                "unit": values.line(one.get("unit"), "unit in reserved", values.NAME),
            }
            for one in values.mappings(result, "reserved", _MOST_PORTS)
        ],
        "errors": [_error(one) for one in values.mappings(result, "errors", _MOST_ERRORS)],
    }
    if result.get("firewall") is not None:
        if not isinstance(result["firewall"], Mapping):
            raise ValueError("firewall is not a dictionary")
        found["firewall"] = values.tidy(result["firewall"], "firewall")
    return found


def _place(one: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {
        "address": values.address(one.get("address"), f"address in {key}"),
        "protocol": values.word(one.get("protocol"), f"protocol in {key}", PROTOCOLS),
        "port": values.port(one.get("port"), f"port in {key}"),
    }


def _held_at(one: Mapping[str, Any]) -> list[str]:
    given = values.items(one, "held_at", _MOST_ADDRESSES)
    return [values.address(each, "held_at in bound_elsewhere") for each in given][:_SHOWN_ADDRESSES]


def _error(one: Mapping[str, Any]) -> dict[str, Any]:
    first, last = (values.port(one.get(key), f"{key} in errors") for key in ("first", "last"))
    return {
        "address": values.address(one.get("address"), "address in errors"),
        "protocol": values.word(one.get("protocol"), "protocol in errors", PROTOCOLS),
        "first": first,
        "last": last,
        "detail": values.line(one.get("detail"), "detail in errors"),
    }
