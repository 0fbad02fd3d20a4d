# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of the modules, as a sound node returns them."""

from __future__ import annotations

FIREWALL = {
    "problem": "",
    "firewalld": {"running": True, "version": "1.3.4", "prepared": True, "refused": ""},
    "overlay": {"kubernetes": [], "interfaces": {"flannel.1": True}, "udp_ports": [8472]},
    "packet_filters": [],
    "packet_filters_unknown": [],
    "strict_forward_ports": False,
}
LISTENERS = {
    "changed": False,
    "processes": [{"pid": 4711, "started": 123456}],
    "busy": [],
    "witnessed": [],
    "bound_elsewhere": [],
    "reserved": [],
    "errors": [],
}
PROBES = {"changed": False, "results": [], "sources": {}, "duplicates": {}, "ended": []}
FIREWALLD_STATE = {
    "changed": False,
    "active": True,
    "reloaded": False,
    "firewalld_version": "1.3.3",
    "warned": [],
}
DEFAULT_ROUTE = {
    "changed": False,
    "default_routes": ["default via 192.0.2.1 dev eth0 metric 100"],
    "backend": "",
    "k3s_detects": {"interface": "eth0", "address": "192.0.2.11", "flannel_interface": "eth0"},
    "warned": [],
}
K3S = {
    "settings": [
        {
            "source": "/etc/rancher/k3s/config.yaml",
            "key": "node-ip",
            "kind": "file",
            "append": False,
            "alias": False,
            "text": "value: 192.0.2.11\n",
        }
    ],
    "unreadable": [],
    "config": "",
    "certificate": "",
    "has_run": False,
    "version": "",
}
NO_CHANGE = {"changed": False, "refused": "", "warned": []}


def outcome(address, port, observed="open", detail="", protocol="tcp") -> dict:
    """Return an entry of C(results) of port_probe."""
    return {
        "address": address,
        "protocol": protocol,
        "first": port,
        "last": port,
        "observed": observed,
        "detail": detail,
    }


def preflight(facts) -> dict:
    """Return the result of preflight_facts with these facts."""
    return {
        "changed": False,
        "facts": facts,
        "predicted": {"default_route": NO_CHANGE, "firewalld_state": NO_CHANGE},
    }
