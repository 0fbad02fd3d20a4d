# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare a node's firewalld with what is wanted, and read which ports it opens besides.

Changes nothing. The comparison is the plan of firewalld_state in check mode.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Optional

from .backend import FirewalldView
from .errors import FirewalldError
from .model import BINDING, IPSET, POLICY, PORTS, ZONE, Change, Key, Record, Settings
from .plan import changes, runtime_changes
from .read import Wanted, wanted_keys
from .target import plan_target

PERMANENT, RUNTIME = "permanent", "runtime"
_MOST = 50
_MOST_ENTRIES = 200
_IPSET_SOURCE = "ipset:"
_HOST = "HOST"
_INGRESS = "ingress_zones"
_RULES = {ZONE: "rules_str", POLICY: "rich_rules"}


def inspect(client: FirewalldView, record: Record, wanted: Wanted) -> dict[str, Any]:
    """Return what firewalld_state would change, and what else opens ports.

    Args:
        client: The node's firewalld, which runs.
        record: What the collection created on the node.
        wanted: The objects that the node should have.

    Returns:
        ``running`` (bool); ``version``; ``prepared`` (whether the node has any object that is
        managed by this collection); ``refused`` (why firewalld_state would make no change, often
        empty); ``differences``, at most 50 dictionaries of describe(); ``default_zone``;
        ``zones``, ``ipsets``, ``policies``, ``openings`` and ``rich_rules`` as in opened().

    Raises:
        FirewalldError: firewalld cannot be read.
    """
    managed = record.objects | wanted_keys(wanted)
    refused, found = "", []
    try:
        state, target = plan_target(client, record, wanted)
        found = [
            describe(PERMANENT, change) for change in changes(state.permanent, target.permanent)
        ]
        found += [
            describe(RUNTIME, change) for change in runtime_changes(state.runtime, target.runtime)
        ]
    except FirewalldError as error:
        refused = str(error)
    return {
        "running": True,
        "version": client.version(),
        "prepared": _is_prepared(record),
        "refused": refused,
        "differences": found[:_MOST],
        "default_zone": client.default_zone(),
        **opened(client, managed),
    }


def not_running(record: Record) -> dict[str, Any]:
    """Return what inspect() returns, for a firewalld that does not run and filters nothing."""
    return {
        "running": False,
        "version": "",
        "prepared": _is_prepared(record),
        "refused": "",
        "differences": [],
        "default_zone": "",
        "zones": {},
        "policies": {},
        "openings": [],
        "rich_rules": [],
    }


def _is_prepared(record: Record) -> bool:
    return bool(record.objects or record.ports)


def describe(configuration: str, change: Change) -> dict[str, Any]:
    """Return a change as data.

    ``configuration`` is permanent or runtime; ``kind`` is ipset, zone, policy, interface or ports;
    ``state`` is missing, unwanted or different; ``settings`` are the names of those that differ.
    ``missing_zones`` are the ingress zones that a policy lacks, if it lacks nothing else and has no
    others than wanted.
    """
    kind, name = change.key
    before, after = change.before, change.after
    settings: list[str] = []
    missing_zones: list[str] = []
    if before is None:
        state = "missing"
    elif after is None:
        state = "unwanted"
    else:
        state = "different"
        settings = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        if settings == [_INGRESS]:
            has, wanted = set(before.get(_INGRESS, ())), set(after.get(_INGRESS, ()))
            missing_zones = sorted(wanted - has) if has < wanted else []
    return {
        "configuration": configuration,
        "kind": {BINDING: "interface", PORTS: "ports"}.get(kind, kind),
        "name": name,
        "state": state,
        "settings": settings,
        "missing_zones": missing_zones,
        "zone": (after or {}).get("zone", "") if kind == BINDING else "",
    }


def opened(client: FirewalldView, managed: Collection[Key]) -> dict[str, Any]:
    """Return the active zones, and the ports that objects of the user open to this host.

    ``zones`` has ``interfaces``, ``sources`` and ``target`` by the name of each active zone and of
    the default zone. ``openings`` are dictionaries with ``object`` (zone or policy), ``name``,
    ``option`` (of firewall-cmd, without ``--remove-``), and ``ports`` such as ``9095/tcp``.
    ``rich_rules`` are dictionaries with ``object``, ``name`` and ``rule``. ``policies`` has
    ``target``, ``priority`` and ``ingress_zones`` by the name of each policy of the user.
    ``ipsets`` has those of the user that are sources of active zones, as in _ipset().
    """
    active = client.active_zones()
    names = {*active, client.default_zone()}
    zones: dict[str, Any] = {}
    policies: dict[str, Any] = {}
    users: dict[Key, Settings] = {}
    services: dict[str, Optional[Settings]] = {}
    keys = client.runtime_keys()
    for key in sorted(keys):
        kind, name = key
        if kind == POLICY and key not in managed:
            settings = client.runtime_settings(key)
            if not settings.get("disable") and _HOST in settings.get("egress_zones", ()):
                users[key] = settings
                policies[name] = {
                    "target": settings.get("target", "CONTINUE"),
                    "priority": settings.get("priority", 0),
                    "ingress_zones": list(settings.get("ingress_zones", ())),
                }
        elif kind == ZONE and name in names:
            settings = client.runtime_settings(key)
            held: Mapping[str, Sequence[str]] = active.get(name, {})
            zones[name] = {
                "interfaces": list(held.get("interfaces", ())),
                "sources": list(held.get("sources", ())),
                "target": settings.get("target", "default"),
            }
            if key not in managed:
                users[key] = settings
    openings = [
        one for key, settings in users.items() for one in _openings(client, key, settings, services)
    ]
    rules = [
        {"object": kind, "name": name, "rule": rule}
        for (kind, name), settings in users.items()
        for rule in settings.get(_RULES[kind], ())
    ]
    return {
        "zones": zones,
        "ipsets": {
            name: _ipset(client, name)
            for name in _ipset_sources(zones)
            if (IPSET, name) in keys and (IPSET, name) not in managed
        },
        "policies": policies,
        "openings": openings[: 4 * _MOST],
        "rich_rules": rules[: 4 * _MOST],
    }


def _ipset_sources(zones: Mapping[str, Any]) -> list[str]:
    """Return the names of ipsets that are sources of zones, in their order and bounded."""
    sources = [source for zone in zones.values() for source in zone["sources"]]
    names = [source[len(_IPSET_SOURCE) :] for source in sources if source.startswith(_IPSET_SOURCE)]
    return list(dict.fromkeys(names))[:_MOST]


def _ipset(client: FirewalldView, name: str) -> dict[str, Any]:
    """Return the ``type`` of an ipset, at most 200 ``entries``, and whether that is ``complete``.

    firewalld does not know the entries of an ipset whose entries expire.
    """
    try:
        settings = client.runtime_settings((IPSET, name))
    except FirewalldError:
        return {"type": "", "entries": [], "complete": False}
    entries = settings.get("entries", [])
    expires = settings.get("options", {}).get("timeout", "0") != "0"
    return {
        "type": settings["type"],
        "entries": list(entries[:_MOST_ENTRIES]),
        "complete": len(entries) <= _MOST_ENTRIES and not expires,
    }


def _openings(
    client: FirewalldView,
    key: Key,
    settings: Settings,
    services: dict[str, Optional[Settings]],
) -> Iterable[dict[str, Any]]:
    kind, name = key
    found = [(f"port={port}", [port]) for port in settings.get("ports", ())]
    for service in settings.get("services", ()):
        if service not in services:
            services[service] = client.service(service)
        found.append((f"service={service}", list((services[service] or {}).get("ports", ()))))
    return [
        {"object": kind, "name": name, "option": option, "ports": ports}
        for option, ports in found
        if ports
    ]
