# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster is: its nodes with their addresses, and its rows of ports.

Pure functions. They judge the whole input at once, so that one run names every mistake.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, TypedDict, Union

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports

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
# The kernel's limit, less what no tool accepts in a name.
_INTERFACE = re.compile(r"[^\s/:+*]{1,15}")

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Row(TypedDict):
    """One row of the port table, judged. C(first) and C(last) are port numbers."""

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
    k3s: dict[str, str]
    """What the inventory tells K3s of this node: its options and their values."""


class Topology(TypedDict):
    """The cluster as firewall and validation see it."""

    nodes: list[Node]
    rows: list[Row]
    pod_cidr: str
    service_cidr: str
    restrict_sources: bool
    external_sources: list[str]
    external_clients: list[str]


@dataclass(frozen=True)
class Settings:
    """What holds for the whole cluster, as the user gave it."""

    pod_cidr: str
    service_cidr: str
    ports: Sequence[Mapping[str, Any]]
    extra_ports: Sequence[Mapping[str, Any]] = ()
    http_redirect: Any = True
    restrict_sources: Any = True
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
    interfaces: Optional[Mapping[str, Sequence[str]]] = field(default=None)
    """Interface name to its global addresses in CIDR form, or None where it was not asked."""
    connection_address: Optional[str] = None
    """The node's own address in the connection that Ansible came by."""
    silence: str = ""
    """Why the host did not answer when it was asked."""
    overlay_interfaces: Sequence[str] = OVERLAY_INTERFACES
    """The interfaces on which pods' packets arrive."""
    node_ip_source: str = "k3s_topology_node_ip"
    """Where the value comes from, as messages name it."""
    cluster_interface_source: str = "k3s_topology_cluster_interface"
    told: Mapping[str, str] = field(default_factory=dict)
    """What the inventory tells K3s of this host: its options and their values."""


class TopologyError(Exception):
    """The input can't be used. C(problems) names every mistake: variable, host and remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def judge_members(
    groups: Mapping[str, Sequence[str]],
    server_group: str,
    agent_group: str,
    without_servers: bool = False,
) -> list[tuple[str, str]]:
    """Return (host, SERVER or AGENT) for every node, in the order of the inventory.

    Raises TopologyError where there is no server, a group was named that does not exist,
    or a host is in both groups. Agents alone will do with C(without_servers).
    """
    problems = []
    known = ", ".join(sorted(name for name in groups if name not in ("all", "ungrouped"))) or "none"
    if server_group not in groups:
        problems.append(
            f"k3s_topology_server_group is '{server_group}', and the inventory has no such group "
            f"(it has: {known}); name the group that holds the K3s servers"
        )
    elif not groups[server_group] and not (without_servers and groups.get(agent_group)):
        problems.append(
            f"k3s_topology_server_group is '{server_group}', and that group is empty; "
            "a cluster needs at least one server"
        )
    # A cluster of servers alone needs no group of agents, unless the user named one.
    if agent_group not in groups and agent_group != AGENT:
        problems.append(
            f"k3s_topology_agent_group is '{agent_group}', and the inventory has no such group "
            f"(it has: {known}); name the group that holds the K3s agents"
        )
    servers = list(groups.get(server_group, ()))
    agents = list(groups.get(agent_group, ()))
    problems += [
        f"host {name}: it is in group '{server_group}' (k3s_topology_server_group) and in group "
        f"'{agent_group}' (k3s_topology_agent_group); keep it in one of them (a K3s server runs "
        "an agent of its own)"
        for name in servers
        if name in agents
    ]
    if problems:
        raise TopologyError(problems)
    return [(name, SERVER) for name in servers] + [(name, AGENT) for name in agents]


def judge_settings(settings: Settings) -> tuple[list[Row], list[str]]:
    """Return the rows in force and the problems of what holds for the whole cluster."""
    problems: list[str] = []
    rows = _judge_rows("k3s_topology_ports", settings.ports, problems)
    rows += _judge_rows("k3s_topology_extra_ports", settings.extra_ports, problems)
    seen: set[str] = set()
    for row in rows:
        if row["name"] in seen:
            problems.append(
                f"k3s_topology_ports and k3s_topology_extra_ports: the name '{row['name']}' "
                "stands twice; give each row a name of its own"
            )
        seen.add(row["name"])

    overlays: list[tuple[str, Network]] = []
    for variable, text in (
        (settings.pod_cidr_source, settings.pod_cidr),
        (settings.service_cidr_source, settings.service_cidr),
    ):
        network = _judge_cidr(variable, text, problems)
        if network is not None:
            overlays.append((variable, network))
    if len(overlays) == 2 and _overlap(overlays[0][1], overlays[1][1]):
        problems.append(
            f"{overlays[0][0]} ({overlays[0][1]}) and {overlays[1][0]} ({overlays[1][1]}) overlap; "
            "give pods and services networks of their own (K3s: --cluster-cidr, --service-cidr)"
        )
    sources = [
        _judge_cidr("k3s_topology_external_sources", text, problems)
        for text in settings.external_sources
    ]
    if any(network.prefixlen == 0 for network in _collapse(sources)):
        problems.append(
            f"k3s_topology_external_sources is {', '.join(map(str, settings.external_sources))}, "
            "which is everybody, and firewalld has no ipset for that; leave the list empty to "
            "admit anyone"
        )
    for variable, value in (
        ("k3s_topology_http_redirect", settings.http_redirect),
        ("k3s_topology_restrict_sources", settings.restrict_sources),
    ):
        if _boolean(value) is None:
            problems.append(f"{variable} is {value!r}; it is true or false")
    if _boolean(settings.http_redirect) is False:
        rows = [row for row in rows if not _is_http_redirect(row)]
    return rows, problems


def judge_hosts(settings: Settings, hosts: Sequence[Host]) -> list[str]:
    """Return the problems that the inventory alone shows, before any host is asked."""
    problems: list[str] = []
    owners: dict[str, list[str]] = defaultdict(list)
    for host in hosts:
        if host.mode not in MODES:
            problems.append(
                f"host {host.name}: k3s_topology_mode is '{host.mode}'; "
                f"it is one of: {', '.join(MODES)}"
            )
        elif host.mode == "segregated":
            for variable, value in (
                (host.cluster_interface_source, host.cluster_interface),
                ("k3s_topology_external_interface", host.external_interface),
            ):
                if not value:
                    problems.append(
                        f"host {host.name}: {variable} is not set; k3s_topology_mode 'segregated' "
                        "needs it: name the NIC"
                    )
            if host.cluster_interface and host.cluster_interface == host.external_interface:
                problems.append(
                    f"host {host.name}: {host.cluster_interface_source} and "
                    f"k3s_topology_external_interface are both '{host.cluster_interface}'; "
                    "name two NICs, or set k3s_topology_mode to 'shared'"
                )
        problems += _judge_overlay_interfaces(host)
        if host.node_ip is not None:
            address = _judge_address(host, problems)
            if address is not None:
                owners[address].append(host.name)
    problems += _judge_owners(owners)
    for host in hosts:
        if host.node_ip is not None:
            problems += _judge_overlay(settings, host.name, host.node_ip)
    return problems


def build(
    settings: Settings, hosts: Sequence[Host], external_clients: Iterable[str] = ()
) -> Topology:
    """Return the topology. Raises TopologyError with every problem of settings and hosts."""
    rows, problems = judge_settings(settings)
    problems += judge_hosts(settings, hosts)
    clients = list(external_clients)
    if EXTERNAL in {*clients, *(host.name for host in hosts)}:
        problems.append(
            f"host {EXTERNAL}: reports call the controller so, where it probes as a client outside "
            "(k3s_connectivity_probe_from_controller); give the host another inventory_hostname"
        )
    nodes: list[Node] = []
    if not problems:
        owners: dict[str, list[str]] = defaultdict(list)
        for host in hosts:
            node = _locate(host, settings, problems)
            if node is None:
                continue
            nodes.append(node)
            owners[node["address"]].append(node["name"])
            for text in _subnets(host, node):
                problems += _judge_overlay(settings, host.name, text)
        problems += _judge_owners(owners)
    if problems:
        raise TopologyError(list(dict.fromkeys(problems)))
    return Topology(
        nodes=nodes,
        rows=rows,
        pod_cidr=settings.pod_cidr,
        service_cidr=settings.service_cidr,
        restrict_sources=bool(_boolean(settings.restrict_sources)),
        external_sources=list(settings.external_sources),
        external_clients=clients,
    )


def find_node(topology: Topology, name: str) -> Node:
    """Return the node of that inventory name. Raises KeyError where there is none."""
    for node in topology["nodes"]:
        if node["name"] == name:
            return node
    raise KeyError(name)


def _judge_rows(
    variable: str, table: Sequence[Mapping[str, Any]], problems: list[str]
) -> list[Row]:
    rows: list[Row] = []
    for number, entry in enumerate(table, start=1):
        name = str(entry.get("name") or "") if isinstance(entry, Mapping) else ""
        where = f"{variable}: row {number}" + (f" ('{name}')" if name else "")
        if not isinstance(entry, Mapping):
            problems.append(
                f"{where} is no dictionary; give name, port, protocol, source, destination"
            )
            continue
        wrong = []
        if not name:
            wrong.append("has no name; give it one")
        first = last = 0
        try:
            first, last = _ports.parse_port(entry.get("port", ""))
        except ValueError as error:
            wrong.append(
                f"port {error}; give a number from {_ports.PORT_MIN} to {_ports.PORT_MAX}, or a "
                "range of such"
            )
        protocol = str(entry.get("protocol", "")).lower()
        if protocol not in PROTOCOLS:
            wrong.append(f"protocol is '{protocol}'; it is one of: {', '.join(PROTOCOLS)}")
        ends = {}
        for end, allowed in (("source", SOURCES), ("destination", NODE_GROUPS)):
            value = entry.get(end)
            members = [value] if isinstance(value, str) else value
            if (
                not isinstance(members, Sequence)
                or not members
                or any(member not in allowed for member in members)
            ):
                wrong.append(f"{end} is {value!r}; it is a list of: {', '.join(allowed)}")
                continue
            ends[end] = [member for member in allowed if member in members]
        if wrong:
            problems += [f"{where}: {text}" for text in wrong]
            continue
        rows.append(
            Row(
                name=name,
                first=first,
                last=last,
                protocol=protocol,
                source=ends["source"],
                destination=ends["destination"],
                purpose=str(entry.get("purpose") or ""),
            )
        )
    return rows


def _is_http_redirect(row: Row) -> bool:
    return (
        row["source"] == [EXTERNAL]
        and row["protocol"] == "tcp"
        and row["first"] == row["last"] == 80
    )


def _collapse(networks: Sequence[Optional[Network]]) -> list[Network]:
    collapsed: list[Network] = []
    v4 = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    v6 = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    collapsed += ipaddress.collapse_addresses(v4)
    collapsed += ipaddress.collapse_addresses(v6)
    return collapsed


def _boolean(value: Any) -> Optional[bool]:
    """Read a boolean as Ansible does, from a survey's text too; None where it is none."""
    try:
        return bool(boolean(value))
    except TypeError:
        return None


def _judge_cidr(variable: str, text: str, problems: list[str]) -> Optional[Network]:
    try:
        return ipaddress.ip_network(str(text))
    except ValueError as error:
        problems.append(f"{variable}: {error}; give a network such as 10.42.0.0/16")
        return None


def _judge_address(host: Host, problems: list[str]) -> Optional[str]:
    try:
        address = ipaddress.ip_address(str(host.node_ip))
    except ValueError:
        problems.append(
            f"host {host.name}: {host.node_ip_source} is '{host.node_ip}', which is no IP address; "
            "give the node's address on the cluster network, without a prefix length"
        )
        return None
    if (
        address.is_loopback
        or address.is_multicast
        or address.is_unspecified
        or address.is_link_local
    ):
        problems.append(
            f"host {host.name}: {host.node_ip_source} is {address}, which other nodes can't reach; "
            "give the node's address on the cluster network"
        )
        return None
    return str(address)


def _judge_overlay_interfaces(host: Host) -> list[str]:
    variable = f"host {host.name}: k3s_topology_overlay_interfaces"
    problems = [
        f"{variable} has '{name}', which is not the name of a network interface; give names such "
        f"as {', '.join(OVERLAY_INTERFACES[:2])}"
        for name in host.overlay_interfaces
        if not _INTERFACE.fullmatch(name) or name in (".", "..", "lo")
    ]
    if not host.overlay_interfaces:
        problems.append(
            f"{variable} is empty, so that no packet of a pod would be admitted; leave it unset "
            f"for {', '.join(OVERLAY_INTERFACES)}"
        )
    if host.mode == "segregated" and host.external_interface in host.overlay_interfaces:
        problems.append(
            f"{variable} has '{host.external_interface}', the external interface, on which anyone "
            "can send packets with a pod's address; name only interfaces of the cluster network"
        )
    return problems


def _judge_owners(owners: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"hosts {', '.join(names)}: they all have the address {address} (k3s_topology_node_ip, or "
        "the one found on k3s_topology_cluster_interface); give each node one of its own"
        for address, names in owners.items()
        if len(names) > 1
    ]


def _judge_overlay(settings: Settings, name: str, text: str) -> list[str]:
    """Name the overlay network that an address or subnet of a node lies in."""
    problems = []
    try:
        own: Network = ipaddress.ip_interface(text).network
    except ValueError:
        return []
    for variable, cidr in (
        (settings.pod_cidr_source, settings.pod_cidr),
        (settings.service_cidr_source, settings.service_cidr),
    ):
        try:
            overlay = ipaddress.ip_network(str(cidr))
        except ValueError:
            continue
        if _overlap(own, overlay):
            problems.append(
                f"host {name}: its address {text} lies in {variable} ({overlay}) or holds it; "
                "choose an overlay network that no NIC of a node uses"
            )
    return problems


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _bare(cidr: str) -> str:
    return str(ipaddress.ip_interface(cidr).ip)


def _first_address(addresses: Sequence[str]) -> Optional[str]:
    """K3s prefers IPv4, so an IPv6 address counts only where there is no other."""
    by_family = sorted(addresses, key=lambda text: ipaddress.ip_interface(text).version)
    return _bare(by_family[0]) if by_family else None


def _subnets(host: Host, node: Node) -> list[str]:
    if host.interfaces is None or node["cluster_interface"] is None:
        return []
    return list(host.interfaces.get(node["cluster_interface"], ()))


def _locate(host: Host, settings: Settings, problems: list[str]) -> Optional[Node]:
    """Find a node's interfaces and address, from the inventory first and then from the host."""
    if host.interfaces is None:
        if host.node_ip is None:
            problems.append(
                f"host {host.name}: its address can't be had: k3s_topology_node_ip is not set for "
                "it, and it did not answer when asked for its interfaces"
                + (f" ({host.silence})" if host.silence else "")
                + "; set k3s_topology_node_ip in the inventory, or make the host reachable, or "
                "take it out of the cluster's groups"
            )
            return None
        return _node(host, host.cluster_interface, host.node_ip, host.external_interface)

    names = ", ".join(sorted(host.interfaces)) or "none"
    missing = False
    for variable, interface in (
        (host.cluster_interface_source, host.cluster_interface),
        ("k3s_topology_external_interface", host.external_interface),
    ):
        if interface and interface not in host.interfaces:
            problems.append(
                f"host {host.name}: {variable} is '{interface}', and the host has no such "
                f"interface (it has: {names}); name one of these"
            )
            missing = True
    if missing:
        return None

    cluster_interface = host.cluster_interface
    address = host.node_ip and str(ipaddress.ip_address(host.node_ip))
    if address is None and cluster_interface is not None:
        address = _first_address(host.interfaces[cluster_interface])
        if address is None:
            problems.append(
                f"host {host.name}: {host.cluster_interface_source} '{cluster_interface}' has no "
                "global address; give the interface one, or name another"
            )
            return None
    if address is None:
        address = _unnamed_address(host, settings)
        if address is None:
            problems.append(
                f"host {host.name}: which of its interfaces ({names}) is on the cluster network "
                "can't be told; set k3s_topology_cluster_interface or k3s_topology_node_ip"
            )
            return None
    holders = [
        name
        for name, cidrs in host.interfaces.items()
        if address in [_bare(cidr) for cidr in cidrs]
    ]
    if not holders or (cluster_interface is not None and cluster_interface not in holders):
        where = (
            f"'{cluster_interface}'" if cluster_interface else f"none of its interfaces ({names})"
        )
        problems.append(
            f"host {host.name}: {host.node_ip_source} is {address}, and "
            + (f"{where} does not hold it" if cluster_interface else f"{where} holds it")
            + "; give an address of the cluster interface"
        )
        return None
    return _node(host, cluster_interface or holders[0], address, host.external_interface)


def _unnamed_address(host: Host, settings: Settings) -> Optional[str]:
    """Without a word of the user: the address Ansible came by, or that of the only NIC.

    Where Ansible came by IPv6, the first IPv4 address of that NIC, which K3s prefers.

    Never the default route's: a node without one has none, and once the dummy route is
    there it points to the dummy (ansible#74869).
    """
    interfaces = host.interfaces or {}
    for cidrs in interfaces.values():
        came_by = host.connection_address
        if came_by and came_by in [_bare(cidr) for cidr in cidrs]:
            # Of several IPv4 addresses the one that peers in its subnet see.
            first = ipaddress.ip_address(_first_address(cidrs) or came_by)
            return str(first) if first.version < ipaddress.ip_address(came_by).version else came_by
    # What K3s made (cni0, flannel.1) is no NIC of the cluster network.
    carrying = [cidrs for cidrs in interfaces.values() if cidrs]
    if len(carrying) > 1:
        carrying = [
            cidrs
            for cidrs in carrying
            if not all(_judge_overlay(settings, host.name, one) for one in cidrs)
        ]
    return _first_address(carrying[0]) if len(carrying) == 1 else None


def _node(
    host: Host, cluster_interface: Optional[str], address: str, external_interface: Optional[str]
) -> Node:
    external = external_interface or cluster_interface
    if external is None or external == cluster_interface:
        external_address: Optional[str] = address
    else:
        external_address = _first_address((host.interfaces or {}).get(external, ()))
    return Node(
        name=host.name,
        group=host.group,
        mode=host.mode,
        address=str(ipaddress.ip_address(address)),
        cluster_interface=cluster_interface,
        external_interface=external,
        external_address=external_address,
        overlay_interfaces=list(dict.fromkeys(host.overlay_interfaces)),
        k3s=dict(host.told),
    )
