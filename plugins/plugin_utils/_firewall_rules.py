# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the topology to the firewalld objects that one node wants. Pure functions.

Policies with rules on source ipsets admit the nodes: unlike a source zone they leave
whatever the interface's zone admits in force, and a set costs the same for 3 nodes as for 300.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Any, TypedDict

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports

from ._topology.model import (
    AGENT,
    EXTERNAL,
    NODE_GROUPS,
    POD,
    SERVER,
    IpsetWanted,
    Node,
    Rule,
    Topology,
    find_node,
)

ZONE_CLUSTER = "k3s-cluster"
ZONE_EXTERNAL = "k3s-external"
ZONE_PODS = "k3s-pods"
# A policy may not share its name with a zone, and has 17 characters at most.
POLICY_NODES = "k3s-from-nodes"
POLICY_PODS = "k3s-from-pods"
POLICY_CLIENTS = "k3s-from-clients"
POLICY_OVERLAY = "k3s-overlay"
POLICY_ROUTED = "k3s-routed-pods"
# After the rules of the zone, so that a ban of the user's holds for our ports as well; but what is
# forwarded from and to pods is accepted before their zone rejects it. Each has a priority of its
# own, since firewalld 2.0 to 2.4 puts policies of the same priority in front of zones of sources.
PRIORITIES = {
    POLICY_NODES: 1010,
    POLICY_PODS: 1020,
    POLICY_CLIENTS: 1030,
    POLICY_OVERLAY: -1010,
    POLICY_ROUTED: -1020,
}
IPSET_CLIENTS = "k3s-clients"
IPSET_NODES = {
    frozenset({SERVER}): "k3s-servers",
    frozenset({AGENT}): "k3s-agents",
    frozenset({SERVER, AGENT}): "k3s-nodes",
}
IPV6_SUFFIX = "-v6"


class PolicyWanted(TypedDict):
    """A policy with its rich rules, in the spelling that firewalld itself prints."""

    name: str
    priority: int
    ingress_zones: list[str]
    ingress_interfaces: list[str]
    egress_zones: list[str]
    rules: list[str]


class ZoneWanted(TypedDict):
    """A zone of ours that holds a NIC, and plain ports beyond what its former zone had."""

    name: str
    interface: str
    ports: list[str]


class OverlayZoneWanted(TypedDict):
    """A zone of this collection that holds the interfaces on which pods' packets arrive."""

    name: str
    interfaces: list[str]


class InterfacePortsWanted(TypedDict):
    """Plain ports in whatever zone of the user's holds the interface."""

    interface: str
    ports: list[str]


class FirewallWanted(TypedDict):
    """Everything that a node's firewalld is to hold of ours."""

    ipsets: list[IpsetWanted]
    policies: list[PolicyWanted]
    zones: list[ZoneWanted]
    overlay_zones: list[OverlayZoneWanted]
    interface_ports: list[InterfacePortsWanted]


def firewall_wanted(topology: Topology, name: str) -> FirewallWanted:
    """Return the firewalld objects that the node of that inventory name wants.

    Raises KeyError where the topology has no such node.
    """
    node = find_node(topology, name)
    rules = [rule for rule in topology["rules"] if node["group"] in rule["destination"]]
    sets = _Ipsets(topology)
    segregated = node["mode"] == "segregated"
    plain = [] if topology["restrict_sources"] else _plain_ports(rules)

    policies = []
    if topology["restrict_sources"]:
        rich_rules = [
            _rich_rule(rule, source)
            for rule in rules
            if _node_sources(rule)
            for source in sets.nodes(_node_sources(rule))
        ]
        ingress = ZONE_CLUSTER if segregated else "ANY"
        policies.append(_policy(POLICY_NODES, ingress, "HOST", rich_rules))
    # Only what arrives on an interface of the overlay is a pod's; an address can be forged.
    pods = _source_of_cidr(topology["pod_cidr"])
    policies.append(
        _policy(
            POLICY_PODS,
            ZONE_PODS,
            "HOST",
            [_rich_rule(rule, pods) for rule in rules if POD in rule["source"]],
        )
    )
    rich_rules = [
        _rich_rule(rule, source)
        for rule in rules
        if EXTERNAL in rule["source"]
        for source in sets.clients()
    ]
    ingress = ZONE_EXTERNAL if segregated else "ANY"
    policies.append(_policy(POLICY_CLIENTS, ingress, "HOST", rich_rules))
    overlay = [
        f"rule {_source_of_cidr(cidr)} accept"
        for cidr in (topology["pod_cidr"], topology["service_cidr"])
    ]
    policies.append(_policy(POLICY_OVERLAY, ZONE_PODS, "ANY", overlay))
    interfaces = [
        name
        for name in node["overlay_interfaces"]
        if name not in (node["cluster_interface"], node["external_interface"])
    ]
    if node["cluster_interface"] in node["overlay_interfaces"]:
        # Without encapsulation (host-gw), packets of other nodes' pods arrive on the NIC.
        sources = [pods, *sets.nodes([SERVER, AGENT])]
        policies.append(
            PolicyWanted(
                name=POLICY_ROUTED,
                priority=PRIORITIES[POLICY_ROUTED],
                ingress_zones=[],
                ingress_interfaces=[_interface(node, "cluster")],
                egress_zones=[ZONE_PODS],
                rules=[f"rule {source} accept" for source in sources],
            )
        )

    zones = []
    interface_ports = []
    if segregated:
        zones = [
            ZoneWanted(name=ZONE_CLUSTER, interface=_interface(node, "cluster"), ports=plain),
            ZoneWanted(name=ZONE_EXTERNAL, interface=_interface(node, "external"), ports=[]),
        ]
    elif plain:
        interface_ports = [InterfacePortsWanted(interface=_interface(node, "cluster"), ports=plain)]
    return FirewallWanted(
        ipsets=sets.used(),
        policies=[policy for policy in policies if policy["rules"]],
        zones=zones,
        overlay_zones=[OverlayZoneWanted(name=ZONE_PODS, interfaces=interfaces)],
        interface_ports=interface_ports,
    )


def with_ipsets(topology: Topology) -> Topology:
    """Return a topology with every ipset that some node may want.

    They are the same for all nodes, so that they are made once.
    """
    found = []
    members = {
        name: ("hash:ip", [one["address"] for one in topology["nodes"] if one["group"] in groups])
        for groups, name in IPSET_NODES.items()
    }
    members[IPSET_CLIENTS] = ("hash:net", topology["external_sources"])
    for name, (kind, texts) in members.items():
        networks = [ipaddress.ip_network(text) for text in texts]
        for version, family, suffix in ((4, "inet", ""), (6, "inet6", IPV6_SUFFIX)):
            entries = _entries(
                [network for network in networks if network.version == version], kind
            )
            if entries:
                found.append(
                    IpsetWanted(name=name + suffix, type=kind, family=family, entries=entries)
                )
    return {**topology, "ipsets": found}


class _Ipsets:
    """Hands out the sources of rules and keeps which ipsets they need."""

    def __init__(self, topology: Topology) -> None:
        self._all = {ipset["name"]: ipset for ipset in topology["ipsets"]}
        self._used: dict[str, IpsetWanted] = {}

    def nodes(self, groups: Collection[str]) -> list[str]:
        """Return a source for each address family that the nodes of these groups have."""
        return self._sources(IPSET_NODES[frozenset(groups)])

    def clients(self) -> list[str]:
        """Return the sources of external clients; one that is empty stands for anyone."""
        return self._sources(IPSET_CLIENTS) or [""]

    def used(self) -> list[IpsetWanted]:
        return [self._used[name] for name in sorted(self._used)]

    def _sources(self, name: str) -> list[str]:
        sources = []
        for version, suffix in ((4, ""), (6, IPV6_SUFFIX)):
            ipset = self._all.get(name + suffix)
            if ipset is not None:
                self._used[ipset["name"]] = ipset
                sources.append(f'family="ipv{version}" source ipset="{ipset["name"]}"')
        return sources


def _entries(networks: Sequence[Any], kind: str) -> list[str]:
    # nftables refuses a set whose networks overlap.
    if kind == "hash:net":
        return [str(network) for network in ipaddress.collapse_addresses(networks)]
    return [str(address) for address in sorted({network.network_address for network in networks})]


def _node_sources(rule: Rule) -> list[str]:
    return [group for group in NODE_GROUPS if group in rule["source"]]


def _plain_ports(rules: Sequence[Rule]) -> list[str]:
    """The union of the rules that nodes use, as firewalld would coalesce it."""
    ports = []
    for protocol in sorted({rule["protocol"] for rule in rules}):
        intervals = [
            (rule["first"], rule["last"])
            for rule in rules
            if rule["protocol"] == protocol and _node_sources(rule)
        ]
        ports += [f"{_ports.format_port(one)}/{protocol}" for one in _ports.merge(intervals)]
    return ports


def _rich_rule(rule: Rule, source: str) -> str:
    port = _ports.format_port((rule["first"], rule["last"]))
    parts = ["rule", source, f'port port="{port}" protocol="{rule["protocol"]}"', "accept"]
    return " ".join(part for part in parts if part)


def _source_of_cidr(cidr: str) -> str:
    network = ipaddress.ip_network(cidr)
    return f'family="ipv{network.version}" source address="{network}"'


def _policy(name: str, ingress: str, egress: str, rules: Sequence[str]) -> PolicyWanted:
    return PolicyWanted(
        name=name,
        priority=PRIORITIES[name],
        ingress_zones=[ingress],
        ingress_interfaces=[],
        egress_zones=[egress],
        rules=list(dict.fromkeys(rules)),
    )


def _interface(node: Node, which: str) -> str:
    interface = node["cluster_interface"] if which == "cluster" else node["external_interface"]
    if interface is None:
        raise ValueError(f"{node['name']}: its {which} interface is not known")
    return interface
