# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds packet filters other than firewalld that drop the cluster's packets. Pure.

A packet has to pass each base chain of its hook: what firewalld accepts, another chain may drop.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.chains import (
    INCOMING,
    OUTGOING,
    Chain,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.owners import (
    FIREWALLD,
    UFW,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.rules import (
    OWN,
    Hit,
    Packet,
    fate,
    network,
)

from .._k3s.settings import BACKEND
from .._packet_filter import is_policy_of_iptables, read_chains, read_texts, remedy, title, with_hit
from .._topology.model import EXTERNAL, POD, Node, Topology
from .finding import ERROR, INFO, WARNING, Facts, Finding

_BRIDGE = "cni0"
_WIREGUARD = ("wireguard", "wireguard-native")
# Findings of a chain, and rules of the port table that a finding names.
_MOST = 5
_NAMED = 3
_SAMPLES = 100
_ZONE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
_PODS = "packets between pods"


class Need(NamedTuple):
    """A packet that the cluster needs a node to take."""

    what: str
    """As a finding names it."""
    packet: Packet
    external: bool = False
    """Whether its source is any external client: that some are dropped is the user's decision."""
    sample: bool = False
    """Whether it stands for external clients that the chain does not name."""


def findings(node: Node, facts: Facts, topology: Topology) -> Iterator[Finding]:
    """Yield what is found in a node's packet filters."""
    where = (node["name"],)
    yield from _default_zone(where, facts)
    for text in read_texts(facts.get("packet_filters_unknown")):
        yield Finding(
            INFO,
            where,
            f"not all packet filters are known: {text}",
            "look for rules that drop the cluster's packets: nft list ruleset; iptables-save",
        )
    # Another finding names ufw.
    known = UFW if ufw_starts(facts) else None
    chains = read_chains(facts.get("packet_filters"))
    yield from of_chains(
        node, [chain for chain in chains if chain["policy_owner"] != known], topology
    )


def of_chains(node: Node, chains: Sequence[Chain], topology: Topology) -> Iterator[Finding]:
    """Yield what base chains drop of the packets that the cluster needs."""
    for chain in chains:
        if _concerns(chain, node):
            yield from _of_chain(node, chain, topology)


def ufw_starts(facts: Facts) -> bool:
    """Whether ufw is enabled, and its service runs or starts at boot."""
    unit = facts["units"].get("ufw.service", {})
    starts = unit.get("active") == "active" or unit.get("file") in ("enabled", "enabled-runtime")
    return starts and bool(facts.get("ufw_enabled", True))


def _default_zone(where: tuple[str, ...], facts: Facts) -> Iterator[Finding]:
    if facts.get("default_zone_target") != "ACCEPT":
        return
    zone = facts.get("default_zone")
    advice = "firewall-cmd --set-default-zone=public, after the zone public has what clients need"
    # The target of the zone trusted cannot be changed.
    if isinstance(zone, str) and zone != "trusted" and _ZONE.fullmatch(zone):
        advice = (
            f"firewall-cmd --permanent --zone={zone} --set-target=default && firewall-cmd --reload,"
            " after the zone has what clients need"
        )
    yield Finding(
        WARNING,
        where,
        "the default zone of firewalld has the target ACCEPT: each port is open on interfaces that "
        "are in no other zone",
        advice,
    )


def _concerns(chain: Chain, node: Node) -> bool:
    """Whether a base chain is for the cluster's family and, at ingress, for its interfaces."""
    other = {4: "ip6", 6: "ip"}[ipaddress.ip_address(node["address"]).version]
    interfaces = {
        node["cluster_interface"],
        node["external_interface"],
        *node["overlay_interfaces"],
    }
    elsewhere = chain["devices"] and None not in interfaces and not interfaces & {*chain["devices"]}
    return chain["family"] != other and not elsewhere


def _meets(chain: Chain, packet: Packet) -> bool:
    """Whether a packet meets a base chain: one at ingress is only for packets of its interfaces."""
    devices = {*chain["devices"]}
    return not devices or not packet.inputs or not devices.isdisjoint(packet.inputs)


def _of_chain(node: Node, chain: Chain, topology: Topology) -> Iterator[Finding]:
    certain: dict[tuple[str, str], list[str]] = defaultdict(list)
    possible: dict[tuple[str, str], list[str]] = defaultdict(list)
    hits: dict[tuple[str, str], Hit] = {}
    for need in _needs(node, chain, topology):
        if not _meets(chain, need.packet):
            continue
        found = fate(chain["rules"], chain["chain"], chain["policy"], need.packet)
        may_drop = [] if need.external or need.sample else found.possible
        for hit in [found.dropped] if found.dropped else may_drop:
            key = (hit.chain, hit.rule.get("text", "") if hit.rule else "")
            hits.setdefault(key, hit)
            whats = (certain if found.dropped and not need.sample else possible)[key]
            if need.what not in whats:
                whats.append(need.what)
    for key, hit in list(hits.items())[:_MOST]:
        yield _finding(node, with_hit(chain, hit), hit, certain.get(key), possible.get(key, []))


def _finding(
    node: Node, chain: Chain, hit: Hit, certain: Optional[Sequence[str]], possible: Sequence[str]
) -> Finding:
    drops = "drops" if certain else "may drop"
    inside = f" in chain {hit.chain}" if hit.chain != chain["chain"] else ""
    return Finding(
        _severity(chain, bool(certain)),
        (node["name"],),
        f"{title(chain)} {drops} {_few(certain or possible)}, whatever firewalld accepts: "
        f"{chain['rule']}{inside}",
        remedy(chain),
    )


def _severity(chain: Chain, certain: bool) -> str:
    third_party = chain["owner"] not in ("", UFW, FIREWALLD)
    if certain and not third_party and not is_policy_of_iptables(chain):
        return ERROR
    if third_party and (not certain or is_policy_of_iptables(chain)):
        return INFO
    return WARNING


def _few(whats: Sequence[str]) -> str:
    more = len(whats) - _NAMED
    return ", ".join(whats[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _needs(node: Node, chain: Chain, topology: Topology) -> Iterator[Need]:
    """Yield the packets that the cluster needs at the hook of a base chain."""
    hook = chain["hook"]
    if hook in INCOMING:
        yield from _to_node(node, topology, _prefixes(chain, "sources"))
    if hook in OUTGOING:
        yield from _from_node(node, topology, _prefixes(chain, "destinations"))
    if hook not in ("input", "output"):
        yield from _between_pods(node, topology)


def _prefixes(chain: Chain, side: Literal["sources", "destinations"]) -> tuple[str, ...]:
    """Return the networks that the rules of a chain name."""
    rules = [rule for rules in chain["rules"].values() for rule in rules]
    return tuple(sorted({one for rule in rules for one in rule.get(side, ())}))


def _from_node(node: Node, topology: Topology, prefixes: tuple[str, ...]) -> Iterator[Need]:
    for rule in topology["rules"]:
        if node["group"] not in rule["source"]:
            continue
        ports = _ports.format_port((rule["first"], rule["last"]))
        packet = Packet(
            node["address"],
            "",
            rule["protocol"],
            rule["first"],
            rule["last"],
            inputs=(OWN,),
            outputs=_names(node["cluster_interface"]),
            local=False,
        )
        for group in rule["destination"]:
            for address in _peers(node, group, topology, prefixes):
                what = f"{rule['name']} ({ports}/{rule['protocol']}) to other nodes"
                yield Need(what, packet._replace(destination=address))


def _to_node(node: Node, topology: Topology, prefixes: tuple[str, ...]) -> Iterator[Need]:
    sources = {group: _peers(node, group, topology, prefixes) for group in ("server", "agent")}
    any_address = _any(node)
    for rule in topology["rules"]:
        if node["group"] not in rule["destination"]:
            continue
        ports = _ports.format_port((rule["first"], rule["last"]))
        what = f"{rule['name']} ({ports}/{rule['protocol']})"
        packet = Packet(
            "",
            node["address"],
            rule["protocol"],
            rule["first"],
            rule["last"],
            inputs=_names(node["cluster_interface"]),
            local=True,
        )
        for source in rule["source"]:
            if source == POD:
                bridge = _names(_BRIDGE if _BRIDGE in node["overlay_interfaces"] else None)
                pods = packet._replace(source=topology["pod_cidr"], inputs=bridge)
                yield Need(f"{what} from pods", pods)
            elif source == EXTERNAL:
                outside = packet._replace(
                    destination=node["external_address"] or node["address"],
                    inputs=_names(node["external_interface"]),
                )
                for cidr in topology["external_sources"] or [any_address]:
                    yield Need(what, outside._replace(source=cidr), external=True)
                    for address in _sample(cidr, prefixes):
                        yield Need(what, outside._replace(source=address), sample=True)
            else:
                for address in sources[source]:
                    yield Need(what, packet._replace(source=address))


def _between_pods(node: Node, topology: Topology) -> Iterator[Need]:
    bridge = _names(_BRIDGE if _BRIDGE in node["overlay_interfaces"] else None)
    overlay = _names(_overlay(node))
    for protocol in ("tcp", "udp"):
        for inputs, outputs in ((overlay, bridge), (bridge, overlay)):
            cidr = topology["pod_cidr"]
            packet = Packet(cidr, cidr, protocol, inputs=inputs, outputs=outputs, local=False)
            yield Need(_PODS, packet)


def _overlay(node: Node) -> Optional[str]:
    """Return the interface of Flannel between nodes, None if it is not known."""
    setting = node["k3s"].get("settings", {}).get(BACKEND)
    backend = str(setting["value"]) if setting else "vxlan"
    if backend == "host-gw":
        return node["cluster_interface"]
    is_ipv6 = ipaddress.ip_address(node["address"]).version == 6
    kinds = (
        "flannel-wg-v6" if is_ipv6 else "flannel-wg",
        "flannel-v6.1" if is_ipv6 else "flannel.1",
    )
    name = kinds[0] if backend in _WIREGUARD else kinds[1]
    return name if name in node["overlay_interfaces"] else None


def _peers(node: Node, group: str, topology: Topology, prefixes: tuple[str, ...]) -> list[str]:
    """Return addresses of a group, one other than the node's for each way the chain sees them."""
    addresses = tuple(one["address"] for one in topology["nodes"] if one["group"] == group)
    classes = _classes(addresses, prefixes)
    found = (next((one for one in few if one != node["address"]), "") for few in classes)
    return [one for one in found if one]


@functools.lru_cache(maxsize=64)
def _classes(addresses: tuple[str, ...], prefixes: tuple[str, ...]) -> list[list[str]]:
    """Return up to two addresses of each group of addresses that are in the same networks."""
    networks = [one for one in map(network, prefixes) if one]
    classes: dict[tuple[bool, ...], list[str]] = defaultdict(list)
    for address in addresses:
        parsed = ipaddress.ip_address(address)
        few = classes[tuple(parsed in one for one in networks)]
        if len(few) < 2:
            few.append(address)
    return list(classes.values())


@functools.lru_cache(maxsize=64)
def _sample(cidr: str, prefixes: tuple[str, ...]) -> list[str]:
    """Return an address of a network that is in none of the others, if one is found."""
    whole = ipaddress.ip_network(cidr, strict=False)
    networks = [one for one in map(network, prefixes) if one and one.prefixlen > 0]
    step = max(1, whole.num_addresses // _SAMPLES)
    for number in range(1, whole.num_addresses, step):
        address = whole[number]
        if not any(address in one for one in networks):
            return [str(address)]
    return []


def _any(node: Node) -> str:
    return "::/0" if ipaddress.ip_address(node["address"]).version == 6 else "0.0.0.0/0"


def _names(name: Optional[str]) -> tuple[str, ...]:
    return (name,) if name else ()
