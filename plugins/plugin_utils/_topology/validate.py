# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with members, networks and hosts of a cluster. Pure functions.

They validate the whole input at once, so that one run names every mistake.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Optional

from .model import (
    AGENT,
    MODES,
    OVERLAY_INTERFACES,
    SERVER,
    Host,
    Settings,
    TopologyError,
)
from .networks import Network, is_unusable, to_address, to_network

# The kernel's limit, less what no tool accepts in a name.
_INTERFACE = re.compile(r"[^\s/:+*]{1,15}")
_LONGEST = 15


def find_members(
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


def validate_clients(
    members: Sequence[tuple[str, str]], clients: Sequence[str], group: str
) -> list[str]:
    """Name the nodes that are external clients as well."""
    nodes = {name for name, _group in members}
    return [
        f"host {name}: it is a node of the cluster and in group '{group}' "
        "(k3s_topology_external_group), whose hosts stand for clients outside the cluster; remove "
        "it from one of them"
        for name in clients
        if name in nodes
    ]


def validate_hosts(hosts: Sequence[Host]) -> list[str]:
    """Return the problems of what only the inventory says of hosts."""
    problems: list[str] = []
    for host in hosts:
        if host.mode not in MODES:
            problems.append(
                f"host {host.name}: k3s_topology_mode is '{host.mode}'; "
                f"it is one of: {', '.join(MODES)}"
            )
        # The cluster interface may still be K3s's flannel-iface, which the node's files have.
        elif host.mode == "segregated" and not host.external_interface:
            problems.append(_lacks_nic(host, "k3s_topology_external_interface"))
            if not host.cluster_interface:
                problems.append(_lacks_nic(host, host.cluster_interface_source))
        problems += _validate_overlay_interfaces(host)
        if host.external_address is not None:
            variable = "k3s_topology_external_address"
            where = "the network of external clients"
            _validate_address(host, variable, host.external_address, where, problems)
    return problems


def _lacks_nic(host: Host, variable: str, besides: str = "") -> str:
    return (
        f"host {host.name}: {variable} is not set{besides}; k3s_topology_mode 'segregated' needs "
        "it: name the NIC"
    )


def validate_resolved(
    settings: Settings, hosts: Sequence[Host], nodes_are_read: bool = True
) -> list[str]:
    """Return the problems of what K3s's settings may have decided: networks, NICs and addresses.

    C(nodes_are_read) tells whether the settings are those of the nodes' files as well.
    """
    problems: list[str] = []
    overlays: list[tuple[str, Network]] = []
    for variable, text in (
        (settings.pod_cidr_source, settings.pod_cidr),
        (settings.service_cidr_source, settings.service_cidr),
    ):
        network = to_network(variable, text, problems)
        if network is not None:
            overlays.append((variable, network))
    if len(overlays) == 2 and _overlap(overlays[0][1], overlays[1][1]):
        problems.append(
            f"{overlays[0][0]} ({overlays[0][1]}) and {overlays[1][0]} ({overlays[1][1]}) overlap; "
            "give pods and services networks of their own (K3s: --cluster-cidr, --service-cidr)"
        )
    owners: dict[str, list[str]] = defaultdict(list)
    for host in hosts:
        if host.mode == "segregated" and not host.cluster_interface and nodes_are_read:
            besides = ""
            if host.interfaces is None:
                reason = f" ({host.unreachable_reason})" if host.unreachable_reason else ""
                besides = f", and its files could not be read for K3s's flannel-iface{reason}"
            problems.append(_lacks_nic(host, host.cluster_interface_source, besides))
        if (
            host.mode == "segregated"
            and host.cluster_interface
            and host.cluster_interface == host.external_interface
        ):
            problems.append(
                f"host {host.name}: {host.cluster_interface_source} and "
                f"k3s_topology_external_interface are both '{host.cluster_interface}'; "
                "name two NICs, or set k3s_topology_mode to 'shared'"
            )
        if host.node_ip is not None:
            address = _validate_address(
                host, host.node_ip_source, host.node_ip, "the cluster network", problems
            )
            if address is not None:
                owners[address].append(host.name)
            problems += overlaps(settings, host.name, host.node_ip)
    return problems + shared_addresses(owners)


def _validate_address(
    host: Host, variable: str, value: str, where: str, problems: list[str]
) -> Optional[str]:
    try:
        address = str(to_address(value))
    except ValueError as error:
        problems.append(
            f"host {host.name}: {variable} is '{value}', which {error}; give the node's "
            f"address on {where}, without a prefix length"
        )
        return None
    if is_unusable(address):
        problems.append(
            f"host {host.name}: {variable} is {address}, which other nodes can't reach; give the "
            f"node's address on {where}"
        )
        return None
    return address


def _is_interface(name: str) -> bool:
    return (
        _INTERFACE.fullmatch(name) is not None
        and name.isprintable()
        # The kernel counts bytes.
        and len(name.encode(errors="replace")) <= _LONGEST
        and name not in (".", "..", "lo")
    )


def _validate_overlay_interfaces(host: Host) -> list[str]:
    variable = f"host {host.name}: k3s_topology_overlay_interfaces"
    problems = [
        f"{variable} has '{name}', which is not the name of a network interface; give names such "
        f"as {', '.join(OVERLAY_INTERFACES[:2])}"
        for name in host.overlay_interfaces
        if not _is_interface(name)
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


def shared_addresses(owners: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the hosts that share an address; C(owners) are the hosts by address."""
    return [
        f"hosts {', '.join(names)}: they all have the address {address} (k3s_topology_node_ip, "
        "K3s's node-ip, or the one found on k3s_topology_cluster_interface); give each node one of "
        "its own"
        for address, names in owners.items()
        if len(names) > 1
    ]


def overlaps(settings: Settings, name: str, text: str) -> list[str]:
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
