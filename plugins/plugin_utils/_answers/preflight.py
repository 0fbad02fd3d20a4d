# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates what C(preflight_facts) returns of a node. Pure functions.

The types of C(packet_filters) are validated when they are read (_packet_filter.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import values
from .probes import PROTOCOLS
from .result import MESSAGE

MODULES = ("default_route", "firewalld_state")
"""The modules whose changes are predicted."""
_MOST_INTERFACES = 10_000
_MOST_ADDRESSES = 50_000
# A router with a full table of the Internet is not a node of K3s.
_MOST_ROUTES = 100_000
_MOST_UNITS = 100
_MOST_HELD = 2 * 65536
_MOST_TEXTS = 100
_WORD = 64
_MTU_MAX = 2**31
# The year 2600.
_CLOCK_MAX = 2e10
_BOOLEANS = (
    "strict_forward_ports",
    "ufw_enabled",
    "flushes_ruleset",
    "networkmanager_spares_cni",
)


def read(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node's facts and predictions. Raises ValueError if a value is not valid."""
    facts = values.mapping(result, "facts", _MOST_TEXTS)
    predicted = values.mapping(result, "predicted", _MOST_TEXTS)
    return {
        "facts": _facts(facts),
        "predicted": {module: _predicted(predicted, module) for module in MODULES},
    }


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: values.number(facts.get(key), key, 0, _CLOCK_MAX)
        for key in ("clock", "clock_at_the_end")
    }
    found.update({key: values.boolean(facts.get(key), key) for key in _BOOLEANS})
    found.update(
        hostname=values.line(facts.get("hostname"), "hostname", values.NAME),
        machine_id=values.line(facts.get("machine_id"), "machine_id", _WORD),
        interfaces=_interfaces(facts),
        routes=[_route(one) for one in values.mappings(facts, "routes", _MOST_ROUTES)],
        units=_units(facts),
        default_zone=values.line(facts.get("default_zone"), "default_zone", _WORD),
        default_zone_target=values.line(
            facts.get("default_zone_target"), "default_zone_target", _WORD
        ),
        packet_filters=values.tidy(facts.get("packet_filters"), "packet_filters"),
        packet_filters_unknown=_lines(facts, "packet_filters_unknown"),
        missing_drivers=_lines(facts, "missing_drivers"),
        driver_package=values.line(facts.get("driver_package"), "driver_package"),
        rp_filter=values.line(facts.get("rp_filter"), "rp_filter", _WORD),
        held=[_held(one) for one in values.mappings(facts, "held", _MOST_HELD)],
        read_only=_lines(facts, "read_only"),
    )
    return found


def _lines(facts: Mapping[str, Any], key: str) -> list[str]:
    return [values.line(one, key) for one in values.items(facts, key, _MOST_TEXTS)]


def _interfaces(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    left = _MOST_ADDRESSES
    for name, nic in values.mapping(facts, "interfaces", _MOST_INTERFACES).items():
        if not isinstance(nic, Mapping):
            raise ValueError("interfaces has a value that is not a dictionary")
        addresses, dynamic = (
            [values.address(one, f"{key} in interfaces") for one in values.items(nic, key, left)]
            for key in ("addresses", "dynamic")
        )
        left -= len(addresses)
        found[values.name(name, "a key of interfaces", _WORD)] = {
            "mtu": values.integer(nic.get("mtu"), "mtu in interfaces", 0, _MTU_MAX),
            # A tunnel has the address of its peer, or none.
            "mac": values.line(nic.get("mac"), "mac in interfaces", _WORD),
            "addresses": addresses,
            "dynamic": dynamic,
        }
    return found


def _route(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "destination": values.network(one.get("destination"), "destination in routes"),
        "interface": values.name(one.get("interface"), "interface in routes", _WORD),
        "connected": values.boolean(one.get("connected"), "connected in routes"),
    }


def _units(facts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found = {}
    for name, unit in values.mapping(facts, "units", _MOST_UNITS).items():
        if not isinstance(unit, Mapping):
            raise ValueError("units has a value that is not a dictionary")
        found[values.name(name, "a key of units")] = {
            key: values.name(unit.get(key), f"{key} in units", _WORD)
            for key in ("load", "active", "file")
        }
    return found


def _held(one: Mapping[str, Any]) -> dict[str, Any]:
    given = values.items(one, "addresses", _MOST_ADDRESSES)
    return {
        "protocol": values.word(one.get("protocol"), "protocol in held", PROTOCOLS),
        "port": values.integer(one.get("port"), "port in held", 0, values.PORT_MAX),
        "addresses": [values.address(each, "addresses in held") for each in given],
    }


def _predicted(predicted: Mapping[str, Any], module: str) -> dict[str, Any]:
    one = predicted.get(module)
    if not isinstance(one, Mapping):
        raise ValueError(f"{module} in predicted is not a dictionary")
    return {
        "changed": values.boolean(one.get("changed"), f"changed of {module}"),
        "refused": values.line(one.get("refused"), f"refused of {module}", MESSAGE),
        "warned": [
            values.line(text, f"warned of {module}", MESSAGE)
            for text in values.items(one, "warned", _MOST_TEXTS)
        ],
    }
