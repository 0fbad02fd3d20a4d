# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conditions of a node's firewalld that the user should know of. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .model import Key, Record, State, Target
from .plan import addresses_named, overlaps

_NAME_PREFIX = "k3s-"


def adopted_objects(state: State, target: Target, record: Record) -> list[str]:
    """Name objects that this run adopts, since they equal what it would create."""
    adopted = sorted(
        f"{kind} {name}"
        for kind, name in target.record.objects - record.objects
        if (kind, name) in state.permanent
    )
    if not adopted:
        return []
    return [
        "The state file does not list these firewalld objects, and they equal what this collection "
        f"creates: {', '.join(adopted)}. They are recorded as created by it from now on, and "
        "remove deletes them"
    ]


def left_objects(keys: Collection[Key], record: Record) -> list[str]:
    """Name objects with names like ours that a removal leaves, since others created them."""
    left = sorted(
        f"{kind} {name}"
        for kind, name in keys
        if name.startswith(_NAME_PREFIX) and (kind, name) not in record.objects
    )
    if not left:
        return []
    return [
        f"These firewalld objects stay, since the state file does not list them as created by this "
        f"collection: {', '.join(left)}. Delete them with firewall-cmd if they are not yours"
    ]


def generated_profiles(record: Record) -> list[str]:
    """Name profiles that software generates at each boot, which then lack the zone."""
    return [
        f"The connection profile of {interface}, {former.profile.path}, is generated at each boot, "
        "for example by netplan, and replaces the zone that this run sets. Set connection.zone "
        "where the profile is generated (netplan: networkmanager, passthrough), or run prepare "
        "after each boot"
        for interface, former in sorted(record.bindings.items())
        if former.profile is not None and former.profile.path.startswith("/run/")
    ]


def shadowing_zones(state: State, wanted: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Name zones of the user's whose sources take packets before the zone of their interface.

    firewalld looks for a zone by source address first.
    """
    found = []
    in_zones = {zone["name"] for zone in (*wanted["zones"], *wanted["overlay_zones"])}
    overlay = {zone["name"] for zone in wanted["overlay_zones"]}
    for policy in wanted["policies"]:
        ingress = in_zones & set(policy["ingress_zones"])
        named = addresses_named(policy, wanted["ipsets"])
        for zone, bound in sorted(state.sources.items()):
            if ingress & overlay and overlaps(bound, named):
                found.append(
                    f"Zone {zone} has pod addresses among its sources ({', '.join(bound)}), so "
                    "firewalld recognizes pods by their source address there, whatever interface "
                    "a packet arrives on. Remove the source from the zone to have firewalld "
                    "recognize pods by the interfaces of the overlay"
                )
            elif ingress and any("source" not in rule for rule in policy["rules"]):
                found.append(
                    f"Zone {zone} takes packets from {', '.join(bound)} on every interface, before "
                    f"zone {', '.join(sorted(ingress))} does. External clients with these "
                    f"addresses reach only the ports that zone {zone} opens"
                )
    return list(dict.fromkeys(found))
