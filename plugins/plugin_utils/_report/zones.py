# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which zone of firewalld a packet takes, and whether that zone drops it. Pure functions.

A packet takes one zone, and sources come before interfaces. What that means for policies depends on
firewalld's version (firewall/core/nftables.py): before 2.0 a zone asks all policies of the packet's
interface before it drops by its target; since 2.0 only those that name the zone, or ANY.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Optional

from .._firewall_rules import ZONE_CLUSTER, ZONE_EXTERNAL
from .firewalls import Difference, Firewall

DROPPING = ("DROP", "REJECT", "%%REJECT%%")
"""Targets that drop packets."""
# The first version whose zones ask only the policies that name them.
_SELECTIVE = 2


@dataclass(frozen=True)
class Packet:
    """A packet to a node."""

    address: str
    """The address of the node that it is for."""
    port: int
    protocol: str
    interface: Optional[str]
    """The interface of the node on which it arrives, if it is known."""
    from_node: bool
    source_address: Optional[str] = None
    """The address that it comes from, if it is known."""
    by_policy: bool = True
    """Whether a policy of this collection admits it; otherwise the interface's zone does."""

    @property
    def version(self) -> int:
        """Return the version of IP."""
        return ipaddress.ip_address(self.address).version


def zone_of(firewall: Firewall, packet: Packet) -> tuple[str, str]:
    """Return the zone of a packet, and the source by which it has it, if it is not by interface."""
    if packet.source_address:
        zone, source = firewall.zone_of_source(packet.source_address)
        if zone:
            return zone, source
    return firewall.zone_of(packet.interface), ""


def possible_zones(firewall: Firewall, packet: Packet) -> list[tuple[str, str]]:
    """Return the zones that may have a packet by a source, and that source."""
    if not packet.source_address:
        return []
    return list(firewall.possible_zones_of_source(packet.source_address))


def accepts_all(firewall: Firewall, zone: str) -> bool:
    """Return whether a zone accepts all packets."""
    return zone in firewall.zones and firewall.zones[zone].target == "ACCEPT"


def opens(firewall: Firewall, zone: str, packet: Packet) -> bool:
    """Return whether a zone of the user opens the port of a packet, or may do so."""
    return any(
        one.kind == "zone" and one.name == zone and one.opens(packet.port, packet.protocol)
        for one in firewall.openings
    ) or any(
        rule.kind == "zone"
        and rule.name == zone
        and rule.accepts
        and rule.matches(packet.port, packet.protocol, packet.source_address, packet.version)
        for rule in firewall.rich_rules
    )


def drops(firewall: Firewall, zone: str, packet: Packet) -> Optional[bool]:
    """Return whether the zone of a packet's source drops it by its target, None if it may.

    The policies of this collection are taken to be in force.
    """
    if accepts_all(firewall, zone) or opens(firewall, zone, packet):
        return False
    major = firewall.major
    if major is None or firewall.refused:
        return None
    if not packet.by_policy:
        # firewalld 0.9 may ask the interface's zone as well (AllowZoneDrifting).
        return None if major == 0 else True
    segregated = firewall.zone_of(packet.interface) in (ZONE_CLUSTER, ZONE_EXTERNAL)
    if major < _SELECTIVE or not segregated:
        return False
    if firewall.zones[zone].target in DROPPING:
        return True
    # prepare adds the zone to the policy if a rule names an address of it.
    return False if packet.from_node else None


def is_harmless(
    firewall: Firewall, difference: Difference, nics: Collection[Optional[str]]
) -> bool:
    """Return whether a policy lacks only zones of sources, which its packets do not need.

    C(nics) are the interfaces of the node.
    """
    zones = [firewall.zones.get(name) for name in difference.missing_zones]
    return (
        bool(zones)
        and firewall.major is not None
        and firewall.major < _SELECTIVE
        and all(
            zone is not None and zone.sources and not set(nics) & set(zone.interfaces)
            for zone in zones
        )
    )
