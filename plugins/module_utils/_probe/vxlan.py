# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the way through a VXLAN overlay to a node, which proves the port that carries it.

Flannel holds its port and answers nobody, but a packet to an address behind it goes by that port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._host import iproute

Objects = Sequence[dict[str, Any]]
"""What iproute2 prints in JSON."""


@dataclass(frozen=True)
class Peer:
    """An address in the overlay, and the VXLAN device on this host that leads there."""

    address: str
    device: str
    mtu: int


def find(ask: iproute.Ask, endpoints: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Peer]:
    """Return the peer behind each address and UDP port, where a VXLAN of this host leads there."""
    found: dict[tuple[str, int], Peer] = {}
    for link in ask(["ip", "-json", "-details", "link", "show", "type", "vxlan"], ""):
        name, port = link.get("ifname", ""), vxlan_port(link)
        wanted = [address for address, asked in endpoints if asked == port]
        if not name or not wanted:
            continue
        forwarding = ask(["bridge", "-json", "fdb", "show", "dev", name], "")
        neighbours = ask(["ip", "-json", "neigh", "show", "dev", name], "")
        for address in wanted:
            behind = addresses_behind(address, forwarding, neighbours)
            if behind:
                found[address, port] = Peer(behind[0], name, link.get("mtu", 0))
    return found


def vxlan_port(link: dict[str, Any]) -> int:
    """Return the UDP port of a VXLAN device, 0 where it is none."""
    linkinfo = link.get("linkinfo", {})
    port = linkinfo.get("info_data", {}).get("port", 0)
    return int(port) if linkinfo.get("info_kind") == "vxlan" else 0


def addresses_behind(node: str, forwarding: Objects, neighbours: Objects) -> list[str]:
    """Return the IPv4 addresses in the overlay whose packets are sent to a node."""
    macs = {one.get("mac") for one in forwarding if one.get("dst") == node}
    return sorted(
        one["dst"]
        for one in neighbours
        if one.get("lladdr") in macs and ":" not in one.get("dst", ":")
    )
