# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a node's firewalld holds and what it shall hold to the changes. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from .. import _ports
from .model import (
    BINDING,
    IPSET,
    OWNED_KINDS,
    POLICY,
    PORTS,
    RUNTIME_KEYS,
    ZONE,
    AddedPorts,
    Change,
    Key,
    Objects,
    PreviousBinding,
    Record,
    Settings,
    State,
    Target,
    owned_keys,
)

# An object exists before another refers to it, and goes after it.
_CREATION_ORDER = (IPSET, ZONE, PORTS, BINDING, POLICY)
_IPSET_OF_RULE = re.compile(r'source ipset="([^"]+)"')
_ADDRESS_OF_RULE = re.compile(r'source address="([^"]+)"')
_POLICY_TARGET = "CONTINUE"


def target_present(
    state: State,
    record: Record,
    ipsets: Sequence[Mapping[str, Any]],
    policies: Sequence[Mapping[str, Any]],
    zones: Sequence[Mapping[str, Any]],
    overlay_zones: Sequence[Mapping[str, Any]],
    interface_ports: Sequence[Mapping[str, Any]],
) -> Target:
    """Return what the node should hold, given what it holds.

    A zone that this collection creates starts as a copy of the zone that handled the packets
    before, so that what was admitted there (SSH, a node exporter) still is.
    """
    ours = {name for kind, name in record.objects if kind == ZONE}
    ours |= {zone["name"] for zone in (*zones, *overlay_zones)}
    both: Objects = {}
    permanent_zones: Objects = {}
    running_zones: Objects = {}
    for ipset in ipsets:
        both[IPSET, ipset["name"]] = {
            "type": ipset["type"],
            "family": ipset["family"],
            "entries": sorted(ipset["entries"]),
        }
    for policy in policies:
        both[POLICY, policy["name"]] = {
            "target": _POLICY_TARGET,
            "priority": -abs(policy["priority"]) if state.ends_early else policy["priority"],
            "ingress_zones": _ingress_zones(policy, ipsets, zones, state, record),
            "egress_zones": sorted(policy["egress_zones"]),
            "rich_rules": sorted(policy["rules"]),
        }
    bindings = dict(record.bindings)
    wanted_bindings = {zone["interface"]: zone["name"] for zone in zones}
    for zone in zones:
        interface = zone["interface"]
        if interface not in bindings:
            bindings[interface] = _former(state, interface, ours)
        former_zone = bindings[interface].runtime or state.default_zone
        key = (ZONE, zone["name"])
        permanent_zones[key], running_zones[key] = _copies(
            state, record, former_zone, zone["ports"]
        )
    for zone in overlay_zones:
        free = sorted(name for name in zone["interfaces"] if name not in state.taken)
        for objects, copied in zip(
            (permanent_zones, running_zones), _copies(state, record, state.default_zone, ())
        ):
            # Policies decide what is forwarded, as they did while the interfaces had no zone.
            for name in ("forward", "ingress_priority", "egress_priority"):
                copied.pop(name, None)
            objects[ZONE, zone["name"]] = {**copied, **({"interfaces": free} if free else {})}

    permanent = {**both, **permanent_zones}
    runtime = {**both, **running_zones}
    kept: dict[str, PreviousBinding] = {}
    for interface, former in bindings.items():
        wanted = wanted_bindings.get(interface)
        back = _existing(state, former)
        permanent[BINDING, interface] = {"zone": wanted or back.permanent}
        runtime[BINDING, interface] = {"zone": wanted or back.runtime}
        if wanted is not None:
            kept[interface] = former

    ports = _target_ports(state, record, interface_ports, permanent, runtime)
    created = owned_keys(permanent)
    return Target(permanent, runtime, Record(bindings=kept, ports=ports, objects=created))


def target_absent(state: State, record: Record) -> Target:
    """Return what the node should hold once everything that this collection created is gone."""
    return target_present(state, record, (), (), (), (), ())


def changes(before: Objects, after: Objects) -> list[Change]:
    """Return the steps from one permanent configuration to another, in an order firewalld accepts.

    C(before) holds only objects that this collection owns or wants: what C(after) lacks is removed.
    """
    steps = []
    for kind in _CREATION_ORDER:
        for key in sorted(key for key in after if key[0] == kind):
            if before.get(key) != after[key]:
                steps.append(Change(key, before.get(key), after[key]))
    for kind in reversed(OWNED_KINDS):
        for key in sorted(key for key in before if key[0] == kind):
            if key not in after:
                steps.append(Change(key, before[key], None))
    return steps


def runtime_changes(before: Objects, after: Objects) -> list[Change]:
    """Return the steps from one runtime configuration to another.

    An ipset that is no longer wanted stays until firewalld reloads or restarts: no rule names it,
    and with FlushAllOnReload=no not even a reload removes it.
    """
    return [
        change
        for change in changes(before, after)
        if not (change.key[0] == IPSET and change.after is None)
    ]


def users_zone(runtime: Objects, record: Record, interface: str) -> str:
    """Return the user's zone that holds an interface, or held it before one of ours did.

    An empty name stands for the default zone.
    """
    if interface in record.bindings:
        return record.bindings[interface].runtime
    zone = str(runtime.get((BINDING, interface), {}).get("zone", ""))
    return "" if (ZONE, zone) in record.objects else zone


def printable(objects: Objects, keys: Sequence[Key]) -> dict[str, dict[str, Settings]]:
    """Return some objects as nested dictionaries, for a diff that people read."""
    result: dict[str, dict[str, Settings]] = {}
    for key in sorted(keys):
        if key in objects:
            result.setdefault(key[0], {})[key[1]] = objects[key]
    return result


def unite_ports(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return the union of two lists such as C(["80/tcp"]), coalesced as firewalld does."""
    return _combine(one, other, lambda a, b: _ports.merge(a + b))


def subtract_ports(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return what is in the first list of ports and not in the second, coalesced."""
    return _combine(one, other, _ports.subtract)


def _combine(one: Sequence[str], other: Sequence[str], operation: Any) -> list[str]:
    left, right = _by_protocol(one), _by_protocol(other)
    return sorted(
        f"{_ports.format_port(interval)}/{protocol}"
        for protocol in sorted(set(left) | set(right))
        for interval in operation(left.get(protocol, []), right.get(protocol, []))
    )


def _by_protocol(ports: Sequence[str]) -> dict[str, list[_ports.Interval]]:
    result: dict[str, list[_ports.Interval]] = {}
    for text in ports:
        port, _slash, protocol = text.partition("/")
        result.setdefault(protocol, []).append(_ports.parse_port(port))
    return result


def _ingress_zones(
    policy: Mapping[str, Any],
    ipsets: Sequence[Mapping[str, Any]],
    zones: Sequence[Mapping[str, Any]],
    state: State,
    record: Record,
) -> list[str]:
    """Return where a policy's packets come from, with the user's zones that hold its sources.

    A packet takes one zone, and a source comes before an interface: an address that a zone of the
    user's holds as a source never reaches a zone of ours. Only zones that hold an address that the
    policy's own rules name are added; a rule for any source opens nothing in another zone. A zone
    that accepts all packets needs no policy: k3s-ansible makes the networks of pods and services
    sources of the zone trusted, often after this collection has configured firewalld.
    """
    ingress = set(policy["ingress_zones"])
    held = {zone["interface"]: zone["name"] for zone in zones}
    for interface in policy.get("ingress_interfaces") or ():
        ingress.add(held.get(interface) or users_zone(state.runtime, record, interface))
    if "ANY" in ingress:
        return ["ANY"]
    named = addresses_named(policy, ipsets)
    ingress |= {
        zone
        for zone, bound in state.sources.items()
        if zone not in state.accepting and overlaps(bound, named)
    }
    return sorted(ingress)


def addresses_named(policy: Mapping[str, Any], ipsets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the addresses and networks that the rules of a policy name as sources."""
    entries = {ipset["name"]: ipset["entries"] for ipset in ipsets}
    named: list[str] = []
    for rule in policy["rules"]:
        for name in _IPSET_OF_RULE.findall(rule):
            named += entries.get(name, ())
        named += _ADDRESS_OF_RULE.findall(rule)
    return list(dict.fromkeys(named))


def overlaps(sources: Sequence[str], members: Sequence[str]) -> bool:
    """Tell whether addresses or networks have any in common; other sources are skipped."""
    ours = [ipaddress.ip_network(member) for member in members]
    for source in sources:
        try:
            theirs = ipaddress.ip_network(source, strict=False)
        except ValueError:  # A MAC address, or ipset:NAME.
            continue
        if any(theirs.version == one.version and theirs.overlaps(one) for one in ours):
            return True
    return False


def _copies(
    state: State, record: Record, zone: str, ports: Sequence[str]
) -> tuple[Settings, Settings]:
    """Return permanent and runtime settings for a zone of ours that replaces one of the user's.

    What the user admits only in the runtime stays admitted in the runtime.
    """
    permanent = _copy(state.zones.get(zone, {}), record, zone, ports)
    fixed = {key: one for key, one in permanent.items() if key not in RUNTIME_KEYS}
    running = state.running_zones.get(zone, state.zones.get(zone, {}))
    changeable = {key: one for key, one in running.items() if key in RUNTIME_KEYS}
    return permanent, _copy({**fixed, **changeable}, record, zone, ports)


def _copy(settings: Settings, record: Record, zone: str, ports: Sequence[str]) -> Settings:
    settings = dict(settings)
    if zone in record.ports:
        settings["ports"] = subtract_ports(settings.get("ports", []), record.ports[zone].added)
    settings.pop("interfaces", None)
    settings.pop("sources", None)
    if ports:
        settings["ports"] = unite_ports(settings.get("ports", []), ports)
    if not settings.get("ports"):
        settings.pop("ports", None)
    return settings


def _existing(state: State, former: PreviousBinding) -> PreviousBinding:
    """Return the former binding, with the default zone in place of one that is gone since.

    A profile of NetworkManager may name a zone that does not exist.
    """
    zones = {name for kind, name in state.permanent_keys if kind == ZONE}
    gone = {former.permanent, former.runtime} - {"", *zones}
    return PreviousBinding(
        permanent="" if former.permanent in gone and not former.profile else former.permanent,
        runtime="" if former.runtime in gone else former.runtime,
    )


def _builtin(state: State, zone: str) -> Optional[Settings]:
    return dict(state.zones[zone]) if zone in state.builtin_zones else None


def _former(state: State, interface: str, ours: Collection[str]) -> PreviousBinding:
    permanent = state.permanent.get((BINDING, interface), {}).get("zone", "")
    runtime = state.runtime.get((BINDING, interface), {}).get("zone", "")
    profile = state.profiles.get(interface)
    # Without a record, a zone of ours does not tell which zone held the interface before. If its
    # profile names no zone, NetworkManager puts it into the default one.
    unknown = state.default_zone if profile else ""
    return PreviousBinding(
        permanent="" if permanent in ours else permanent,
        runtime=unknown if runtime in ours else runtime,
        profile=profile,
    )


def _target_ports(
    state: State,
    record: Record,
    interface_ports: Sequence[Mapping[str, Any]],
    permanent: Objects,
    runtime: Objects,
) -> dict[str, AddedPorts]:
    wanted: dict[str, list[str]] = {}
    for entry in interface_ports:
        zone = users_zone(state.runtime, record, entry["interface"]) or state.default_zone
        wanted[zone] = unite_ports(wanted.get(zone, []), entry["ports"])
    kept: dict[str, AddedPorts] = {}
    for zone in sorted(set(wanted) | set(record.ports)):
        if (PORTS, zone) not in state.permanent:
            # The user has removed the zone since, and our ports went with it.
            continue
        known = record.ports.get(zone)
        for objects, source in ((permanent, state.permanent), (runtime, state.runtime)):
            current = source.get((PORTS, zone), {}).get("ports", [])
            base = subtract_ports(current, known.added) if known else list(current)
            if known and zone not in wanted and base == unite_ports(known.before, []):
                base = sorted(known.before)
            ports = unite_ports(base, wanted[zone]) if zone in wanted else base
            # What stands there already in other words needs no change.
            if unite_ports(current, []) == unite_ports(ports, []) and zone in wanted:
                ports = list(current)
            objects[PORTS, zone] = {"ports": ports}
        if zone in wanted:
            before = state.permanent.get((PORTS, zone), {}).get("ports", [])
            base = subtract_ports(before, known.added) if known else before
            kept[zone] = AddedPorts(
                added=subtract_ports(wanted[zone], base),
                before=known.before if known else before,
                builtin=known.builtin if known else _builtin(state, zone),
            )
    return kept
