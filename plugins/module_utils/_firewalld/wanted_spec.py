# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The argument spec of C(wanted), the firewalld objects of a node."""

from __future__ import annotations

from typing import Any


def wanted_spec() -> dict[str, Any]:
    """Return the suboptions of C(wanted)."""
    strings = {"type": "list", "elements": "str"}
    name = {"type": "str", "required": True}
    return {
        "ipsets": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": name,
                "type": {"type": "str", "required": True, "choices": ["hash:ip", "hash:net"]},
                "family": {"type": "str", "choices": ["inet", "inet6"], "default": "inet"},
                "entries": {**strings, "required": True},
            },
        },
        "policies": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": name,
                "priority": {"type": "int", "required": True},
                "ingress_zones": {**strings, "required": True},
                "ingress_interfaces": {**strings, "default": []},
                "egress_zones": {**strings, "required": True},
                "rules": {**strings, "required": True},
            },
        },
        "zones": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": name,
                "interface": {"type": "str", "required": True},
                "ports": {**strings, "default": []},
            },
        },
        "overlay_zones": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"name": name, "interfaces": {**strings, "required": True}},
        },
        "interface_ports": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "interface": {"type": "str", "required": True},
                "ports": {**strings, "required": True},
            },
        },
    }
