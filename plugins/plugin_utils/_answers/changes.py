# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates what the modules return that change a node. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import values
from .result import MESSAGE, diff

_MOST_TEXTS = 1000
_WORD = 64
# The name of the change, which becomes part of a command (_firewalld/change.py).
_IDENTITY = re.compile(r"[0-9a-f]{16}")


def read_firewall(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of C(firewalld_state). Raises ValueError if a value is not valid."""
    found: dict[str, Any] = {
        "changed": values.boolean(result.get("changed"), "changed"),
        "active": values.boolean(result.get("active"), "active"),
        "reloaded": values.boolean(result.get("reloaded"), "reloaded"),
        "firewalld_version": values.line(
            result.get("firewalld_version"), "firewalld_version", _WORD
        ),
        "warned": _warned(result),
    }
    identity = result.get("confirm")
    if identity is not None:
        if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
            raise ValueError("confirm is not the name of a change")
        found["confirm"] = identity
    return {**found, **_diff(result)}


def read_route(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of C(default_route). Raises ValueError if a value is not valid."""
    routes = values.items(result, "default_routes", _MOST_TEXTS)
    detects = values.mapping(result, "k3s_detects", _MOST_TEXTS)
    return {
        "changed": values.boolean(result.get("changed"), "changed"),
        "default_routes": [values.line(one, "default_routes") for one in routes],
        "backend": values.line(result.get("backend"), "backend", _WORD),
        "k3s_detects": read_detected(detects),
        "warned": _warned(result),
        **_diff(result),
    }


def read_detected(detects: Mapping[str, Any]) -> dict[str, str]:
    """Return what K3s and Flannel detect, empty texts for what they do not find."""
    address = detects.get("address")
    return {
        "interface": values.name(detects.get("interface"), "interface in k3s_detects", _WORD),
        "address": "" if address == "" else values.address(address, "address in k3s_detects"),
        "flannel_interface": values.name(
            detects.get("flannel_interface"), "flannel_interface in k3s_detects", _WORD
        ),
    }


def _warned(result: Mapping[str, Any]) -> list[str]:
    given = values.items(result, "warned", _MOST_TEXTS)
    return [values.line(one, "warned", MESSAGE) for one in given]


def _diff(result: Mapping[str, Any]) -> dict[str, Any]:
    found = diff(result.get("diff"))
    return {"diff": found} if found else {}
