# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of the cluster: its nodes with their addresses, and the rules of its port table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, TypedDict

SERVER = "server"
AGENT = "agent"
POD = "pod"
EXTERNAL = "external"
NODE_GROUPS = (SERVER, AGENT)
SOURCES = (SERVER, AGENT, POD, EXTERNAL)
PROTOCOLS = ("tcp", "udp")
MODES = ("shared", "segregated")
# What K3s creates: the CNI's bridge, and Flannel's devices for VXLAN and WireGuard, IPv4 and IPv6.
OVERLAY_INTERFACES = ("cni0", "flannel.1", "flannel-wg", "flannel-wg-v6", "flannel-v6.1")

_OF_HOST = re.compile(r"host ([^\s:,]+): ")
_NAMED = 10


class Rule(TypedDict):
    """One rule of the port table. C(first) and C(last) are port numbers."""

    name: str
    first: int
    last: int
    protocol: str
    source: list[str]
    destination: list[str]
    purpose: str


class Node(TypedDict):
    """One node of the cluster. Its external interface or address is None where unknown."""

    name: str
    group: str
    mode: str
    address: str
    cluster_interface: Optional[str]
    external_interface: Optional[str]
    external_address: Optional[str]
    overlay_interfaces: list[str]
    k3s: dict[str, Any]
    """What K3s is told on this node (Record.to_dict() of _k3s/settings.py)."""


class IpsetWanted(TypedDict):
    """An ipset: C(type) is hash:ip or hash:net, C(family) inet or inet6."""

    name: str
    type: str
    family: str
    entries: list[str]


class Topology(TypedDict):
    """The cluster as firewall and validation see it."""

    nodes: list[Node]
    rules: list[Rule]
    pod_cidr: str
    service_cidr: str
    restrict_sources: bool
    external_sources: list[str]
    external_clients: list[str]
    ipsets: list[IpsetWanted]
    """Those that nodes may want, which are the same for all."""


@dataclass(frozen=True)
class Settings:
    """What holds for the whole cluster, as read_settings() has validated it."""

    pod_cidr: str
    service_cidr: str
    rules: Sequence[Rule]
    restrict_sources: bool = True
    external_sources: Sequence[str] = ()
    pod_cidr_source: str = "k3s_topology_pod_cidr"
    """Where the value comes from, as messages name it."""
    service_cidr_source: str = "k3s_topology_service_cidr"


@dataclass(frozen=True)
class Host:
    """What the inventory says of a host, and what the host said of its interfaces, if asked."""

    name: str
    group: str
    mode: str = "shared"
    cluster_interface: Optional[str] = None
    external_interface: Optional[str] = None
    node_ip: Optional[str] = None
    external_address: Optional[str] = None
    interfaces: Optional[Mapping[str, Sequence[str]]] = field(default=None)
    """Interface name to its global addresses in CIDR form, or None where it was not asked."""
    dummies: Sequence[str] = ()
    """Which of its interfaces are dummies."""
    connection_address: Optional[str] = None
    """The node's own address in the SSH connection of Ansible, as the node reports it."""
    ssh_addresses: Sequence[str] = ()
    """The addresses to which Ansible may connect, as the controller knows; empty if unknown."""
    unreachable_reason: str = ""
    """Why the host did not answer when it was asked."""
    overlay_interfaces: Sequence[str] = OVERLAY_INTERFACES
    """The interfaces on which pods' packets arrive."""
    node_ip_source: str = "k3s_topology_node_ip"
    """Where the value comes from, as messages name it."""
    node_ip_is_reported: bool = False
    """Whether only K3s's files on the node have this value, and not the inventory."""
    cluster_interface_source: str = "k3s_topology_cluster_interface"
    k3s: Mapping[str, Any] = field(default_factory=dict)
    """What K3s is told on this host (Record.to_dict() of _k3s/settings.py)."""


def by_host(problems: Sequence[str]) -> list[str]:
    """Return each problem once, with all hosts that have it."""
    hosts: dict[str, list[str]] = {}
    for problem in problems:
        found = _OF_HOST.match(problem)
        names = hosts.setdefault(problem[found.end() :] if found else problem, [])
        if found and found[1] not in names:
            names.append(found[1])
    return [
        f"host{'s' if len(names) > 1 else ''} {few(names)}: {problem}" if names else problem
        for problem, names in hosts.items()
    ]


def few(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


class TopologyError(Exception):
    """The input can't be used. C(problems) names every mistake: variable, host and remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        problems = by_host(problems)
        plural = "s" if len(problems) > 1 else ""
        super().__init__(
            f"No changes were made. {len(problems)} problem{plural}: {' | '.join(problems)}"
        )
        self.problems = list(problems)


def find_node(topology: Topology, name: str) -> Node:
    """Return the node of that inventory name. Raises KeyError where there is none."""
    for node in topology["nodes"]:
        if node["name"] == name:
            return node
    raise KeyError(name)
