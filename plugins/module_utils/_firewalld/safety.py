# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a change of a node's firewall would cut off its controller or harm others there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Optional

from .backend import FirewalldBackend
from .errors import FirewalldError
from .files import is_customized
from .iptables_rules import kubernetes_chains
from .model import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    ZONE,
    Change,
    Key,
    Objects,
    Settings,
    State,
    Target,
)
from .obstacles import references
from .plan import changes, runtime_changes
from .reload import Others, reload_conflicts
from .ssh_admission import Connection, evaluate, only_accepts, services_needed
from .ssh_match import Configuration

# Of firewalld's service ssh.
_SSH_PORT = 22
# systemctl stop k3s leaves the pods running; only this script ends them.
_CONSENT = (
    "{what} with k3s_firewall_allow_disruptive_reload: true, or first stop K3s and its pods on "
    "this node with k3s-killall.sh"
)


@dataclass(frozen=True)
class ApplyOptions:
    """What a change may do, and what it has to know of the host."""

    check_mode: bool = False
    confirm_timeout: int = 0
    """Seconds until a change that nobody confirms is taken back; 0 makes it final at once."""
    allow_disruptive_reload: bool = False
    connection: Callable[[], Optional[Connection]] = lambda: None
    """Returns Ansible's own connection, None if it is not over the network."""
    kubernetes: Callable[[], list[str]] = list
    """Returns the names of what runs of Kubernetes on this node."""


def verify_firewalld(client: FirewalldBackend) -> None:
    """Raise FirewalldError if firewalld takes no change, or would not be there to filter."""
    trouble = client.trouble()
    if trouble:
        raise FirewalldError(f"No changes were made. {trouble}")


def verify_change(
    client: FirewalldBackend,
    state: State,
    target: Target,
    owned: Collection[Key],
    others: Others,
    reloads: bool,
    options: ApplyOptions,
) -> None:
    """Raise FirewalldError if the change would cut off the controller or interrupt others."""
    removed = {
        step.key for step in changes(state.permanent, target.permanent) if step.after is None
    }
    theirs = sorted(state.permanent_keys - frozenset(owned))
    connection = options.connection()
    if connection is not None and _only_admits(state, target, connection.interface):
        connection = None
    permanent_others: Objects = {}
    if connection is not None:
        permanent_others = {key: client.permanent_settings(key) for key in theirs}
    if removed:
        # The distribution's own objects name nothing that this collection creates.
        customized = {key: client.permanent_settings(key) for key in theirs if is_customized(key)}
        _verify_references(customized, removed, state.default_zone)
    if client.is_running():
        if reloads:
            _verify_reload(client, theirs, others, options)
        if not target.record.objects:
            _verify_removal(options)
    if connection is not None:
        interface = connection.interface
        # NetworkManager's profile may bind it, which the permanent zones do not show.
        zone_of = functools.cache(lambda: client.permanent_zone_of(interface))
        service = functools.cache(client.service)
        # The permanent configuration is the one after the next start, so it counts as well.
        for which, users, ours, wanted in (
            ("", _with_interfaces(others), state.runtime, target.runtime),
            (" after the next start", permanent_others, state.permanent, target.permanent),
        ):
            if which or client.is_running():
                before, after = (
                    _configuration(state.default_zone, users, mine, interface, zone_of, service)
                    for mine in (ours, wanted)
                )
                _verify_connection(before, after, connection, options.confirm_timeout, which)


def _only_admits(state: State, target: Target, interface: str) -> bool:
    """Tell whether the change only adds what takes no packet away from an interface.

    That is an ipset, a policy whose rules all accept, and a zone of other interfaces.
    """

    def adds(step: Change) -> bool:
        after = step.after or {}
        return step.before is None and (
            step.key[0] == IPSET
            or (step.key[0] == POLICY and only_accepts(after))
            or (step.key[0] == ZONE and _holds_others(after, interface))
        )

    steps = changes(state.permanent, target.permanent)
    return all(map(adds, (*steps, *runtime_changes(state.runtime, target.runtime))))


def _holds_others(zone: Settings, interface: str) -> bool:
    return (
        not zone.get("sources")
        and interface not in zone.get("interfaces", ())
        and not any(name.endswith("+") for name in zone.get("interfaces", ()))
    )


def _verify_reload(
    client: FirewalldBackend, theirs: Collection[Key], others: Others, options: ApplyOptions
) -> None:
    # What has no file under /etc is as it was when firewalld started.
    permanent = {
        key: client.permanent_settings(key)
        if is_customized(key) or key not in others.objects
        else others.objects[key]
        for key in theirs
    }
    conflicts = reload_conflicts(permanent, others.objects)
    if conflicts:
        raise FirewalldError(
            "No changes were made. This change needs a reload of firewalld, and the reload would "
            f"change configuration that is not managed by this collection: {'; '.join(conflicts)}. "
            "Activate it with firewall-cmd --reload, keep it with firewall-cmd "
            "--runtime-to-permanent, or delete it; then run again"
        )
    verify_flush(others, options)


def verify_flush(others: Others, options: ApplyOptions) -> None:
    """Raise FirewalldError if a reload needs consent, since it flushes rules of Kubernetes."""
    if options.allow_disruptive_reload or not any(map(kubernetes_chains, others.tables.values())):
        return
    running = options.kubernetes()
    if running:
        raise FirewalldError(
            "No changes were made. This change needs a reload of firewalld, which on this node "
            f"flushes all iptables rules, those of {_name(running)} included (firewalld#863). "
            "The run restores them after the reload: services and published ports do not accept "
            "new connections for up to 2 seconds, and established ones continue. "
            + _CONSENT.format(what="Accept this interruption")
        )


def _name(running: list[str]) -> str:
    """Name what runs, alike on servers and agents, so that the preflight reports it once."""
    if running == ["containerd-shim"]:
        return "running pods (containerd-shim), which outlive systemctl stop k3s"
    return "a running Kubernetes"


def _verify_references(others: Objects, removed: Collection[Key], default_zone: str) -> None:
    found = references(others, removed)
    if (ZONE, default_zone) in removed:
        found.append(f"{default_zone} is the default zone (firewall-cmd --set-default-zone=ZONE)")
    if found:
        raise FirewalldError(
            "No changes were made. firewalld would not start with objects that name what this run "
            f"removes: {'; '.join(found)}. Change or delete them with firewall-cmd --permanent, "
            "reload firewalld, and run again"
        )


def _verify_removal(options: ApplyOptions) -> None:
    running = [] if options.allow_disruptive_reload else options.kubernetes()
    if running:
        raise FirewalldError(
            f"No changes were made. This node has {_name(running)}. Without the rules of this "
            "collection, firewalld rejects traffic between the nodes and from pods, for as long as "
            "no rules of your own admit it. "
            + _CONSENT.format(what="Remove the rules all the same")
        )


def _verify_connection(
    before: Configuration,
    after: Configuration,
    connection: Connection,
    confirm_timeout: int,
    which: str,
) -> None:
    later = evaluate(after, connection)
    now = evaluate(before, connection)
    # Without a rollback, a change that may block the connection is refused as well.
    unsure = later.admitted is None and now.admitted is True and not confirm_timeout
    if unsure:
        raise FirewalldError(
            f"No changes were made. The change may block Ansible's own SSH connection, from "
            f"{connection.source} to port {connection.port}/tcp{which} ({later.because}), and "
            "confirm_timeout (k3s_firewall_confirm_timeout) is 0, so that the node would not roll "
            "it back. Set it to a number of seconds such as 60"
        )
    if later.admitted is False and now.admitted is not False:
        port = connection.port
        option = "--add-service=ssh" if port == _SSH_PORT else f"--add-port={port}/tcp"
        raise FirewalldError(
            f"No changes were made. The change would block Ansible's own SSH connection, from "
            f"{connection.source} to port {port}/tcp{which}: {later.because}. "
            f"It is admitted now by: {now.because}. Add a rule of your own first: "
            f"firewall-cmd --permanent --zone=ZONE {option}, and the same without "
            "--permanent"
        )


def _with_interfaces(others: Others) -> Objects:
    objects = {key: dict(settings) for key, settings in others.objects.items()}
    for interface, zone in others.interfaces.items():
        if (ZONE, zone) in objects:
            objects[ZONE, zone].setdefault("interfaces", []).append(interface)
    return objects


def _configuration(
    default_zone: str,
    others: Objects,
    ours: Objects,
    interface: str,
    zone_of: Callable[[], str],
    service: Callable[[str], Optional[Settings]],
) -> Configuration:
    """Combine the objects of others with those of this collection, present or wanted.

    C(zone_of) returns the zone of C(interface) at the next start.
    """
    zones = {name: dict(one) for (kind, name), one in others.items() if kind == ZONE}
    zones.update({name: dict(one) for (kind, name), one in ours.items() if kind == ZONE})
    for (kind, name), settings in ours.items():
        if kind == BINDING:
            for zone in zones.values():
                zone["interfaces"] = [one for one in zone.get("interfaces", []) if one != name]
            if settings["zone"] in zones:
                zones[settings["zone"]]["interfaces"].append(name)
        elif kind == PORTS and name in zones:
            zones[name]["ports"] = list(settings["ports"])
    if (BINDING, interface) not in ours and not any(
        interface in zone.get("interfaces", []) for zone in zones.values()
    ):
        zone_name = zone_of()
        if zone_name in zones:
            held = zones[zone_name].get("interfaces", [])
            zones[zone_name]["interfaces"] = [*held, interface]
    objects = {
        kind: {key[1]: one for key, one in {**others, **ours}.items() if key[0] == kind}
        for kind in (POLICY, IPSET)
    }
    configuration = Configuration(default_zone, zones, objects[POLICY], objects[IPSET], {})
    return _with_services(configuration, service)


def _with_services(
    configuration: Configuration, service: Callable[[str], Optional[Settings]]
) -> Configuration:
    known: dict[str, Settings] = {}
    asked: set[str] = set()
    while True:
        configuration = Configuration(
            configuration.default_zone,
            configuration.zones,
            configuration.policies,
            configuration.ipsets,
            known,
        )
        missing = services_needed(configuration) - asked
        if not missing:
            return configuration
        asked |= missing
        for name in missing:
            settings = service(name)
            if settings is not None:
                known[name] = settings
