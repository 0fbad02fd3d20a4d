# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what nodes returned about their firewalls and overlay network to findings. Pure functions.

These findings contradict "ok" even if all probes succeed: a policy that is missing in the permanent
configuration is gone after the next start, and probes do not pass a pod's path.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from .._preflight import packet_filters
from .._preflight.finding import SEVERITIES
from .._topology.model import EXTERNAL, Node, Topology
from .findings import ERROR, INFO, LEVELS, WARNING, Finding, Level
from .firewalls import Difference, Firewall
from .zones import is_harmless

PREPARE = "run the playbook prepare"
# Which interfaces carry packets between nodes for each UDP port of Flannel's backends.
_DEVICES = {
    8472: ("flannel.1", "flannel-v6.1"),
    51820: ("flannel-wg",),
    51821: ("flannel-wg-v6",),
}
_K3S = frozenset({"k3s", "k3s-agent", "k3s-server"})
# What a user opens or closes in a zone.
_COPIED = frozenset(
    {"forward_ports", "icmp_blocks", "ports", "protocols", "rules_str", "services", "source_ports"}
)
_STOPPED = "firewalld does not run, so that it filters nothing"
_STOPPED_PREPARED = "firewalld does not run, so that nothing that prepare configured is in force"
_STATES = {"missing": "is missing in", "unwanted": "is not wanted, and is still in"}


def findings(topology: Topology, firewalls: Mapping[str, Firewall]) -> list[Finding]:
    """Return the findings of all nodes; those without a result have none."""
    found: list[Finding] = []
    for node in topology["nodes"]:
        firewall = firewalls.get(node["name"])
        if firewall is not None:
            found += _firewalld(node, firewall)
            found += _exposed(node, firewall, topology)
            found += _overlay(node, firewall, topology)
            found += _filters(node, firewall, topology)
    found += _pods(firewalls)
    return found


def sentences(differences: Iterable[Difference]) -> list[str]:
    """Return what is wrong with each object, its two configurations in one sentence."""
    places: dict[tuple[str, str, str, tuple[str, ...], str], list[str]] = defaultdict(list)
    for one in differences:
        places[one.kind, one.name, one.state, one.settings, one.zone].append(one.configuration)
    return [_sentence(*key, " and the ".join(sorted(where))) for key, where in places.items()]


def _sentence(
    kind: str, name: str, state: str, settings: tuple[str, ...], zone: str, where: str
) -> str:
    configuration = f"the {where} configuration of firewalld"
    if kind == "interface":
        return f"interface {name} is not in zone {zone or '(default)'} in {configuration}"
    thing = f"zone {name}, to which ports are added," if kind == "ports" else f"{kind} {name}"
    if state in _STATES:
        return f"{thing} {_STATES[state]} {configuration}"
    names = ", ".join(settings)
    return f"{thing} differs from the topology in {configuration} ({names})"


def _firewalld(node: Node, firewall: Firewall) -> Iterator[Finding]:
    hosts = [node["name"]]
    nics = [node["cluster_interface"], node["external_interface"]]
    if firewall.problem:
        yield Finding(
            level=WARNING,
            hosts=hosts,
            cause=f"firewalld could not be read: {firewall.problem}",
            remedy="do what the message says, and validate with become: true",
        )
        return
    if not firewall.running:
        yield Finding(
            level=ERROR if firewall.prepared else WARNING,
            hosts=hosts,
            cause=_STOPPED_PREPARED if firewall.prepared else _STOPPED,
            remedy="systemctl unmask firewalld; systemctl enable --now firewalld",
        )
    elif firewall.strict_forward_ports:
        yield Finding(
            level=ERROR,
            hosts=hosts,
            cause="StrictForwardPorts=yes in /etc/firewalld/firewalld.conf rejects the ports that "
            "K3s publishes (ServiceLB, NodePort, hostPort)",
            remedy="set StrictForwardPorts=no there, and run: firewall-cmd --reload",
        )
    if firewall.refused:
        yield Finding(
            level=ERROR,
            hosts=hosts,
            cause=f"prepare would fail here: {firewall.refused}",
            remedy="run the playbook prepare, which prints the whole message, and do what it says",
        )
    if firewall.differences and not firewall.prepared:
        yield Finding(
            level=WARNING,
            hosts=hosts,
            cause="firewalld is not prepared for K3s",
            remedy=PREPARE,
        )
        return
    harmless = [one for one in firewall.differences if is_harmless(firewall, one, nics)]
    for one in harmless:
        yield _of_source_zones(hosts, firewall, one)
    for level, remedy in (
        (ERROR, PREPARE),
        (INFO, f"{PREPARE} if pods or NICs in this copy should have what you changed"),
    ):
        found = [
            one for one in firewall.differences if _level(one) == level and one not in harmless
        ]
        for sentence in sentences(found):
            yield Finding(level=level, hosts=hosts, cause=sentence, remedy=remedy)


def _of_source_zones(hosts: list[str], firewall: Firewall, difference: Difference) -> Finding:
    """Return that firewalld would drop packets if it were newer."""
    names = " and ".join(f"zone {name}" for name in difference.missing_zones)
    return Finding(
        level=INFO,
        hosts=hosts,
        cause=f"{names} of firewalld takes packets by their source, and policy {difference.name} "
        f"does not name it; firewalld {firewall.version} admits them nevertheless, firewalld 2.0 "
        "and later does not",
        remedy=f"{PREPARE} before firewalld is upgraded",
    )


def _level(difference: Difference) -> Level:
    """Return how bad a difference is.

    A zone of this collection is a copy of the zone that held the packets before. It lacks what the
    user has since opened in that zone, until prepare runs again.
    """
    return INFO if is_copied(difference) else ERROR


def is_copied(difference: Difference) -> bool:
    """Return whether a zone of this collection lacks or has only what users open or close."""
    changed = difference.kind == "zone" and difference.state == "different"
    return changed and set(difference.settings) <= _COPIED


def _overlay(node: Node, firewall: Firewall, topology: Topology) -> Iterator[Finding]:
    hosts = [node["name"]]
    wanted = set(node["overlay_interfaces"])
    for name, up in sorted(firewall.overlay_interfaces.items()):
        if not up and name in wanted:
            yield Finding(
                level=ERROR,
                hosts=hosts,
                cause=f"{name} is down, so that pods of this node do not reach those of other "
                "nodes",
                remedy=f"ip link set {name} up",
            )
    if not _K3S & set(firewall.kubernetes):
        return
    for port, devices in _DEVICES.items():
        used = any(
            rule["protocol"] == "udp"
            and rule["first"] == rule["last"] == port
            and node["group"] in rule["destination"]
            for rule in topology["rules"]
        )
        down = any(firewall.overlay_interfaces.get(name) is False for name in devices)
        if used and port not in firewall.udp_ports and not down:
            yield Finding(
                level=ERROR,
                hosts=hosts,
                cause=f"K3s runs, and nothing holds UDP port {port} of its overlay network, so "
                "that pods of this node do not reach those of other nodes",
                remedy=f"see ip link show {devices[0]} and the log of K3s (journalctl -u k3s -u "
                "k3s-agent), and restart K3s; if K3s uses another Flannel backend, set "
                "flannel-backend in its configuration or in the inventory",
            )


def _exposed(node: Node, firewall: Firewall, topology: Topology) -> Iterator[Finding]:
    """Yield zones and policies of the user that open ports which only nodes should reach."""
    rules = [
        rule
        for rule in topology["rules"]
        if node["group"] in rule["destination"] and EXTERNAL not in rule["source"]
    ]
    active = {name for name, zone in firewall.zones.items() if zone.interfaces}
    for opening in firewall.openings:
        inside = opening.kind == "policy" or opening.name in active
        names = sorted(
            {
                f"{rule['name']} {rule['first']}/{rule['protocol']}"
                for rule in rules
                if inside and opening.opens(rule["first"], rule["protocol"])
            }
        )
        if names and topology["restrict_sources"]:
            options = shlex.join([f"--{opening.kind}={opening.name}", f"--remove-{opening.option}"])
            yield Finding(
                level=INFO,
                hosts=[node["name"]],
                cause=f"{opening.kind} {opening.name} of firewalld opens ports to everyone that "
                f"only nodes should reach: {', '.join(names)}",
                remedy=f"firewall-cmd {options}, and the same with --permanent",
            )


def _filters(node: Node, firewall: Firewall, topology: Topology) -> Iterator[Finding]:
    """Yield what packet filters of other software drop, of pods' packets as well."""
    for text in firewall.unknown:
        yield Finding(
            level=INFO,
            hosts=[node["name"]],
            cause=f"not all packet filters are known: {text}",
            remedy="look for rules that drop the cluster's packets: nft list ruleset; "
            "iptables-save",
        )
    for one in packet_filters.of_chains(node, firewall.packet_filters, topology):
        level = LEVELS[SEVERITIES.index(one.severity)]
        yield Finding(level=level, hosts=[node["name"]], cause=one.problem, remedy=one.remedy)


def _pods(firewalls: Mapping[str, Firewall]) -> Iterator[Finding]:
    devices = {name for names in _DEVICES.values() for name in names}
    without = [
        name
        for name, firewall in firewalls.items()
        if not devices & set(firewall.overlay_interfaces)
    ]
    if without and len(without) == len(firewalls):
        yield Finding(
            level=INFO,
            hosts=sorted(without),
            cause="no node has an overlay network yet: the traffic of pods was checked by the "
            "configuration of firewalld and not by packets",
            remedy="validate again when K3s runs",
        )
