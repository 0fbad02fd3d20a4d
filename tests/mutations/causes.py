# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The true cause of what a firewall does, as the difference from the prepared one."""

from __future__ import annotations

from collections.abc import Iterator

from .changes import address_of
from .cluster import Cluster
from .firewall import (
    FROM_CLIENTS,
    FROM_NODES,
    ZONE_CLUSTER,
    ZONE_EXTERNAL,
    Decision,
    Firewall,
)
from .outcome import ERROR, PREPARE, Cause, Finding

_POLICIES = (FROM_NODES, FROM_CLIENTS)
_ZONES = (ZONE_CLUSTER, ZONE_EXTERNAL)
_RUNTIME = "runtime configuration"


def findings(name: str, before: Firewall, after: Firewall) -> Iterator[Finding]:
    """Yield what a report must say of a node whose runtime configuration has changed.

    `before` is the firewall as the playbook prepare leaves it. That rules of a zone differ is
    information, since the user may open ports in it.
    """
    for text in changed(before, after):
        if not text.startswith("zone "):
            yield Finding(ERROR, name, Cause((text, _RUNTIME, PREPARE)))


def changed(before: Firewall, after: Firewall) -> Iterator[str]:
    """Yield which objects of the collection differ, in words of a report."""
    for place in (*_POLICIES, *_ZONES):
        if before.rules.get(place) != after.rules.get(place):
            yield f"{'policy' if place in _POLICIES else 'zone'} {place} differs"
    for ipset, members in before.ipsets.items():
        if after.ipsets.get(ipset) != members:
            yield f"ipset {ipset} differs"
    for interface, zone in before.zones.items():
        if zone in _ZONES and after.zones[interface] != zone:
            yield f"interface {interface} is not in zone {zone}"


def cause(
    cluster: Cluster, name: str, source: str, decision: Decision, before: Firewall, after: Firewall
) -> Cause:
    """Return why a node does something else with a packet than the prepared firewall."""
    forbidden = (PREPARE,)
    rule, place = decision.rule, decision.place
    texts = list(changed(before, after))
    if decision.by_source and not texts:
        option = f"--zone={decision.zone} --remove-source={address_of(cluster, source)}"
        return Cause((name, f"zone {decision.zone}", option), forbidden)
    if rule is not None and place not in (*_POLICIES, *_ZONES):
        option = f"--zone={place} --remove-{rule.option or 'rich-rule='}"
        return Cause((name, f"zone {place}", option), forbidden)
    if texts:
        return Cause((name, *texts, PREPARE))
    return Cause((name, f"zone {decision.zone}", "--change-interface="), forbidden)
