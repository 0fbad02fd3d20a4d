# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of the user's firewalld stands in the way of a change. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .model import (
    IPSET,
    POLICY,
    ZONE,
    Key,
    Objects,
    Record,
    State,
    Target,
    owned_keys,
)
from .plan import users_zone


def conflicts(state: State, target: Target, record: Record) -> list[Key]:
    """Return objects that exist, were not created by us, and stand in the way of what we create.

    One that equals what is wanted is adopted. An ipset that only the runtime has is a leftover of
    an ipset that was deleted: firewalld cannot create one without the permanent configuration.
    Zones and policies share their names.
    """
    other_kind = {ZONE: POLICY, POLICY: ZONE}
    found = [
        (other_kind[kind], name)
        for kind, name in sorted(owned_keys(target.permanent))
        if kind in other_kind and (other_kind[kind], name) in state.permanent_keys
    ]
    for key in sorted(owned_keys(target.permanent) - record.objects):
        permanent, runtime = state.permanent.get(key), state.runtime.get(key)
        if permanent is None and (runtime is None or key[0] == IPSET):
            continue
        if permanent != target.permanent[key] or runtime not in (None, target.runtime[key]):
            found.append(key)
    return found


def unbound_interfaces(
    state: State,
    record: Record,
    policies: Sequence[Mapping[str, Any]],
    zones: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Name interfaces that policies are for and that no zone lists.

    Before 2.0, a policy for the default zone does not apply to an interface that is in it only
    because no zone lists it.
    """
    held = {zone["interface"] for zone in zones}
    named = {name for policy in policies for name in policy.get("ingress_interfaces") or ()}
    return sorted(name for name in named - held if not users_zone(state.runtime, record, name))


def references(objects: Objects, removed: Collection[Key]) -> list[str]:
    """Name objects of others that name objects which are to be removed, with what they name."""
    zones = {name for kind, name in removed if kind == ZONE}
    ipsets = {name for kind, name in removed if kind == IPSET}
    found = []
    for (kind, name), settings in sorted(objects.items()):
        named = zones & {*settings.get("ingress_zones", ()), *settings.get("egress_zones", ())}
        for rule in (*settings.get("rules_str", ()), *settings.get("rich_rules", ())):
            named |= ipsets & set(re.findall(r'ipset="([^"]+)"', rule))
        named |= ipsets & {source.partition(":")[2] for source in settings.get("sources", ())}
        if named:
            found.append(f"{kind} {name} names {', '.join(sorted(named))}")
    return found


def left_policies(state: State, record: Record, zones: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the policies of others that would no longer apply to the NICs that zones of ours take.

    A copy of a zone is no member of the policies that name the zone.
    """
    formers = {
        users_zone(state.runtime, record, zone["interface"]) or state.default_zone for zone in zones
    }
    return sorted(name for name, named in state.foreign_policies.items() if formers & named)
