# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failed check means, and what to do about it. Pure functions."""

from __future__ import annotations

import functools
import ipaddress
import re

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    overlay,
    prober,
)

from .._firewall_rules import POLICY_CLIENTS, POLICY_NODES
from .._probe_plan.plan import Expectation
from .._topology.model import EXTERNAL, Topology, find_node
from .answers import another_route, no_route, of_answers, outgoing, shown_routes
from .blockers import blocker, certain_blocker, nothing_found, opener, possible_blocker
from .seen import Seen
from .zones import Packet

# What comes before the cause and remedy in what remedy() returns.
_OBSERVATION = re.compile(
    r"no answer(?:, so a firewall on .*? or on the way drops it| .*? what comes back): "
    r"|.*?'s firewall rejects it(?: \(.*?\))?: "
    r"|the path is open, but .*? any more; "
)
# What send() returns if a packet filter drops the packet as it leaves.
_NOT_PERMITTED = "EPERM"
_LOSSY = (
    "look for a rule with a rate limit on {destination} or on the way (nft list ruleset, "
    "iptables-save), and for errors of NICs on {source} and {destination} (ip -s link)"
)


@functools.lru_cache(maxsize=4096)
def cause_of(detail: str) -> str:
    """Return the cause and remedy in the detail of a failed check, without what was observed.

    The text is empty if the detail does not say what drops or rejects packets.
    """
    observation = _OBSERVATION.match(detail)
    return detail[observation.end() :] if observation else ""


def remedy(
    topology: Topology, expectation: Expectation, port: int, observed: str, said: str, seen: Seen
) -> str:
    """Say what a failure means and what to do, in a sentence."""
    source, destination = expectation["source"], expectation["destination"]
    address = expectation["address"]
    there = _blocker(topology, expectation, port, seen)
    if observed == prober.TIMEOUT:
        back = _no_answer(topology, expectation, port, seen)
        if back:
            return f"no answer, since {back}{f'; {said}' if said else ''}"
    fix = there or _unknown(topology, destination, source, seen)
    besides = f"; {said}" if said else ""
    leaves = outgoing(topology, expectation, port, seen, certain=True)
    texts = {
        prober.REJECTED: (
            f"{source}'s own packet filter rejects it{f' ({said})' if said else ''}: {leaves}"
            if leaves
            else _rejected(topology, expectation, said, fix)
        ),
        prober.TIMEOUT: (
            f"no answer, so a firewall on {destination} or on the way drops it: {fix}{besides}"
        ),
        prober.OVERLAY_SILENT: _silent_overlay(topology, expectation, port, said, there, fix, seen),
        prober.MTU_HOLE: (
            f"{said}; give the NICs of {source} and {destination}, and every switch port between "
            "them, the same MTU"
        ),
        prober.LOSS: (
            f"packets from {source} to {destination} are lost ({said}): "
            + (there or _LOSSY.format(source=source, destination=destination))
        ),
        prober.UNREACHABLE: _unreachable(expectation, said),
        prober.REFUSED: (
            f"the path is open, but nobody listens on {destination}: start the service, or have it "
            f"listen on {address}"
            if seen.mode == "live"
            else f"the path is open, but {destination} refuses: a rule there resets the "
            f"connection{' (' + said + ')' if said else ''}, or nobody listens on {address} any "
            f"more; {there or 'see firewall-cmd --list-all-policies and nft list ruleset'}"
        ),
        prober.ERROR: said.replace("on the source", f"on {source}")
        + (f"; {leaves}" if leaves and said.endswith(_NOT_PERMITTED) else ""),
    }
    return texts.get(observed, said)


def is_wireguard(said: str) -> bool:
    """Tell whether what a probe says of the overlay is about WireGuard."""
    return any(f" behind {device} " in said for device in overlay.WIREGUARD_DEVICES)


def _silent_overlay(
    topology: Topology,
    expectation: Expectation,
    port: int,
    said: str,
    there: str,
    fix: str,
    seen: Seen,
) -> str:
    """Say what keeps an address in the overlay from answering.

    VXLAN sends what comes back to the port of the source. WireGuard has one connection for both
    directions, so the firewall of the source admits it.
    """
    source, destination = expectation["source"], expectation["destination"]
    by_wireguard = is_wireguard(said)
    kind = "wireguard" if by_wireguard else "vxlan"
    state = f"state is wrong, on {source} or {destination} (ip -details link show type {kind})"
    if said.endswith(prober.PORT_IS_OPEN):
        if by_wireguard:
            return f"no answer {said}: the overlay's own {state}; restart K3s there"
        back = returns(topology, expectation, port, seen)
        return f"no answer {said}: {back}; or the overlay's own {state}"
    if by_wireguard:
        return (
            f"no answer {said}, so a firewall on {destination} or on the way drops WireGuard's "
            f"packets: {fix}"
        )
    back = there or _blocker_of_answers(topology, expectation, port, seen) or fix
    return (
        f"no answer {said}, so a firewall on {destination} or on the way drops VXLAN, or one on "
        f"{source} what comes back: {back}"
    )


def _unreachable(expectation: Expectation, said: str) -> str:
    source, destination = expectation["source"], expectation["destination"]
    address = expectation["address"]
    shown = f"({shown_routes(address)})"
    if said == prober.NO_ROUTE:
        return f"{source} has no route to {address}: add one on {source} {shown}"
    if said in prober.ROUTE_DROPS.values():
        return f"{said.replace('the source', source)}, to {address}: remove it {shown}"
    return (
        f"{source} can't reach {address} ({said}); check cables, addresses and routes between "
        f"{source} and {destination}"
    )


def _rejected(topology: Topology, expectation: Expectation, said: str, fix: str) -> str:
    """Say whose firewall rejects, by the address that sent the ICMP."""
    destination = expectation["destination"]
    sender = said.rpartition(" from ")[2]
    names = {node["address"]: node["name"] for node in topology["nodes"]}
    if said and sender != expectation["address"] and names.get(sender) != destination:
        at = f"{sender} ({names[sender]})" if sender in names else sender
        return (
            f"a firewall at {at}, on the way to {destination}, rejects it ({said}): admit it there"
        )
    return f"{destination}'s firewall rejects it{f' ({said})' if said else ''}: {fix}"


def returns(topology: Topology, expectation: Expectation, port: int, seen: Seen) -> str:
    """Say what at a source drops the answers of a destination, and what to do."""
    source, destination = expectation["source"], expectation["destination"]
    found = _blocker_of_answers(topology, expectation, port, seen)
    return found or f"on {source}, {_unknown(topology, source, destination, seen)}"


def opened(topology: Topology, expectation: Expectation, port: int, seen: Seen) -> str:
    """Say what admits packets that no rule admits, and what to do."""
    source, destination = expectation["source"], expectation["destination"]
    firewall = seen.firewall(destination)
    found = (
        opener(firewall, destination, _packet(topology, expectation, port, seen))
        if (firewall)
        else ""
    )
    found = found or f"see what else admits it: firewall-cmd --list-all-zones on {destination}"
    return f"open to {source}, which no rule admits; {found}"


def _unknown(topology: Topology, host: str, peer: str, seen: Seen) -> str:
    """Say what should admit packets of a peer if it is not known what drops them."""
    firewall = seen.firewall(host)
    if firewall is None or firewall.problem:
        return f"{admission(topology, peer)} should admit it; run the playbook prepare"
    return nothing_found(firewall, host)


def _blocker(topology: Topology, expectation: Expectation, port: int, seen: Seen) -> str:
    host = expectation["destination"]
    firewall = seen.firewall(host)
    if firewall is None:
        return ""
    wrong = _wrong_source(topology, expectation, seen)
    return wrong or blocker(firewall, host, _packet(topology, expectation, port, seen))


def _no_answer(topology: Topology, expectation: Expectation, port: int, seen: Seen) -> str:
    """Say what else keeps the source from an answer, if nothing at the destination does.

    What is certain comes first.
    """
    host = expectation["destination"]
    firewall = seen.firewall(host)
    packet = _packet(topology, expectation, port, seen)
    leaves = outgoing(topology, expectation, port, seen, certain=True)
    if leaves:
        return leaves
    if firewall is not None and (
        _wrong_source(topology, expectation, seen) or certain_blocker(firewall, host, packet)
    ):
        return ""
    found = no_route(topology, expectation, seen) or of_answers(
        topology, expectation, seen, certain=True
    )
    if found or (firewall is not None and possible_blocker(firewall, host, packet)):
        return found
    return (
        outgoing(topology, expectation, port, seen, certain=False)
        or of_answers(topology, expectation, seen, certain=False)
        or another_route(topology, expectation, seen)
    )


def _wrong_source(topology: Topology, expectation: Expectation, seen: Seen) -> str:
    """Say that a node sends from another address than the one that rules admit."""
    source, destination = expectation["source"], expectation["destination"]
    own, used = seen.address(topology, source), seen.came_from(expectation)
    node = find_node(topology, destination)
    if (
        not topology["restrict_sources"]
        or expectation["address"] != node["address"]
        or own is None
        or used is None
        or ipaddress.ip_address(own) == ipaddress.ip_address(used)
    ):
        return ""
    return (
        f"{source} sends from {used}, and {destination} admits {own} of {source} only: give the "
        f"route on {source} the source address {own} (ip route get {expectation['address']} shows "
        f"it; ip route replace takes it with src {own}), or set k3s_topology_node_ip of {source} "
        f"to {used} and run the playbook prepare"
    )


def _blocker_of_answers(topology: Topology, expectation: Expectation, port: int, seen: Seen) -> str:
    back = expectation.copy()
    back["source"], back["destination"] = expectation["destination"], expectation["source"]
    back["address"] = seen.address(topology, expectation["source"]) or ""
    return _blocker(topology, back, port, seen)


def _packet(topology: Topology, expectation: Expectation, port: int, seen: Seen) -> Packet:
    """Return the packet of a check, as its destination sees it."""
    node = find_node(topology, expectation["destination"])
    inside = expectation["address"] == node["address"]
    address = seen.address(topology, expectation["source"])
    return Packet(
        address=expectation["address"],
        port=port,
        protocol=expectation["protocol"],
        interface=node["cluster_interface"] if inside else node["external_interface"],
        from_node=address is not None,
        source_address=seen.came_from(expectation) or address,
        by_policy=address is None
        or topology["restrict_sources"]
        or _is_external(topology, expectation),
    )


def _is_external(topology: Topology, expectation: Expectation) -> bool:
    """Tell whether a rule admits external clients, which the policy for clients does."""
    name = expectation["rule"]
    return any(EXTERNAL in rule["source"] for rule in topology["rules"] if rule["name"] == name)


def admission(topology: Topology, source: str) -> str:
    """Name the firewalld object that admits a source."""
    from_node = any(node["name"] == source for node in topology["nodes"])
    if from_node and not topology["restrict_sources"]:
        return "the zone of its cluster interface (firewall-cmd --get-active-zones)"
    policy = POLICY_NODES if from_node else POLICY_CLIENTS
    return f"its firewalld policy {policy} (firewall-cmd --info-policy={policy})"
