# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host's address and interfaces come from: the inventory first, then the host itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Optional

from .model import (
    Host,
    Node,
    Settings,
)
from .validate import overlaps


def _bare(cidr: str) -> str:
    return str(ipaddress.ip_interface(cidr).ip)


def _first_address(addresses: Sequence[str]) -> Optional[str]:
    """K3s prefers IPv4, so an IPv6 address counts only where there is no other."""
    by_family = sorted(addresses, key=lambda text: ipaddress.ip_interface(text).version)
    return _bare(by_family[0]) if by_family else None


def subnets(host: Host, node: Node) -> list[str]:
    """Return the addresses of a node's cluster interface in CIDR form, if they are known."""
    if host.interfaces is None or node["cluster_interface"] is None:
        return []
    return list(host.interfaces.get(node["cluster_interface"], ()))


def locate(host: Host, settings: Settings, problems: list[str]) -> Optional[Node]:
    """Find a node's interfaces and address, from the inventory first and then from the host."""
    if host.interfaces is None:
        if host.node_ip is None:
            problems.append(
                f"host {host.name}: its address can't be had: k3s_topology_node_ip is not set for "
                "it, and it did not answer when asked for its interfaces"
                + (f" ({host.unreachable_reason})" if host.unreachable_reason else "")
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
            if not all(overlaps(settings, host.name, one) for one in cidrs)
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
        k3s=dict(host.k3s),
    )
