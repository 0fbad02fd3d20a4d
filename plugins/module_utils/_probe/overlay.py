# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the path through Flannel's overlay to a node, which proves the port that carries it.

The kernel holds the port of VXLAN and of WireGuard and does not answer there, but a packet to an
address behind it goes by that port.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._host import iproute, wireguard

Objects = Sequence[dict[str, Any]]
"""What iproute2 prints in JSON."""
Endpoint = tuple[str, int]
"""An address and a UDP port."""

WIREGUARD_DEVICES = ("flannel-wg", "flannel-wg-v6")
"""The names that Flannel gives its devices (pkg/backend/wireguard/wireguard.go).

A peer of another device need not hold the first address of its networks.
"""
HANDSHAKE_SECONDS = 6.0
"""How long WireGuard may take for the first packet: it repeats a lost handshake after 5 seconds."""


@dataclass(frozen=True)
class Peer:
    """An address in the overlay, and the device on this host that leads there."""

    address: str
    device: str
    mtu: int

    @property
    def is_wireguard(self) -> bool:
        """Whether WireGuard carries the packets, and not VXLAN."""
        return self.device in WIREGUARD_DEVICES


def find(
    ask: iproute.Ask,
    endpoints: Sequence[Endpoint],
    peers: Callable[[str], list[wireguard.Peer]] = wireguard.peers,
) -> dict[Endpoint, Peer]:
    """Return the peer behind each address and UDP port that a device of this host sends to."""
    wanted: dict[int, list[str]] = defaultdict(list)
    for address, port in endpoints:
        wanted[port].append(address)
    return {**_by_vxlan(ask, wanted), **_by_wireguard(ask, wanted, peers)}


def _by_vxlan(ask: iproute.Ask, wanted: dict[int, list[str]]) -> dict[Endpoint, Peer]:
    found: dict[Endpoint, Peer] = {}
    for link in ask(["ip", "-json", "-details", "link", "show", "type", "vxlan"], ""):
        name, port = link.get("ifname", ""), vxlan_port(link)
        if not name or port not in wanted:
            continue
        forwarding = ask(["bridge", "-json", "fdb", "show", "dev", name], "")
        neighbours = ask(["ip", "-json", "neigh", "show", "dev", name], "")
        for address in wanted[port]:
            behind = addresses_behind(address, forwarding, neighbours)
            if behind:
                found[address, port] = Peer(behind[0], name, link.get("mtu", 0))
    return found


def _by_wireguard(
    ask: iproute.Ask,
    wanted: dict[int, list[str]],
    peers: Callable[[str], list[wireguard.Peer]],
) -> dict[Endpoint, Peer]:
    found: dict[Endpoint, Peer] = {}
    for link in ask(["ip", "-json", "link", "show"], ""):
        name = link.get("ifname", "")
        if name not in WIREGUARD_DEVICES:
            continue
        behind = {one.endpoint: first_address(one) for one in peers(name) if one.endpoint}
        for port, addresses in wanted.items():
            for address in addresses:
                inside = behind.get((str(ipaddress.ip_address(address)), port))
                if inside is not None:
                    found[address, port] = Peer(inside, name, link.get("mtu", 0))
    return found


def vxlan_port(link: dict[str, Any]) -> int:
    """Return the UDP port of a VXLAN device, 0 if it is another device."""
    linkinfo = link.get("linkinfo", {})
    port = linkinfo.get("info_data", {}).get("port", 0)
    return int(port) if linkinfo.get("info_kind") == "vxlan" else 0


def addresses_behind(node: str, forwarding: Objects, neighbours: Objects) -> list[str]:
    """Return the addresses in the overlay whose packets are sent to a node, of its own family."""
    known = ipaddress.ip_address(node)
    macs = {one.get("mac") for one in forwarding if one.get("dst") == str(known)}
    return sorted(
        one["dst"]
        for one in neighbours
        if one.get("lladdr") in macs and _is_inside(one.get("dst", ""), known.version)
    )


def first_address(peer: wireguard.Peer) -> Optional[str]:
    """Return the address that a node's Flannel gives its WireGuard device.

    It is the first one of the node's pod network, and that network is what the peer carries.
    """
    for network in peer.allowed:
        if network.prefixlen:
            return str(network.network_address)
    return None


def _is_inside(address: str, version: int) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # Each IPv6 interface has a link-local address, which says nothing of the pod network.
    return parsed.version == version and not parsed.is_link_local
