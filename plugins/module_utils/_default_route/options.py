# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the module default_route."""

from __future__ import annotations

from typing import Any

from .._k3s.config import K3sConfigError
from .plan import DefaultRouteError

ERRORS = (DefaultRouteError, K3sConfigError)
"""What apply() raises."""
REQUIRED_BY = {"node_ip": "flannel_interface"}


def argument_spec() -> dict[str, Any]:
    """Return the module's argument spec."""
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "interface": {"type": "str", "default": "dummy0"},
        "address": {"type": "str", "default": "203.0.113.254/31"},
        "gateway": {"type": "str", "default": "203.0.113.255"},
        "metric": {"type": "int", "default": 1000},
        "backend": {
            "type": "str",
            "choices": ["auto", "networkmanager", "networkd", "systemd"],
            "default": "auto",
        },
        "k3s_config": {"type": "bool", "default": True},
        "node_ip": {"type": "str"},
        "flannel_interface": {"type": "str"},
        "k3s": {"type": "dict", "default": {}},
    }
