# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of nodes in which the preflight finds no fault."""

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import port_rule, topology

CLUSTER = topology(rules=[port_rule(6443, name="api"), port_rule(10000, 30000, name="longhorn")])
NODES = {node["name"]: node for node in CLUSTER["nodes"]}
NAMES = sorted(NODES)
LOADED = {"load": "loaded", "active": "active", "file": "enabled"}


def facts(name, **others):
    """Return the facts of a node without a fault."""
    number = NAMES.index(name)
    return {
        "hostname": name,
        "machine_id": f"{number:032x}",
        "interfaces": {
            "eth0": {
                "mtu": 1500,
                "mac": f"02:00:00:00:00:{number:02x}",
                "addresses": [NODES[name]["address"]],
                "dynamic": [],
            }
        },
        "routes": [{"destination": "192.0.2.0/24", "interface": "eth0", "connected": True}],
        "units": {"firewalld.service": LOADED},
        "ufw_enabled": True,
        "flushes_ruleset": False,
        "networkmanager_spares_cni": False,
        "missing_drivers": [],
        "read_only": [],
        "strict_forward_ports": False,
        "default_zone": "public",
        "default_zone_target": "default",
        "packet_filters": [],
        "packet_filters_unknown": [],
        "driver_package": "the package kernel-modules",
        "rp_filter": "0",
        "held": [],
        "clock": 1000.0,
        "clock_at_the_end": 1000.0,
        **others,
    }
