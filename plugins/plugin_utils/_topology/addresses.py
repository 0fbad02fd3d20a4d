# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host's address and interfaces come from: the inventory first, then the host itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Optional, Union

from .model import (
    Host,
    Node,
    Settings,
)
from .networks import is_unusable
from .validate import overlaps


def _bare(cidr: str) -> str:
    return str(ipaddress.ip_interface(cidr).ip)


def _candidates(addresses: Sequence[str]) -> list[str]:
    """Return the addresses that may be the node's, of one family: K3s prefers IPv4.

    IPv4 addresses without a subnet are left out if there are others. Such are virtual IPs
    (kube-vip, keepalived), which another host may hold tomorrow. In IPv6, DHCP gives such as well.
    """
    usable = [one for one in map(ipaddress.ip_interface, addresses) if not is_unusable(str(one.ip))]
    family = min((one.version for one in usable), default=4)
    own = [one for one in usable if one.version == family]
    real = [one for one in own if one.version == 6 or not _is_single(one)]
    return [str(one.ip) for one in real or own]


def _is_single(interface: Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]) -> bool:
    """Tell whether an address has no subnet."""
    return interface.network.prefixlen == interface.max_prefixlen


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
    if address is None:
        cluster_interface = cluster_interface or _nic(host, settings)
        if cluster_interface is None:
            problems.append(
                f"host {host.name}: which of its interfaces ({names}) is on the cluster network "
                "can't be told; set k3s_topology_cluster_interface or k3s_topology_node_ip"
            )
            return None
        address = _derived_address(host, cluster_interface, problems)
        if address is None:
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
    external_interface = host.external_interface or cluster_interface or holders[0]
    held = [_bare(cidr) for cidr in host.interfaces[external_interface]]
    if host.external_address is not None and (
        str(ipaddress.ip_address(host.external_address)) not in held
    ):
        problems.append(
            f"host {host.name}: k3s_topology_external_address is {host.external_address}, and "
            f"{external_interface} does not hold it (it has: {', '.join(held) or 'none'}); give an "
            "address of the interface that external clients reach"
        )
        return None
    return _node(host, cluster_interface or holders[0], address, host.external_interface)


def _nic(host: Host, settings: Settings) -> Optional[str]:
    """Return the NIC to which Ansible is connected, or else the only one with an address.

    Never the default route's: a node without one has none, and once the dummy route is
    there it points to the dummy (ansible#74869).
    """
    interfaces = host.interfaces or {}
    for name, cidrs in interfaces.items():
        if host.connection_address in [_bare(cidr) for cidr in cidrs]:
            return name
    # An address without a subnet alone may be a virtual one.
    carrying = [
        name
        for name, cidrs in interfaces.items()
        if name not in host.dummies and not all(map(_is_single, map(ipaddress.ip_interface, cidrs)))
    ]
    if len(carrying) > 1:
        # What K3s made (cni0, flannel.1) is no NIC of the cluster network.
        carrying = [
            name
            for name in carrying
            if not all(overlaps(settings, host.name, one) for one in interfaces[name])
        ]
    return carrying[0] if len(carrying) == 1 else None


def _derived_address(host: Host, interface: str, problems: list[str]) -> Optional[str]:
    """Return the address on a NIC to which Ansible is connected, or else its only one."""
    cidrs = (host.interfaces or {})[interface]
    found = _candidates(cidrs)
    came_by = host.connection_address
    if came_by in found:
        return came_by
    where = f"host {host.name}: its interface {interface}"
    if not found:
        problems.append(
            f"{where} has only addresses that other nodes can't reach ({', '.join(cidrs)}); set "
            "k3s_topology_node_ip"
            if cidrs
            else f"host {host.name}: {host.cluster_interface_source} '{interface}' has no global "
            "address; give the interface one, or name another"
        )
        return None
    if came_by in [_bare(cidr) for cidr in cidrs] and ":" not in f"{came_by}{found[0]}":
        # Ansible is connected to one without a subnet, and the NIC has others.
        found = [str(came_by), *found]
    if len(found) == 1:
        return found[0]
    problems.append(
        f"{where} has several addresses ({', '.join(found)}), and which of them is the node's own "
        "can't be told; set k3s_topology_node_ip to the one that K3s uses"
    )
    return None


def _node(
    host: Host, cluster_interface: Optional[str], address: str, external_interface: Optional[str]
) -> Node:
    external = external_interface or cluster_interface
    external_address: Optional[str]
    if host.external_address is not None:
        external_address = host.external_address
    elif external is None or external == cluster_interface:
        external_address = address
    else:
        cidrs = (host.interfaces or {}).get(external, ())
        external_address = next(iter(_candidates(cidrs)), None)
    return Node(
        name=host.name,
        group=host.group,
        mode=host.mode,
        address=str(ipaddress.ip_address(address)),
        cluster_interface=cluster_interface,
        external_interface=external,
        external_address=external_address and str(ipaddress.ip_address(external_address)),
        overlay_interfaces=list(dict.fromkeys(host.overlay_interfaces)),
        k3s=dict(host.k3s),
    )
