# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates networks and addresses that a user gives. Pure functions."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Optional, Union

from .model import Settings

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_EXAMPLES = {4: "10.42.0.0/16", 6: "fd42::/56"}
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
# An address, and a network without a host.
_SMALLEST = {4: 30, 6: 126}


def to_network(variable: str, text: str, problems: list[str]) -> Optional[Network]:
    """Return the network of pods or services. What is wrong with it becomes a problem."""
    network = _network(variable, text, problems, _EXAMPLES[4])
    if network is None:
        return None
    if network.prefixlen == 0:
        problems.append(
            f"{variable} is {text}, which holds every address; give a network such as "
            f"{_EXAMPLES[network.version]}"
        )
        return None
    if "/" not in text or network.prefixlen > _SMALLEST[network.version]:
        problems.append(
            f"{variable} is {text}, which is a single address; give a network such as "
            f"{_EXAMPLES[network.version]}"
        )
        return None
    return network


def to_source(variable: str, text: str, problems: list[str]) -> Optional[Network]:
    """Return the network or address of external clients. What is wrong becomes a problem."""
    return _network(variable, text, problems, "192.0.2.0/24")


def _network(variable: str, text: str, problems: list[str], example: str) -> Optional[Network]:
    try:
        network = ipaddress.ip_network(text, strict=False)
        address = ipaddress.ip_interface(text).ip
    except ValueError:
        problems.append(
            f"{variable} has '{text}', which is not a network; give a network such as {example}"
        )
        return None
    prefix = text.partition("/")[2]
    if (prefix and prefix != str(network.prefixlen)) or "%" in text:
        problems.append(
            f"{variable} has '{text}', whose prefix length is not a plain number; give {network}"
            if "%" not in text
            else f"{variable} has '{text}' with a zone; give a network such as {example}"
        )
        return None
    if address != network.network_address:
        problems.append(
            f"{variable} is {text}, which is an address within a network (it has host bits set); "
            f"give the network, which is {network}"
        )
        return None
    if network.prefixlen and _is_nonsense(network):
        problems.append(
            f"{variable} is {text}, a range from which no packet of another host comes; give a "
            f"network such as {example}"
        )
        return None
    return network


def _is_nonsense(network: Network) -> bool:
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return True
    if isinstance(network, ipaddress.IPv4Network) and network.subnet_of(_THIS_NETWORK):
        return True
    return (
        network.is_loopback
        or network.is_multicast
        or network.is_link_local
        or (network.version == 4 and network.is_reserved)
    )


def to_address(text: str) -> Address:
    """Return an address that other hosts can reach.

    Raises ValueError, whose text follows the value in a message.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("is no IP address") from None
    if "%" in text:
        raise ValueError("has a zone, which means nothing to other hosts")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        raise ValueError(f"is an IPv4 address in the form of IPv6; write {mapped}")
    return address


def is_unusable(text: str) -> bool:
    """Tell whether an address is one that no other host can reach a node at."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return True
    return (
        address.is_loopback
        or address.is_multicast
        or address.is_unspecified
        or address.is_link_local
        # 240.0.0.0/4 with the broadcast address.
        or (address.version == 4 and address.is_reserved)
        or (address.version == 4 and address in _THIS_NETWORK)
    )


def compare_families(settings: Settings, addresses: Mapping[str, Sequence[str]]) -> list[str]:
    """Name networks and addresses of another IP version than the nodes have.

    Args:
        settings: Those of the cluster. What is not valid has a problem of its own.
        addresses: Names of nodes by address, as far as they are known.
    """
    nodes: dict[int, list[str]] = defaultdict(list)
    for text, names in addresses.items():
        version = _version(text)
        if version:
            nodes[version] += names
    networks = {
        f"{source} ({cidr})": _version(cidr)
        for source, cidr in (
            (settings.pod_cidr_source, settings.pod_cidr),
            (settings.service_cidr_source, settings.service_cidr),
        )
    }
    problems = []
    if len(nodes) > 1:
        problems.append(
            f"hosts {', '.join(sorted(nodes[4]))} have IPv4 addresses and "
            f"{', '.join(sorted(nodes[6]))} have IPv6 addresses; give all nodes addresses of one "
            "version (k3s_topology_node_ip)"
        )
        return problems
    found = {version for version in networks.values() if version}
    if len(found) > 1:
        problems.append(
            f"{' and '.join(networks)} are not of one IP version; K3s needs the same version for "
            "pods, services and nodes: give both as IPv4 or both as IPv6"
        )
        return problems
    for version, names in nodes.items():
        other = 10 - version
        if found == {other}:
            problems.append(
                f"{' and '.join(networks)} are IPv{other}, and the nodes have IPv{version} "
                f"addresses (such as {sorted(names)[0]}); K3s needs the same version for pods, "
                f"services and nodes: give networks such as {_EXAMPLES[version]}"
            )
        sources = {_version(one) for one in settings.external_sources}
        if sources == {other}:
            problems.append(
                f"k3s_topology_external_sources has only IPv{other} networks, and the nodes have "
                f"IPv{version} addresses, so that no external client would be admitted; give "
                f"IPv{version} networks, or leave the list empty"
            )
    return problems


def _version(text: str) -> int:
    try:
        return ipaddress.ip_interface(text).version
    except ValueError:
        return 0
