# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the address that a node reports with the one to which Ansible connects. Pure functions.

The other nodes open ports to a node's address, so a node must not choose it freely. Only the
inventory and the controller's own knowledge count against what the node reports.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Optional

from .facts import to_address
from .model import Host, Node
from .networks import is_unusable

SSH_PLUGINS = (
    "smart",
    "ssh",
    "paramiko",
    "paramiko_ssh",
    "ansible.builtin.ssh",
    "ansible.builtin.paramiko_ssh",
    "ansible.legacy.ssh",
    "ansible.legacy.paramiko_ssh",
)
"""The connection plugins that connect to the address of a host."""


def resolve_targets(
    targets: Mapping[str, str],
    wanted: Collection[str],
    look_up: Callable[[Sequence[str]], Sequence[Sequence[str]]],
) -> dict[str, list[str]]:
    """Return the addresses of hosts that are known.

    An address that each machine has for itself, as 127.0.0.1 for a forwarded port or 127.0.1.1 for
    the own name, tells nothing about a node.

    Args:
        targets: What Ansible connects to, a name or an address, by host.
        wanted: The hosts whose names are resolved. An address needs no resolver.
        look_up: Resolves names, each of them once.
    """
    texts = {name: to_address(target) for name, target in targets.items()}
    names = {targets[name]: None for name in texts if texts[name] is None and name in wanted}
    resolved = dict(zip(names, look_up(list(names)))) if names else {}
    found = {}
    for name, text in texts.items():
        given = [text] if text else map(to_address, resolved.get(targets[name], ()))
        usable = dict.fromkeys(one for one in given if one and not is_unusable(one))
        if usable:
            # IPv4 first, as K3s prefers it.
            found[name] = sorted(usable, key=lambda one: ":" in one)
    return found


def reports_its_address(host: Host) -> bool:
    """Tell whether a host's address is what the host reports, and not what the inventory says."""
    return host.interfaces is not None and (host.node_ip is None or host.node_ip_is_reported)


def with_connection(host: Host, problems: list[str]) -> Optional[Host]:
    """Return a host with the address of Ansible's connection. None if the host contradicts it.

    A node may not know the connection: its C(connection_address) is the one that the controller
    knows then.
    """
    known = host.ssh_addresses
    if not known or not reports_its_address(host):
        return host
    reported = host.connection_address
    if reported is not None and reported not in known:
        problems.append(_not_verified(host, f"the node reports a connection to {reported}"))
        return None
    held = _held(host)
    address = next((one for one in (reported, *known) if one in held), None)
    if address is None:
        problems.append(_not_verified(host, "no interface that the node reports has this address"))
        return None
    return replace(host, connection_address=address)


def verify_address(
    host: Host, node: Node, neighbors: Mapping[str, Sequence[str]], problems: list[str]
) -> None:
    """Add a problem if the address that a host reports cannot be its own.

    Args:
        host: As with_connection() returns it.
        node: What locate() makes of the host.
        neighbors: The hosts by the addresses to which Ansible connects, of connected_hosts().
        problems: Gets the messages.
    """
    address = node["address"]
    known = host.ssh_addresses
    if not reports_its_address(host) or address in known:
        return
    other = next((name for name in neighbors.get(address, ()) if name != host.name), None)
    if other is not None:
        problems.append(
            f"host {host.name}: its address is {address}, to which Ansible connects as host "
            f"{other}, so the other nodes would open the ports for host {host.name} to {other}; "
            f"set k3s_topology_node_ip to the address of host {host.name}, and find out why the "
            "node reports this one"
        )
    # K3s's files may name any address of a node, and another NIC has another address.
    elif (
        known
        and host.node_ip is None
        and host.connection_address in _held(host, node["cluster_interface"])
    ):
        problems.append(
            _not_verified(host, f"the node reports {address} on {node['cluster_interface']}")
        )


def connected_hosts(
    hosts: Sequence[Host], clients: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the hosts by the addresses to which Ansible connects, external clients included."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, addresses in [*((one.name, one.ssh_addresses) for one in hosts), *clients.items()]:
        for address in addresses:
            found[address].append(name)
    return found


def _held(host: Host, interface: Optional[str] = None) -> set[str]:
    """Return the addresses that a host reports, of all interfaces or of one."""
    return {
        str(ipaddress.ip_interface(cidr).ip)
        for name, cidrs in (host.interfaces or {}).items()
        if interface in (None, name)
        for cidr in cidrs
    }


def _not_verified(host: Host, reported: str) -> str:
    return (
        f"host {host.name}: Ansible connects to {' or '.join(host.ssh_addresses)}, and {reported}, "
        "so the node's address can't be verified, and the other nodes would open their ports to "
        "it; set k3s_topology_node_ip for this host, or find out why the node reports this (NAT "
        "and SSH aliases are possible causes, and so is a compromised node)"
    )
