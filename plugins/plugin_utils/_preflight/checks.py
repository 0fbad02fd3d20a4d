# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluates, before anything is changed, what would make the cluster's network fail. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import held_ports

from .._k3s.settings import NODE_NAME
from .._topology.model import SERVER, Node, Topology
from . import clocks, packet_filters
from .finding import ERROR, INFO, WARNING, Facts, Finding, grouped

# Longhorn picks ports of a range that wide, so that one which is taken may do no harm.
_WIDE = 100
_HOSTNAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# Made by K3s: what these carry is the overlay itself.
_OVERLAY = ("cni", "flannel", "kube-", "veth")


class Answer(NamedTuple):
    """A node's facts, and between which times of the controller's clock it gave them."""

    facts: Facts
    before: float
    after: float


def evaluate(
    topology: Topology,
    answers: Mapping[str, Answer],
    played: Iterable[str],
    invalid: Collection[str] = (),
) -> list[Finding]:
    """Return what is found, the worst first, the same on several nodes once.

    C(played) are the hosts of the play, of which one without an answer could not be asked. The
    answers of C(invalid) have findings of their own.
    """
    nodes = {node["name"]: node for node in topology["nodes"]}
    known = {name: answer for name, answer in answers.items() if name in nodes}
    played = set(played)
    found = list(_servers(nodes.values()))
    for name in nodes:
        if name not in known and name not in invalid:
            found.append(_unknown(name, name in played))
    for name, answer in known.items():
        found += _node(nodes[name], answer.facts, topology)
    found += _shared(nodes, {name: answer.facts for name, answer in known.items()})
    found += clocks.skews(
        {
            name: (one.facts["clock_at_the_end"] - one.after, one.facts["clock"] - one.before)
            for name, one in known.items()
        }
    )
    return grouped(found)


def predicted(name: str, what: str, refusal: str, warnings: Iterable[str]) -> Iterator[Finding]:
    """Return what prepare would stop at, or warn of, on a node; its words hold the remedy."""
    if refusal:
        yield Finding(ERROR, (name,), f"prepare would stop at the {what}: {refusal}", "")
    for warning in warnings:
        yield Finding(WARNING, (name,), f"prepare would warn about the {what}: {warning}", "")


def invalid_answer(name: str, problem: str) -> Finding:
    """Return the finding of a node whose answer is not valid."""
    return Finding(
        ERROR,
        (name,),
        f"{problem}, so nothing of it counts",
        "check what runs as Ansible's Python on the node, and run preflight again",
    )


def failed(name: str, message: str) -> Finding:
    """Return the finding of a node on which the module failed, with its message."""
    return Finding(
        ERROR,
        (name,),
        f"its facts cannot be read: {message}",
        "do what the message says, and run preflight again",
    )


def _unknown(name: str, played: bool) -> Finding:
    if played:
        return Finding(
            ERROR,
            (name,),
            "could not be asked: Ansible does not reach it, or has no Python there",
            "start it, or correct its address in the inventory",
        )
    return Finding(INFO, (name,), "was not looked at", "run preflight without --limit")


def _servers(nodes: Iterable[Node]) -> Iterator[Finding]:
    servers = sorted(node["name"] for node in nodes if node["group"] == SERVER)
    if servers and len(servers) % 2 == 0:
        yield Finding(
            WARNING,
            tuple(servers),
            f"{len(servers)} servers: etcd bears the loss of {len(servers) // 2 - 1}, no more than "
            f"with {len(servers) - 1}",
            "take an odd number of servers, or an external datastore",
        )


def _node(node: Node, facts: Facts, topology: Topology) -> Iterator[Finding]:
    where = (node["name"],)
    yield from _k3s(node)
    name = _node_name(node, facts)
    if not _HOSTNAME.fullmatch(name.lower()) or len(name) > 253:
        yield Finding(
            ERROR,
            where,
            f"Kubernetes takes no node with the hostname {name!r}",
            "hostnamectl set-hostname NAME, of letters, digits, '-' and '.'; or K3s's node-name",
        )
    yield from _units(where, facts)
    yield from packet_filters.findings(node, facts, topology)
    if facts["missing_drivers"]:
        yield Finding(
            ERROR,
            where,
            f"its kernel has no driver {', '.join(facts['missing_drivers'])} (k3s-ansible#536)",
            f"install {facts['driver_package']}, or reboot where a newer kernel was installed",
        )
    if facts["read_only"]:
        yield Finding(
            ERROR,
            where,
            f"{', '.join(facts['read_only'])} is read-only, and prepare and remove write there",
            "make it writable (mount -o remount,rw), or put it on a writable file system if the "
            "system is image-based",
        )
    if node["mode"] == "segregated" and facts["rp_filter"] == "1":
        yield Finding(
            INFO,
            where,
            "net.ipv4.conf.all.rp_filter is 1: what comes by another NIC than answers take is "
            "dropped",
            "set it to 2 where clients outside come by a router",
        )
    yield from _address(node, facts)
    yield from _routes(where, facts, topology)
    yield from _one_subnet(node, facts)
    if not {"k3s.service", "k3s-agent.service"} & set(facts["units"]):
        yield from _held(node, facts, topology)


def _node_name(node: Node, facts: Facts) -> str:
    """Return the name that K3s gives the node."""
    told = node["k3s"].get("settings", {}).get(NODE_NAME)
    return str(told["value"] if told else facts["hostname"])


def _k3s(node: Node) -> Iterator[Finding]:
    where = (node["name"],)
    for difference in node["k3s"].get("differences", ()):
        yield Finding(
            WARNING,
            where,
            f"{difference}; K3s uses the former",
            "give both the same value; k3s-ansible writes that of the inventory at its next run",
        )
    for problem in node["k3s"].get("unreadable", ()):
        yield Finding(
            WARNING,
            where,
            f"what K3s is told is not known: {problem}",
            "write it as plain 'key: value' lines, or set k3s_topology_node_ip, "
            "k3s_topology_cluster_interface, k3s_topology_pod_cidr, k3s_topology_service_cidr and "
            "the ports of Flannel's backend in k3s_topology_ports",
        )


def _units(where: tuple[str, ...], facts: Facts) -> Iterator[Finding]:
    units = facts["units"]

    def starts(name: str) -> bool:
        unit = units.get(name, {})
        return unit.get("active") == "active" or unit.get("file") in ("enabled", "enabled-runtime")

    # That it is missing, or masked and stopped, is among what prepare would stop at.
    firewalld = units.get("firewalld.service", {})
    if firewalld.get("load") == "masked" and firewalld["active"] == "active":
        yield Finding(
            ERROR,
            where,
            "firewalld runs, but is masked, so that it does not come back after a reboot",
            "systemctl unmask firewalld && systemctl enable firewalld",
        )
    if firewalld.get("load") == "loaded" and not starts("firewalld.service"):
        yield Finding(
            WARNING,
            where,
            "firewalld is neither running nor enabled",
            "systemctl enable --now firewalld, or leave that to whoever switches it on later",
        )
    if starts("firewalld.service") and facts["strict_forward_ports"]:
        yield Finding(
            ERROR,
            where,
            "StrictForwardPorts=yes in /etc/firewalld/firewalld.conf rejects the ports that K3s "
            "publishes (ServiceLB, NodePort, hostPort)",
            "set StrictForwardPorts=no there, and run: firewall-cmd --reload",
        )
    if starts("nftables.service") and facts["flushes_ruleset"]:
        yield Finding(
            ERROR,
            where,
            "nftables.service wipes everybody's rules with 'flush ruleset' when it starts",
            "systemctl disable nftables, or let its file delete only tables of its own",
        )
    if packet_filters.ufw_starts(facts):
        yield Finding(
            ERROR,
            where,
            "ufw is a second firewall beside firewalld, and closes what firewalld opens",
            "ufw disable && systemctl disable ufw",
        )
    for name in ("iptables.service", "ip6tables.service", "netfilter-persistent.service"):
        if starts(name):
            yield Finding(
                WARNING,
                where,
                f"{name} loads rules of iptables that firewalld does not know",
                f"move what they admit into firewalld, and systemctl disable {name}",
            )
    if starts("nm-cloud-setup.timer"):
        yield Finding(
            ERROR,
            where,
            "nm-cloud-setup rewrites addresses and routes, which breaks Flannel",
            "systemctl disable nm-cloud-setup.service nm-cloud-setup.timer, and reboot",
        )
    if starts("NetworkManager.service") and not facts["networkmanager_spares_cni"]:
        yield Finding(
            WARNING,
            where,
            "NetworkManager may take over cni0, flannel.1 and the veth devices of pods (rke2#786)",
            "under [keyfile] of a file in /etc/NetworkManager/conf.d, write "
            "unmanaged-devices=interface-name:cni*;interface-name:flannel*;interface-name:veth*",
        )


def _address(node: Node, facts: Facts) -> Iterator[Finding]:
    dynamic = {one for nic in facts["interfaces"].values() for one in nic["dynamic"]}
    if node["address"] in dynamic:
        yield Finding(
            WARNING,
            (node["name"],),
            "its address on the cluster network is a lease of DHCP, and an etcd member can't "
            "change its address (rke2#5651)",
            "give it a static address, or a reservation at the DHCP server",
        )


def _routes(where: tuple[str, ...], facts: Facts, topology: Topology) -> Iterator[Finding]:
    overlays = {"pods": topology["pod_cidr"], "services": topology["service_cidr"]}
    for what, cidr in overlays.items():
        overlay = ipaddress.ip_network(cidr)
        for route in facts["routes"]:
            network = ipaddress.ip_network(route["destination"], strict=False)
            if route["interface"].startswith(_OVERLAY) or not network.overlaps(overlay):
                continue
            narrow = network.prefixlen >= overlay.prefixlen
            yield Finding(
                ERROR if narrow else WARNING,
                where,
                f"its route to {network} by {route['interface'] or 'nowhere'} "
                + ("takes traffic from" if narrow else "holds")
                + f" the {what}' network {overlay}",
                f"move that network, or give k3s_topology_{what[:-1]}_cidr and K3s another one",
            )


def _one_subnet(node: Node, facts: Facts) -> Iterator[Finding]:
    """Find NICs in one subnet: the kernel answers on one of them, not on the one that received."""
    networks: dict[str, list[Any]] = defaultdict(list)
    for route in facts["routes"]:
        network = ipaddress.ip_network(route["destination"], strict=False)
        if route["connected"] and not network.is_link_local:
            networks[route["interface"]].append(network)
    own = node["cluster_interface"] or ""
    for other, theirs in networks.items():
        shared = [
            one
            for one in networks.get(own, ())
            if any(one.version == they.version and one.overlaps(they) for they in theirs)
        ]
        if other == own or other.startswith(_OVERLAY) or not shared:
            continue
        mixed = node["mode"] == "segregated" and other == node["external_interface"]
        yield Finding(
            ERROR if mixed else WARNING,
            (node["name"],),
            f"{own} and {other} are both in {shared[0]}: packets leave by one of them, whichever "
            "they are for" + (", so that the two networks are not apart" if mixed else ""),
            "give each NIC a subnet of its own, or use only one of them",
        )


def _held(node: Node, facts: Facts, topology: Topology) -> Iterator[Finding]:
    held = {(one["protocol"], one["port"]): frozenset(one["addresses"]) for one in facts["held"]}
    for protocol, port in held:
        if not held_ports.is_held(held, node["address"], protocol, port):
            continue
        rules = [
            rule
            for rule in topology["rules"]
            if rule["protocol"] == protocol
            and rule["first"] <= port <= rule["last"]
            and node["group"] in rule["destination"]
        ]
        for rule in rules:
            ports = _ports.format_port((rule["first"], rule["last"]))
            yield Finding(
                WARNING if rule["last"] - rule["first"] >= _WIDE else ERROR,
                (node["name"],),
                f"port {port}/{protocol} is taken, which {rule['name']} ({ports}) needs",
                f"ss -lnp 'sport = :{port}' names who has it; stop that, or move it",
            )


def _shared(nodes: Mapping[str, Node], facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Find what cloned machines have in common, and NICs that do not fit each other."""
    nics = {name: _cluster_nic(nodes[name], one) for name, one in facts.items()}
    values = (
        (
            "hostname",
            ERROR,
            {name: _node_name(nodes[name], one).lower() for name, one in facts.items()},
            "hostnamectl set-hostname, since K3s refuses the second node of a name",
        ),
        (
            "MAC address",
            ERROR,
            {name: nic.get("mac", "") for name, nic in nics.items()},
            "give each machine's cluster NIC a MAC address of its own",
        ),
        (
            "machine-id",
            WARNING,
            {name: one["machine_id"] for name, one in facts.items()},
            "rm /etc/machine-id && systemd-machine-id-setup, and reboot: DHCP may give machines "
            "of one machine-id one address",
        ),
    )
    for what, severity, by_name, remedy in values:
        owners: dict[str, list[str]] = defaultdict(list)
        for name, value in by_name.items():
            owners[value].append(name)
        for value, names in owners.items():
            if value and len(names) > 1:
                yield Finding(severity, tuple(names), f"have the same {what} {value}", remedy)
    sizes: dict[int, list[str]] = defaultdict(list)
    for name, nic in nics.items():
        if nic.get("mtu"):
            sizes[nic["mtu"]].append(name)
    if len(sizes) > 1:
        told = ", ".join(f"{mtu} ({' '.join(sorted(sizes[mtu]))})" for mtu in sorted(sizes))
        yield Finding(
            ERROR,
            tuple(name for names in sizes.values() for name in names),
            f"the MTU of the cluster's NICs differs: {told}; large packets get lost "
            "(hetzner-k3s#781)",
            "give all of them the same MTU",
        )


def _cluster_nic(node: Node, facts: Facts) -> Mapping[str, Any]:
    for name, nic in facts["interfaces"].items():
        if name == node["cluster_interface"] or node["address"] in nic["addresses"]:
            return dict(nic)
    return {}
