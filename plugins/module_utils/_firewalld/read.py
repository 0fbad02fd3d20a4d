# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read from firewalld what a plan needs to know. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Optional

from .backend import FirewalldView
from .errors import FirewalldError
from .model import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    ZONE,
    ActiveZones,
    Key,
    Objects,
    Record,
    Settings,
    State,
    owned_keys,
)
from .plan import users_zone
from .reload import major

Wanted = Mapping[str, Sequence[Mapping[str, Any]]]
"""The lists ipsets, policies, zones, overlay_zones and interface_ports of the module."""

_DROPPING = ("DROP", "%%REJECT%%", "REJECT")


def wanted_keys(wanted: Optional[Wanted]) -> frozenset[Key]:
    """Return the keys of the objects that are wanted."""
    kinds = {IPSET: ("ipsets",), POLICY: ("policies",), ZONE: ("zones", "overlay_zones")}
    return frozenset(
        (kind, entry["name"])
        for kind, options in kinds.items()
        for option in options
        for entry in (wanted or {}).get(option, ())
    )


def read_objects(
    client: FirewalldView,
    like: Objects,
    managed: Collection[Key],
    runtime: bool,
    keys: Optional[Collection[Key]] = None,
) -> Objects:
    """Return the managed objects, and the bindings and ports that C(like) names.

    Interfaces that C(like) has as bindings do not count among those of a zone as well. C(keys) are
    the names of all objects, where these were read already.
    """
    if keys is None:
        keys = client.runtime_keys() if runtime else client.permanent_keys()
    settings_of = client.runtime_settings if runtime else client.permanent_settings
    zone_of = client.runtime_zone_of if runtime else client.permanent_zone_of
    objects: Objects = {}
    for key in sorted((owned_keys(like) | frozenset(managed)).intersection(keys)):
        objects[key] = settings_of(key)
        if key[0] == ZONE:
            listed = objects[key].pop("interfaces", [])
            own = [name for name in listed if (BINDING, name) not in like]
            objects[key].update({"interfaces": own} if own else {})
    for kind, name in like:
        if kind == BINDING:
            objects[kind, name] = {"zone": zone_of(name)}
        elif kind == PORTS:
            objects[kind, name] = {"ports": list(settings_of((ZONE, name)).get("ports", []))}
    return objects


def read_state(client: FirewalldView, record: Record, wanted: Optional[Wanted]) -> State:
    """Return the state of a node. Raises FirewalldError."""
    given: Wanted = wanted or {}
    managed = record.objects | wanted_keys(wanted)
    own_zones = {name for kind, name in managed if kind == ZONE}
    interfaces = {*record.bindings, *(zone["interface"] for zone in given.get("zones", ()))}
    # Only the zone that holds these now is of interest.
    looked_up = {entry["interface"] for entry in given.get("interface_ports", ())}
    for policy in given.get("policies", ()):
        looked_up.update(policy.get("ingress_interfaces") or ())

    default_zone = client.default_zone()
    permanent_keys, runtime_keys = client.permanent_keys(), client.runtime_keys()
    runtime: Objects = {}
    for interface in sorted(interfaces | looked_up):
        runtime[BINDING, interface] = {"zone": client.runtime_zone_of(interface)}
    zones = {zone for kind, zone in permanent_keys if kind == ZONE}
    port_zones = set(record.ports)
    for entry in given.get("interface_ports", ()):
        port_zones.add(users_zone(runtime, record, entry["interface"]) or default_zone)
    port_zones &= zones
    overlay = {zone["name"]: zone["interfaces"] for zone in given.get("overlay_zones", ())}
    like: Objects = {
        **{(BINDING, interface): {} for interface in interfaces},
        **{(PORTS, zone): {} for zone in port_zones},
    }
    permanent = read_objects(client, like, managed, runtime=False, keys=permanent_keys)
    running = read_objects(client, like, managed, runtime=True, keys=runtime_keys)
    runtime = {**running, **runtime}

    copied: set[str] = set()
    if interfaces or overlay:
        formers = {former.runtime for former in record.bindings.values()}
        formers |= {str(runtime[BINDING, interface]["zone"]) for interface in interfaces}
        copied = ({zone or default_zone for zone in formers} | {default_zone}) & zones
    running_zones = copied & {zone for kind, zone in runtime_keys if kind == ZONE}
    active = client.active_zones() if wanted is not None else {}
    users = {zone: held for zone, held in active.items() if zone not in own_zones}
    return State(
        permanent=permanent,
        runtime=runtime,
        default_zone=default_zone,
        permanent_keys=frozenset(permanent_keys),
        zones={
            zone: client.permanent_settings((ZONE, zone)) for zone in sorted(copied | port_zones)
        },
        running_zones={
            zone: client.runtime_settings((ZONE, zone)) for zone in sorted(running_zones)
        },
        ends_early=wanted is not None
        and _ends_early(client, {default_zone, *users, *running_zones}),
        sources=(sources := _sources(client, users, runtime_keys)),
        accepting=frozenset(
            zone
            for zone in sources
            if client.runtime_settings((ZONE, zone)).get("target") == "ACCEPT"
        ),
        taken=_taken(client, overlay, permanent, _without(users, default_zone), own_zones),
        foreign_policies=_foreign_policies(client, permanent_keys, managed) if interfaces else {},
        builtin_zones=frozenset(zone for zone in port_zones if client.is_builtin(zone)),
        profiles={
            interface: client.profile_of(interface)
            for interface in interfaces - set(record.bindings)
        },
    )


def _without(zones: ActiveZones, default_zone: str) -> ActiveZones:
    # Software that names no zone puts an interface there, so it is nobody's choice.
    return {zone: held for zone, held in zones.items() if zone != default_zone}


def _ends_early(client: FirewalldView, zones: Collection[str]) -> bool:
    """Tell whether a zone drops or rejects before positive priorities are evaluated.

    C(zones) are those in use, and those that zones of ours copy.
    """
    return major(client.version()) == 0 and any(
        client.runtime_settings((ZONE, zone)).get("target") in _DROPPING for zone in zones
    )


def _sources(
    client: FirewalldView, zones: ActiveZones, keys: Collection[Key]
) -> dict[str, list[str]]:
    """Return the addresses that zones take as sources, with those of their ipsets.

    A zone that drops or rejects all packets is a ban, to which nothing is added.
    """
    found = {}
    for zone, held in zones.items():
        sources = list(held["sources"])
        if not sources or client.runtime_settings((ZONE, zone)).get("target") in _DROPPING:
            continue
        for source in held["sources"]:
            kind, _colon, name = source.partition(":")
            if kind == "ipset" and (IPSET, name) in keys:
                sources += client.runtime_settings((IPSET, name))["entries"]
        found[zone] = sources
    return found


def _foreign_policies(
    client: FirewalldView, keys: Collection[Key], managed: Collection[Key]
) -> dict[str, set[str]]:
    """Return the zones that each policy of others names; one that is disabled has no effect."""
    found = {}
    for key in keys:
        if key[0] == POLICY and key not in managed:
            settings = client.permanent_settings(key)
            if not settings.get("disable"):
                found[key[1]] = {
                    *settings.get("ingress_zones", ()),
                    *settings.get("egress_zones", ()),
                }
    return found


def _taken(
    client: FirewalldView,
    overlay: Mapping[str, Sequence[str]],
    permanent: Objects,
    users: ActiveZones,
    own_zones: Collection[str],
) -> dict[str, str]:
    """Return the user's zones that hold interfaces of the overlay and accept all packets.

    Raises FirewalldError if one does not: an interface can be in one zone only.
    """
    found: dict[str, str] = {}
    wrong: list[str] = []
    for name, interfaces in overlay.items():
        bound = permanent.get((ZONE, name), {}).get("interfaces", [])
        for interface in interfaces:
            zone, listed = _holder(interface, users)
            settings_of: Callable[[Key], Settings] = client.runtime_settings
            if not zone and interface not in bound:
                zone, listed = client.permanent_holder(interface), interface
                settings_of = client.permanent_settings
            if not zone or zone in own_zones:
                continue
            found[interface] = zone
            if settings_of((ZONE, zone)).get("target") != "ACCEPT":
                wrong.append(
                    f"{interface} is in zone {zone}: firewall-cmd --permanent --zone={zone} "
                    f"--remove-interface={listed}, and the same without --permanent"
                )
    if wrong:
        raise FirewalldError(
            "No changes were made. Interfaces of the overlay (k3s_topology_overlay_interfaces) are "
            "bound to zones that would reject the packets of pods. Remove these bindings and run "
            f"again: {'; '.join(wrong)}"
        )
    return found


def _holder(interface: str, zones: ActiveZones) -> tuple[str, str]:
    """Return the zone that holds an interface, and the name or pattern (cni+) that it lists."""
    for zone, held in zones.items():
        for name in held["interfaces"]:
            if name == interface or (name.endswith("+") and interface.startswith(name[:-1])):
                return zone, name
    return "", ""
