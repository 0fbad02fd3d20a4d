# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a node's firewalld holds and what it shall hold to the changes. Pure functions.

A node's state is a flat mapping from (kind, name) to normal settings, once for the permanent
configuration and once for the running one, so that both are compared by one function.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .. import _ports
from .._host.networkmanager import Profile

IPSET = "ipset"
ZONE = "zone"
POLICY = "policy"
BINDING = "binding"
"""An interface's zone: settings are C({"zone": name}), an empty name where it has none."""
PORTS = "ports"
"""The plain ports of a zone of the user's: settings are C({"ports": ["6443/tcp", ...]})."""

Key = tuple[str, str]
Settings = dict[str, Any]
Objects = dict[Key, Settings]

# What firewalld can change in a running object; the rest (target, priority, an ipset's type)
# takes effect by a reload.
RUNTIME_KEYS = frozenset(
    "egress_zones entries forward forward_ports icmp_block_inversion icmp_blocks ingress_zones "
    "interfaces masquerade ports protocols rich_rules rules_str services source_ports zone".split()
)
# An object exists before another refers to it, and goes after it.
_CREATION_ORDER = (IPSET, ZONE, PORTS, BINDING, POLICY)
_OWNED_KINDS = (IPSET, ZONE, POLICY)
_IPSET_OF_RULE = re.compile(r'source ipset="([^"]+)"')
_ADDRESS_OF_RULE = re.compile(r'source address="([^"]+)"')
_POLICY_TARGET = "CONTINUE"


@dataclass(frozen=True)
class Former:
    """How an interface was bound before it came into a zone of ours."""

    permanent: str
    runtime: str
    profile: Optional[Profile] = None
    """NetworkManager's file that held the permanent binding, if one did."""


@dataclass(frozen=True)
class AddedPorts:
    """What we added to the plain ports of a zone of the user's, and what stood there."""

    added: Sequence[str]
    before: Sequence[str]
    builtin: Optional[Settings] = None
    """The zone's settings where it was the distribution's own, without a file under /etc."""


@dataclass(frozen=True)
class Record:
    """What this collection created and changed, to restore the host; kept on the node.

    An object belongs to this collection only if it is listed here; its name proves nothing.
    """

    bindings: Mapping[str, Former] = field(default_factory=dict)
    ports: Mapping[str, AddedPorts] = field(default_factory=dict)
    objects: frozenset[Key] = frozenset()
    """The ipsets, zones and policies that this collection created."""

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        return {
            "objects": [list(key) for key in sorted(self.objects)],
            "bindings": {
                name: {
                    "permanent": former.permanent,
                    "runtime": former.runtime,
                    "profile": former.profile.to_dict() if former.profile else None,
                }
                for name, former in self.bindings.items()
            },
            "ports": {
                zone: {
                    "added": list(added.added),
                    "before": list(added.before),
                    "builtin": added.builtin,
                }
                for zone, added in self.ports.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError if it is another."""
        _check(data)
        return cls(
            bindings={
                name: Former(
                    permanent=former["permanent"],
                    runtime=former["runtime"],
                    profile=Profile.from_dict(former["profile"]) if former["profile"] else None,
                )
                for name, former in data["bindings"].items()
            },
            ports={zone: AddedPorts(**added) for zone, added in data["ports"].items()},
            objects=frozenset((kind, name) for kind, name in data["objects"]),
        )

    def union(self, later: Record) -> Record:
        """Return a record that covers this state, the later one, and every state in between."""
        return Record(
            bindings={**later.bindings, **self.bindings},
            ports={**self.ports, **later.ports},
            objects=self.objects | later.objects,
        )


def _check(data: Mapping[str, Any]) -> None:
    """Raise TypeError or KeyError if the parts of a record are not of their types."""

    def need(condition: bool, what: Any) -> None:
        if not condition:
            raise TypeError(f"unexpected value {str(what)[:80]}")

    def need_ports(ports: Any) -> None:
        need(isinstance(ports, list), ports)
        for port in ports:
            need(isinstance(port, str), port)
            _ports.parse_port(port.partition("/")[0])

    for key in data["objects"]:
        need(isinstance(key, list) and len(key) == 2, key)
        need(key[0] in _OWNED_KINDS and isinstance(key[1], str), key)
    for former in data["bindings"].values():
        need(isinstance(former["permanent"], str), former)
        need(isinstance(former["runtime"], str), former)
    for added in data["ports"].values():
        need_ports(added["added"])
        need_ports(added["before"])
        need(isinstance(added.get("builtin"), (dict, type(None))), added)


@dataclass(frozen=True)
class State:
    """What was read from a node."""

    permanent: Objects
    runtime: Objects
    default_zone: str
    permanent_keys: frozenset[Key] = frozenset()
    """Every object of the permanent configuration, those of others included."""
    zones: Mapping[str, Settings] = field(default_factory=dict)
    """Permanent settings of the zones of the user's that hold an interface in question."""
    running_zones: Mapping[str, Settings] = field(default_factory=dict)
    """Their running settings."""
    ends_early: bool = False
    """Whether a zone's target drops or rejects before policies of positive priority are asked.

    firewalld 0.9 does that; there our policies come before all zones.
    """
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sources of the user's zones in the runtime: addresses, networks, C(ipset:NAME)."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """The user's zones that hold interfaces of the overlay and accept all packets, by interface."""
    builtin_zones: frozenset[str] = frozenset()
    foreign_policies: Mapping[str, set[str]] = field(default_factory=dict)
    """The zones that each policy of others names."""
    profiles: Mapping[str, Optional[Profile]] = field(default_factory=dict)
    """NetworkManager's files that bind the interfaces in question."""


@dataclass(frozen=True)
class Target:
    """What a node shall hold, and the record that goes with it."""

    permanent: Objects
    runtime: Objects
    record: Record


@dataclass(frozen=True)
class Change:
    """One step. C(before) is None for an object to create, C(after) for one to remove."""

    key: Key
    before: Optional[Settings]
    after: Optional[Settings]

    @property
    def needs_reload(self) -> bool:
        """Whether the running firewalld can take this change only by a reload."""
        if self.before is None or self.after is None:
            return True
        names = set(self.before) | set(self.after)
        changed = {name for name in names if self.before.get(name) != self.after.get(name)}
        return not changed <= RUNTIME_KEYS


def owned_keys(objects: Iterable[Key]) -> frozenset[Key]:
    """Return the keys of objects that can be created and owned, not of bindings and ports."""
    return frozenset(key for key in objects if key[0] in _OWNED_KINDS)


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
    kept: dict[str, Former] = {}
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
    for kind in reversed(_OWNED_KINDS):
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
    policy's own rules name are added; a rule for any source opens nothing in another zone.
    """
    ingress = set(policy["ingress_zones"])
    held = {zone["interface"]: zone["name"] for zone in zones}
    for interface in policy.get("ingress_interfaces") or ():
        ingress.add(held.get(interface) or users_zone(state.runtime, record, interface))
    if "ANY" in ingress:
        return ["ANY"]
    named = addresses_named(policy, ipsets)
    ingress |= {zone for zone, bound in state.sources.items() if overlaps(bound, named)}
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


def _existing(state: State, former: Former) -> Former:
    """Return the former binding, with the default zone in place of one that is gone since.

    A profile of NetworkManager may name a zone that does not exist.
    """
    zones = {name for kind, name in state.permanent_keys if kind == ZONE}
    gone = {former.permanent, former.runtime} - {"", *zones}
    return Former(
        permanent="" if former.permanent in gone and not former.profile else former.permanent,
        runtime="" if former.runtime in gone else former.runtime,
    )


def _builtin(state: State, zone: str) -> Optional[Settings]:
    return dict(state.zones[zone]) if zone in state.builtin_zones else None


def left_policies(state: State, record: Record, zones: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the policies of others that would no longer apply to the NICs that zones of ours take.

    A copy of a zone is no member of the policies that name the zone.
    """
    formers = {
        users_zone(state.runtime, record, zone["interface"]) or state.default_zone for zone in zones
    }
    return sorted(name for name, named in state.foreign_policies.items() if formers & named)


def _former(state: State, interface: str, ours: Collection[str]) -> Former:
    permanent = state.permanent.get((BINDING, interface), {}).get("zone", "")
    runtime = state.runtime.get((BINDING, interface), {}).get("zone", "")
    profile = state.profiles.get(interface)
    # Without a record, a zone of ours does not tell which zone held the interface before. If its
    # profile names no zone, NetworkManager puts it into the default one.
    unknown = state.default_zone if profile else ""
    return Former(
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
