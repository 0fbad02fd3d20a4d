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
from .outcome import ERROR, PREPARE, WARNING, Cause, Finding

_POLICIES = (FROM_NODES, FROM_CLIENTS)
_ZONES = (ZONE_CLUSTER, ZONE_EXTERNAL)
_RUNTIME = "runtime configuration"


def findings(name: str, before: Firewall, after: Firewall) -> Iterator[Finding]:
    """Yield what a report must say of a node whose runtime configuration has changed.

    `before` is the firewall as the playbook prepare leaves it.
    """
    for place in (*_POLICIES, *_ZONES):
        if before.rules.get(place) != after.rules.get(place):
            kind, level = ("policy", ERROR) if place in _POLICIES else ("zone", WARNING)
            yield _finding(level, name, f"{kind} {place} differs")
    for ipset, members in before.ipsets.items():
        if after.ipsets.get(ipset) != members:
            yield _finding(ERROR, name, f"ipset {ipset} differs")
    for interface, zone in before.zones.items():
        if zone in _ZONES and after.zones[interface] != zone:
            yield _finding(ERROR, name, f"interface {interface} is not in zone {zone}")


def _finding(level: str, name: str, text: str) -> Finding:
    return Finding(level, name, Cause((text, _RUNTIME, PREPARE)))


def cause(
    cluster: Cluster, name: str, source: str, decision: Decision, before: Firewall, after: Firewall
) -> Cause:
    """Return why a node does something else with a packet than the prepared firewall."""
    forbidden = (PREPARE,)
    rule, place = decision.rule, decision.place
    if decision.by_source:
        option = f"--zone={decision.zone} --remove-source"
        return Cause(
            (name, f"zone {decision.zone}", address_of(cluster, source), option), forbidden
        )
    if rule is not None and place not in (*_POLICIES, *_ZONES):
        option = f"--zone={place} --remove-{rule.option or 'rich-rule='}"
        return Cause((name, f"zone {place}", option), forbidden)
    texts = [one.cause.words[0] for one in findings(name, before, after)]
    if texts:
        return Cause((name, *texts, PREPARE))
    return Cause((name, f"zone {decision.zone}"), forbidden)
