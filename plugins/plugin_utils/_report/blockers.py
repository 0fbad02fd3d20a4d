# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What on a node drops or admits a packet, from what the node returned. Pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter import rules
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.chains import (
    INCOMING,
)

from .._firewall_rules import (
    IPSET_CLIENTS,
    POLICY_CLIENTS,
    POLICY_NODES,
    POLICY_OVERLAY,
    POLICY_PODS,
    POLICY_ROUTED,
    PRIORITIES,
    ZONE_PODS,
)
from .filters import ANY, filtered
from .firewall_findings import PREPARE, is_copied, sentences
from .firewalls import RUNTIME, Firewall, Policy, RichRule
from .zones import DROPPING, Packet, accepts_all, drops, is_harmless, opens, possible_zones, zone_of

# A zone of firewalld itself that is meant to accept everything.
_TRUSTED = "trusted"
_NAMED = 3
# The lowest priority of a policy of this collection for packets to the node.
_FIRST = min(PRIORITIES[name] for name in (POLICY_NODES, POLICY_PODS, POLICY_CLIENTS))
# These concern packets of pods only, which no check sends.
_OF_PODS = frozenset({ZONE_PODS, POLICY_OVERLAY, POLICY_PODS, POLICY_ROUTED})
_OF_CLIENTS = frozenset({POLICY_CLIENTS, IPSET_CLIENTS})
_OF_NODES = frozenset({POLICY_NODES})


def blocker(firewall: Firewall, host: str, packet: Packet) -> str:
    """Return what on a host drops a packet that should be admitted, and what to do.

    Args:
        firewall: What the host returned.
        host: Its inventory name.
        packet: The packet.

    Returns:
        A cause and a remedy, or an empty text if nothing on the host is known to drop it. The
        playbook prepare is named only if it would change something.
    """
    return certain_blocker(firewall, host, packet) or possible_blocker(firewall, host, packet)


def certain_blocker(firewall: Firewall, host: str, packet: Packet) -> str:
    """Return what on a host drops a packet for certain, as blocker() does."""
    if firewall.running and firewall.differences and not firewall.prepared:
        return f"firewalld on {host} is not prepared for K3s: {PREPARE}"
    if _filters_nothing(firewall):
        found = _filtered(firewall, packet, certain=True)
        return f"on {host}, {found}" if found else ""
    zone, source = zone_of(firewall, packet)
    for name, policy in _policies(firewall, zone).items():
        # Policies of this collection have priorities above 1000.
        if policy.target in DROPPING and policy.priority < _FIRST:
            return _by_policy(name, host, "drops")
    for rule in _rules(firewall, zone, packet):
        if not rule.accepts and rule.is_certain:
            return _by_rule(rule, host, "drops")
    wrong = _wrong(firewall, packet, copied=(False,))
    if wrong:
        return f"on {host}, {wrong}: {PREPARE}"
    found = _filtered(firewall, packet, certain=True)
    if found:
        return f"on {host}, {found}"
    if source and drops(firewall, zone, packet):
        return _by_source(zone, source, host, "drops")
    return ""


def possible_blocker(firewall: Firewall, host: str, packet: Packet) -> str:
    """Return what on a host may drop a packet, as blocker() does."""
    if firewall.problem:
        return ""
    zone, source = zone_of(firewall, packet)
    for rule in [] if _filters_nothing(firewall) else _rules(firewall, zone, packet):
        if not rule.accepts:
            return _by_rule(rule, host, "may drop")
    found = _filtered(firewall, packet, certain=False)
    if found:
        return f"on {host}, {found}"
    if _filters_nothing(firewall):
        return ""
    # What the user has opened since the zone was copied drops nothing, but a rule in it may.
    wrong = _wrong(firewall, packet, copied=(True,))
    if wrong:
        return f"on {host}, {wrong}: {PREPARE}"
    for name, its_source in possible_zones(firewall, packet):
        if drops(firewall, name, packet) is not False:
            return _by_source(name, its_source, host, "may drop")
    uncertain = bool(source) and drops(firewall, zone, packet) is None
    return _by_source(zone, source, host, "may drop") if uncertain else ""


def _filters_nothing(firewall: Firewall) -> bool:
    """Return whether firewalld does not filter, or it is not known what."""
    return bool(firewall.problem) or not firewall.running


def nothing_found(firewall: Firewall, host: str) -> str:
    """Return what remains to be checked if nothing on a host is known to drop packets."""
    state = "does not run"
    if firewall.running:
        state = "is as prepare configures it" if not firewall.refused else "cannot be compared"
    filters = (
        f"not all of its packet filters could be read ({firewall.unknown[0]})"
        if firewall.unknown
        else "no other packet filter was found there"
    )
    return (
        f"firewalld on {host} {state}, and {filters}. Check rules of your own on {host} "
        "(firewall-cmd --list-all-zones, nft list ruleset), and what is between the hosts: "
        "firewalls of routers, security groups, switches"
    )


def opener(firewall: Firewall, host: str, packet: Packet) -> str:
    """Return what on a host admits a packet that should not be, and what to do.

    The text is empty if that is not known.
    """
    if firewall.problem:
        return ""
    if not firewall.running:
        return (
            f"firewalld does not run on {host}, so that it filters nothing: systemctl unmask "
            "firewalld; systemctl enable --now firewalld"
        )
    zone, source = zone_of(firewall, packet)
    policies = _policies(firewall, zone)
    for one in firewall.openings:
        holds = one.name in policies if one.kind == "policy" else one.name == zone
        if holds and one.opens(packet.port, packet.protocol):
            options = shlex.join([f"--{one.kind}={one.name}", f"--remove-{one.option}"])
            return (
                f"{one.kind} {one.name} of firewalld on {host} opens it ({one.option}): "
                f"firewall-cmd {options}, and the same with --permanent"
            )
    admitting = [rule for rule in _rules(firewall, zone, packet) if rule.accepts]
    for rule in admitting:
        if rule.is_certain:
            return _by_rule(rule, host, "opens")
    accepts = accepts_all(firewall, zone)
    for name, policy in _policies(firewall, zone).items():
        if policy.target == "ACCEPT":
            return _by_policy(name, host, "accepts")
    if source and accepts:
        return _by_source(zone, source, host, "accepts all")
    wrong = _wrong(firewall, packet)
    if wrong and firewall.prepared:
        return f"on {host}, {wrong}: {PREPARE}"
    if accepts:
        return _by_target(zone, host, packet)
    for rule in admitting:
        return _by_rule(rule, host, "may open")
    for name, its_source in possible_zones(firewall, packet):
        if opens(firewall, name, packet) or accepts_all(firewall, name):
            return _by_source(name, its_source, host, "may admit")
    return ""


def _rules(firewall: Firewall, zone: str, packet: Packet) -> list[RichRule]:
    return [
        rule
        for rule in firewall.rich_rules
        if (rule.name in _policies(firewall, zone) if rule.kind == "policy" else rule.name == zone)
        and rule.matches(packet.port, packet.protocol, packet.source_address, packet.version)
    ]


def _policies(firewall: Firewall, zone: str) -> dict[str, Policy]:
    """Return the policies of the user for packets of a zone."""
    return {
        name: policy
        for name, policy in firewall.policies.items()
        if "ANY" in policy.ingress_zones or zone in policy.ingress_zones
    }


def _by_policy(name: str, host: str, verb: str) -> str:
    option = shlex.quote(f"--policy={name}")
    return (
        f"policy {name} of firewalld on {host} {verb} it by its target: firewall-cmd --permanent "
        f"{option} --set-target=CONTINUE; firewall-cmd --reload"
    )


def _by_source(zone: str, source: str, host: str, verb: str) -> str:
    options = shlex.join([f"--zone={zone}", f"--remove-source={source}"])
    return (
        f"zone {zone} of firewalld on {host} {verb} packets from {source}: firewall-cmd {options}, "
        "and the same with --permanent"
    )


def _by_target(zone: str, host: str, packet: Packet) -> str:
    """Say that a zone accepts everything that arrives on an interface."""
    if zone == _TRUSTED and packet.interface:
        remedy_text = (
            f"firewall-cmd --zone=public --change-interface={packet.interface}, and the same with "
            "--permanent"
        )
    else:
        remedy_text = (
            f"firewall-cmd --permanent {shlex.quote(f'--zone={zone}')} --set-target=default; "
            "firewall-cmd --reload"
        )
    return f"zone {zone} of firewalld on {host} accepts all packets: {remedy_text}"


def _by_rule(rule: RichRule, host: str, verb: str) -> str:
    options = (
        f"{shlex.quote(f'--{rule.kind}={rule.name}')} --remove-rich-rule={shlex.quote(rule.text)}"
    )
    return (
        f"a rich rule of {rule.kind} {rule.name} of firewalld on {host} {verb} it: firewall-cmd "
        f"{options}, and the same with --permanent"
    )


def _wrong(firewall: Firewall, packet: Packet, copied: Collection[bool] = (False, True)) -> str:
    """Return which objects that concern a packet are not in force as the topology wants them.

    C(copied) is whether they are zones that differ only in what users open or close.
    """
    others = _OF_PODS | (_OF_CLIENTS if packet.from_node else _OF_NODES)
    return _named(
        sentences(
            one
            for one in firewall.differences
            if one.configuration == RUNTIME
            and firewall.running
            and one.name not in others
            and is_copied(one) in copied
            and not is_harmless(firewall, one, [packet.interface])
        )
    )


def _filtered(firewall: Firewall, packet: Packet, certain: bool) -> str:
    """Return which packet filter of other software drops a packet, and what to do."""
    incoming = rules.Packet(
        packet.source_address or ANY[packet.version],
        packet.address,
        packet.protocol,
        packet.port,
        packet.port,
        inputs=(packet.interface,) if packet.interface else (),
        local=True,
    )
    return filtered(firewall, INCOMING, incoming, certain)


def _named(texts: list[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
