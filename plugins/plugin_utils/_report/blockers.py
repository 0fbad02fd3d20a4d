# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What on a node drops or admits a packet, from what the node returned. Pure functions."""

from __future__ import annotations

from typing import Optional

from .._topology.model import Node
from .firewall_findings import PREPARE, sentences
from .firewalls import RUNTIME, Firewall, PacketFilter

_DROPPING = ("DROP", "REJECT", "%%REJECT%%")
_NAMED = 3
# Where a packet to the node itself passes.
_HOOKS = ("ingress", "prerouting", "input")


def blocker(firewall: Firewall, host: str, source_address: Optional[str]) -> str:
    """Return what on a host drops packets that should be admitted, and what to do.

    Args:
        firewall: What the host returned.
        host: Its inventory name.
        source_address: The address that the packets come from, if it is known.

    Returns:
        A cause and a remedy, or an empty text if nothing on the host is known to drop them. The
        playbook prepare is named only if it would change something.
    """
    if firewall.running and firewall.differences and not firewall.prepared:
        return f"firewalld on {host} is not prepared for K3s: {PREPARE}"
    wrong = _wrong(firewall)
    if wrong:
        return f"on {host}, {wrong}: {PREPARE}"
    total, partial = _filters(firewall)
    if total:
        return _dropped_by(total, host)
    zone = firewall.zone_of_source(source_address) if source_address else ""
    if zone and firewall.zones[zone].target in _DROPPING:
        return (
            f"zone {zone} of firewalld on {host} drops packets from {source_address}: firewall-cmd "
            f"--zone={zone} --remove-source=SOURCE, and the same with --permanent (firewall-cmd "
            f"--zone={zone} --list-sources)"
        )
    return _dropped_by(partial, host) if partial else ""


def nothing_found(firewall: Firewall, host: str) -> str:
    """Return what remains to be checked if nothing on a host is known to drop packets."""
    state = "is as prepare configures it" if firewall.running else "does not run"
    return (
        f"firewalld on {host} {state}, and no other packet filter was found there. Check rules of "
        f"your own on {host} (firewall-cmd --list-all-zones, nft list ruleset), and what is "
        "between the hosts: firewalls of routers, security groups, switches"
    )


def opener(firewall: Firewall, node: Node, address: str, port: int, protocol: str) -> str:
    """Return what on a node admits packets that should not be, and what to do, if it is known."""
    host = node["name"]
    if firewall.problem:
        return ""
    if not firewall.running:
        return (
            f"firewalld does not run on {host}, so that it filters nothing: systemctl enable --now "
            "firewalld"
        )
    inside = address == node["address"]
    interface = node["cluster_interface"] if inside else node["external_interface"]
    zone = firewall.zone_of(interface)
    for one in firewall.openings:
        if one.opens(port, protocol) and (one.kind == "policy" or one.name == zone):
            options = f"--{one.kind}={one.name} --remove-{one.option}"
            return (
                f"{one.kind} {one.name} of firewalld on {host} opens it ({one.option}): "
                f"firewall-cmd {options}, and the same with --permanent"
            )
    wrong = _wrong(firewall)
    if wrong and firewall.prepared:
        return f"on {host}, {wrong}: {PREPARE}"
    if zone in firewall.zones and firewall.zones[zone].target == "ACCEPT":
        return (
            f"zone {zone} of firewalld on {host} accepts all packets: firewall-cmd --permanent "
            f"--zone={zone} --set-target=default; firewall-cmd --reload"
        )
    return ""


def _wrong(firewall: Firewall) -> str:
    """Return which objects are not in force as the topology wants them, empty if all are."""
    running = [one for one in firewall.differences if one.configuration == RUNTIME]
    return _named(sentences(running)) if firewall.running else ""


def _filters(firewall: Firewall) -> tuple[list[PacketFilter], list[PacketFilter]]:
    """Return the packet filters that drop everything, and those that drop something."""
    filters = [one for one in firewall.packet_filters if one.hook in _HOOKS]
    return (
        [one for one in filters if one.drops_all],
        [one for one in filters if not one.drops_all],
    )


def _dropped_by(filters: list[PacketFilter], host: str) -> str:
    return _named([describe(one) for one in filters]) + f" on {host}"


def _named(texts: list[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more


def describe(one: PacketFilter) -> str:
    """Return a name of a packet filter by which a person finds it."""
    return f"chain {one.chain} of table {one.family} {one.table} ({one.tool}: {one.rule})"
