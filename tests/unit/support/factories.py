# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the inputs of the tests; each test states only what matters to it."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import with_ipsets
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    OVERLAY_INTERFACES,
    Host,
    Node,
    Rule,
    Settings,
    Topology,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.settings import (
    read_settings,
)

COLLECTION = Path(__file__).parents[3]
BOTH = ("server", "agent")


def role_defaults(role: str) -> dict:
    """Return the defaults of a role of this collection."""
    text = (COLLECTION / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def default_ports() -> list[dict]:
    """Return the table of ports that the collection ships."""
    return role_defaults("k3s_topology")["k3s_topology_ports"]


def entry(name="api", port=6443, protocol="tcp", source=BOTH, destination=BOTH, **others) -> dict:
    """Return a rule as a user writes it."""
    return {
        "name": name,
        "port": port,
        "protocol": protocol,
        "source": list(source),
        "destination": list(destination),
        **others,
    }


def port_rule(first, last=None, name="", protocol="tcp", source=BOTH, destination=BOTH) -> Rule:
    """Return a rule as the topology holds it."""
    last = first if last is None else last
    return Rule(
        name=name or f"{protocol}-{first}-{last}-{'-'.join(source)}",
        first=first,
        last=last,
        protocol=protocol,
        source=list(source),
        destination=list(destination),
        purpose="",
    )


def default_rules() -> list[Rule]:
    """Return the rules of the table that the collection ships."""
    return [
        port_rule(
            *map(int, str(one["port"]).split("-")),
            name=one["name"],
            protocol=one["protocol"],
            source=one["source"],
            destination=one["destination"],
        )
        for one in default_ports()
    ]


def node(name="server1", group="server", address="192.0.2.11", **others) -> Node:
    """Return a node with one NIC, which serves clusters and clients."""
    return Node(
        **{
            "name": name,
            "group": group,
            "mode": "shared",
            "address": address,
            "cluster_interface": "eth0",
            "external_interface": "eth0",
            "external_address": address,
            "overlay_interfaces": list(OVERLAY_INTERFACES),
            "k3s": {},
            **others,
        }
    )


def segregated(name="server1", group="server", number=11) -> Node:
    """Return a node with a NIC for the cluster and one for clients."""
    return node(
        name,
        group,
        f"192.0.2.{number}",
        mode="segregated",
        external_interface="eth1",
        external_address=f"198.51.100.{number}",
    )


def topology(nodes=None, rules=None, **others) -> Topology:
    """Return a cluster of a server and an agent."""
    if nodes is None:
        nodes = [node(), node("agent1", "agent", "192.0.2.21")]
    made = Topology(
        **{
            "nodes": list(nodes),
            "rules": [port_rule(6443)] if rules is None else list(rules),
            "pod_cidr": "10.42.0.0/16",
            "service_cidr": "10.43.0.0/16",
            "restrict_sources": True,
            "external_sources": [],
            "external_clients": [],
            "ipsets": [],
            **others,
        }
    )
    return with_ipsets(made)


def given(**others) -> dict:
    """Return what the user says of a whole cluster, with one rule."""
    return {
        "pod_cidr": "10.42.0.0/16",
        "service_cidr": "10.43.0.0/16",
        "ports": [entry()],
        "extra_ports": [],
        "http_redirect": True,
        "restrict_sources": True,
        "external_sources": [],
        **others,
    }


def settings(**others) -> Settings:
    """Return what read_settings() makes of given()."""
    return read_settings(given(**others))[0]


def host(name="server1", group="server", **others) -> Host:
    """Return a host with one NIC."""
    interfaces = {"eth0": ["192.0.2.11/24"]}
    return Host(**{"name": name, "group": group, "interfaces": interfaces, **others})
