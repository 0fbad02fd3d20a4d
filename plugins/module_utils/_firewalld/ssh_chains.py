# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether firewalld's zones and policies admit a new connection, by version. Pure functions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .model import Settings
from .rich_rules import rich_rules
from .ssh_match import Configuration, Match, Packet, all_of, any_of, is_tcp, of_tcp

_ANY = "ANY"
_HOST = "HOST"
_POLICY_PRIORITY = -1

# What may become of a packet in a part of the rules, each with its reason. Where the part does
# not apply for certain, the packet may pass it as well.
Ends = dict[str, str]
ADMIT = "admit"
REFUSE = "refuse"
_PASS = "pass"

_ACTIONS = {"accept": ADMIT, "reject": REFUSE, "drop": REFUSE}
_TARGETS = {"ACCEPT": ADMIT, "REJECT": REFUSE, "%%REJECT%%": REFUSE, "DROP": REFUSE}


class Version(NamedTuple):
    """How some versions lead a packet through policies and zones."""

    by_zone: bool
    target_last: bool
    ordered: bool


_V0_9 = Version(by_zone=False, target_last=False, ordered=True)
_V1 = Version(by_zone=False, target_last=True, ordered=True)
_V2 = Version(by_zone=True, target_last=True, ordered=True)
_V2_DISORDERED = Version(by_zone=True, target_last=True, ordered=False)


def versions_of(configuration: Configuration) -> list[Version]:
    """Return the versions that the configuration may be of."""
    versions = [_V2]
    keys = [
        (policy.get("priority", _POLICY_PRIORITY), set(policy.get("ingress_zones", ())))
        for policy in configuration.policies.values()
        if _HOST in policy.get("egress_zones", ())
    ]
    if any(
        priority == other and (zones & others or _ANY in zones | others)
        for (priority, zones), (other, others) in itertools.combinations(keys, 2)
    ):
        versions.append(_V2_DISORDERED)
    # Only 2.x has priorities of zones.
    priorities = {"ingress_priority", "egress_priority"}
    if not any(priorities & zone.keys() for zone in configuration.zones.values()):
        versions += [_V1, _V0_9]
    return versions


def zones_of(packet: Packet, interface: str, version: Version) -> Iterator[tuple[str, bool]]:
    """Return the zones that may take the packet, and whether by a binding of theirs."""
    # By priority, which only 2.x has, then sources before NICs, then the zone's name. NICs
    # are not ordered before 2.0, which matters for names such as eth+.
    bindings: list[tuple[tuple[int, int, str], str, bool, Match]] = []
    for zone, settings in sorted(packet.configuration.zones.items()):
        priority = settings.get("ingress_priority", 0)
        for source in settings.get("sources", ()):
            bindings.append(((priority, 1, zone), zone, True, packet.comes_from(source)))
        for name in settings.get("interfaces", ()):
            key = (priority, 2, zone if version.by_zone else "")
            bindings.append((key, zone, name == interface, _covers(name, interface)))
    bindings.sort(key=lambda binding: binding[0])
    taken = False
    for _key, group in itertools.groupby(bindings, key=lambda binding: binding[0]):
        for _key, zone, bound, match in group:
            if match is not False:
                yield zone, bound
            taken = taken or match is True
        if taken and version.ordered:
            return
    if not taken:
        yield packet.configuration.default_zone, False


def ends_of(packet: Packet, zone: str, bound: bool, interface: str, version: Version) -> Ends:
    """Return what becomes of the packet that this zone takes."""
    label = f"zone {zone}"
    settings = packet.configuration.zones.get(zone)
    if settings is None:
        unknown = f"{label}, which is not known,"
        return {ADMIT: f"{unknown} admits it", REFUSE: f"{unknown} refuses it"}
    forwarded = [_forwarded(packet, label, settings)]
    groups: dict[int, list[Ends]] = {}
    for name, policy in sorted(packet.configuration.policies.items()):
        applies = _enters(packet, policy, zone, bound, interface, version)
        if applies is False:
            continue
        named = f"policy {name}"
        forwarded.append(_forwarded(packet, named, policy))
        # ANY does not hold the host: such a policy is for what is forwarded.
        if _HOST in policy.get("egress_zones", ()):
            ends = _in_turn([*_chains(packet, named, policy), _target(named, policy)])
            group = groups.setdefault(policy.get("priority", _POLICY_PRIORITY), [])
            group.append(ends if applies else {**ends, _PASS: ""})
    before = [_in_any_order(groups[one]) for one in sorted(groups) if one < 0]
    after = [_in_any_order(groups[one]) for one in sorted(groups) if one >= 0]
    if not version.ordered:
        before, after = [_in_any_order([*before, *after])], []
    target = _target(label, settings)
    return _in_turn(
        [
            _in_any_order(forwarded),
            *before,
            *_chains(packet, label, settings),
            *([] if version.target_last else [target]),
            *after,
            target,
            {REFUSE: f"{label} admits nothing to {packet.port}/tcp"},
        ]
    )


def _enters(
    packet: Packet, policy: Settings, zone: str, bound: bool, interface: str, version: Version
) -> Match:
    """Tell whether the ingress zones of a policy hold what this zone takes."""
    ingress = policy.get("ingress_zones", ())
    if _ANY in ingress or (zone in ingress and (bound or version.by_zone)):
        return True
    if version.by_zone:
        return False
    zones = [packet.configuration.zones.get(name, {}) for name in ingress]
    matches = [packet.comes_from(source) for one in zones for source in one.get("sources", ())]
    for name in (name for one in zones for name in one.get("interfaces", ())):
        if _covers(name, interface):
            # 0.9 takes eth+ literally here.
            matches.append(True if name == interface else None)
    return any_of(matches)


def _chains(packet: Packet, label: str, settings: Settings) -> list[Ends]:
    """Return the chains of a zone or policy: pre, deny, allow, post."""
    groups: dict[int, list[Ends]] = {0: []}
    for rule in rich_rules(settings):
        because = f"{label}: {rule.text}"
        if not rule.elements:
            unread = f"{because} (not understood)"
            ends = {ADMIT: unread, REFUSE: unread, _PASS: ""}
            groups.setdefault(rule.priority, []).append(ends)
        for action in _ACTIONS.keys() & rule.elements.keys():
            limited = None if "limit" in rule.elements[action] else True
            ends = _when(all_of([packet.meets(rule), limited]), _ACTIONS[action], because)
            groups.setdefault(rule.priority, []).append(ends)
    deny_first = sorted(groups[0], key=lambda ends: ADMIT in ends)
    plain = [
        *((f"service {name}", packet.serves(name)) for name in settings.get("services", ())),
        *((f"port {port}", packet.goes_to(port)) for port in settings.get("ports", ())),
        *((f"protocol {name}", is_tcp(name)) for name in settings.get("protocols", ())),
        *((f"source port {port}", of_tcp(port)) for port in settings.get("source_ports", ())),
    ]
    allow = [_when(match, ADMIT, f"{label}: {what}") for what, match in plain]
    groups[0] = [_in_turn([*deny_first, *allow])]
    # Those of one other priority stand in the order in which they were added.
    return [_in_any_order(groups[priority]) for priority in sorted(groups)]


def _forwarded(packet: Packet, label: str, settings: Settings) -> Ends:
    """Return what forwarded ports may do, which is before any filter.

    A connection that is forwarded here is admitted. Whether Ansible's is, does not show here.
    """
    forwards = [tuple(one) for one in settings.get("forward_ports", ())]
    for rule in rich_rules(settings):
        element = rule.elements.get("forward-port")
        if element is not None and packet.meets(rule) is not False:
            names = ("port", "protocol", "to-port", "to-addr")
            forwards.append(tuple(element.get(name, "") for name in names))
    result: Ends = {_PASS: ""}
    for port, protocol, to_port, to_address in forwards:
        because = f"{label}: forward port {port}/{protocol}"
        if not to_address and packet.goes_to(f"{to_port}/{protocol}") is not False:
            result[ADMIT] = because
        elif packet.goes_to(f"{port}/{protocol}") is not False:
            result[REFUSE] = because
    return result


def _covers(name: str, interface: str) -> bool:
    if name.endswith("+"):
        return interface.startswith(name[:-1])
    return name == interface


def _target(label: str, settings: Settings) -> Ends:
    target = settings.get("target", "")
    return {_TARGETS.get(target, _PASS): f"{label}: target {target}"}


def _when(match: Match, end: str, because: str) -> Ends:
    if match is None:
        return {end: f"{because} (may apply)", _PASS: ""}
    return {end: because} if match else {_PASS: ""}


def _in_turn(parts: Iterable[Ends]) -> Ends:
    result: Ends = {}
    for part in parts:
        if _PASS not in part:
            # What is certain is the better reason.
            return {**result, **part}
        result = {**part, **result}
        del result[_PASS]
    return {**result, _PASS: ""}


def _in_any_order(parts: Sequence[Ends]) -> Ends:
    result: Ends = {}
    for part in parts:
        result = {**part, **result}
    if not all(_PASS in part for part in parts):
        result.pop(_PASS, None)
    elif not parts:
        result[_PASS] = ""
    return result
