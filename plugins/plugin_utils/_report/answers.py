# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What else keeps a source of a probe from an answer. Pure functions.

A packet filter on the source may drop the probe as it leaves. One on the destination may drop the
answer as it leaves, one on the source as it arrives, or the destination has no route for it.

Each node has looked up a route to each address that it probes, so that the route of its answers to
that address is known as well.
"""

from __future__ import annotations

from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter import rules
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.chains import (
    INCOMING,
    OUTGOING,
)

from .._probe_plan.plan import Expectation
from .._topology.model import Topology
from .filters import ANY, filtered
from .seen import Seen

# The ports that Linux sends from (net.ipv4.ip_local_port_range), and the state of answers.
_EPHEMERAL = (32768, 60999)
_ANSWER = "established"


def _sender(topology: Topology, expectation: Expectation, seen: Seen) -> Optional[str]:
    """Return the address that a source sends from, if it is known."""
    return seen.came_from(expectation) or seen.address(topology, expectation["source"])


def no_route(topology: Topology, expectation: Expectation, seen: Seen) -> str:
    """Return that a destination has no route for its answers, and what to do.

    The text is empty if it has one, or if that is not known.
    """
    source, destination = expectation["source"], expectation["destination"]
    sender = _sender(topology, expectation, seen)
    if sender is None or not seen.has_no_route(destination, sender):
        return ""
    return (
        f"{destination} has no route back to {sender} ({source}), or one that drops packets: "
        f"correct it on {destination} ({shown_routes(sender)})"
    )


def shown_routes(address: str) -> str:
    """Return which command shows the routes that a host has to an address."""
    family = "-6 " if ":" in address else ""
    return f"ip {family}route show match {address} shows those that it has"


def another_route(topology: Topology, expectation: Expectation, seen: Seen) -> str:
    """Return that a destination's answers may leave by another NIC, and what to do.

    This is what a missing route looks like on a node that has a default route: it sends from an
    address other than the one that was probed, and nothing that it sends to the source is answered.
    """
    source, destination = expectation["source"], expectation["destination"]
    address = expectation["address"]
    sender = _sender(topology, expectation, seen)
    own = seen.own_address(destination, sender) if sender is not None else None
    if (
        sender is None
        or own is None
        or own == address
        or seen.address(topology, destination) != address
        or seen.is_reached(destination, sender)
    ):
        return ""
    return (
        f"{destination} sends to {sender} ({source}) from {own} and not from {address}, so that "
        f"its answers may leave by another NIC: see ip route get {sender} on {destination}, and "
        f"add a route to {sender} by the NIC of {address}"
    )


def outgoing(
    topology: Topology, expectation: Expectation, port: int, seen: Seen, certain: bool
) -> str:
    """Return which packet filter of a source drops a probe as it leaves, and what to do."""
    source, address = expectation["source"], expectation["address"]
    firewall = seen.firewall(source)
    if firewall is None:
        return ""
    packet = rules.Packet(
        _sender(topology, expectation, seen) or _any(address),
        address,
        expectation["protocol"],
        port,
        port,
        inputs=(rules.OWN,),
        outputs=_nic(topology, expectation, source),
        local=False,
    )
    found = filtered(firewall, OUTGOING, packet, certain)
    return f"on {source}, {found}" if found else ""


def of_answers(topology: Topology, expectation: Expectation, seen: Seen, certain: bool) -> str:
    """Return which packet filter drops an answer, of the destination first, and what to do.

    The port of the source is not known, and that of the destination is not compared.
    """
    source, destination = expectation["source"], expectation["destination"]
    address = expectation["address"]
    answer = rules.Packet(
        address,
        _sender(topology, expectation, seen) or _any(address),
        expectation["protocol"],
        *_EPHEMERAL,
        state=_ANSWER,
    )
    leaves = answer._replace(
        inputs=(rules.OWN,), outputs=_nic(topology, expectation, destination), local=False
    )
    arrives = answer._replace(inputs=_nic(topology, expectation, source), local=True)
    for host, hooks, packet in ((destination, OUTGOING, leaves), (source, INCOMING, arrives)):
        firewall = seen.firewall(host)
        if firewall is None:
            continue
        found = filtered(firewall, hooks, packet, certain, "the answers")
        if found:
            return f"on {host}, {found}"
    return ""


def _any(address: str) -> str:
    return ANY[6 if ":" in address else 4]


def _nic(topology: Topology, expectation: Expectation, name: str) -> tuple[str, ...]:
    """Return the interface of a node on the cluster network, if the probe is for that network."""
    nodes = {node["name"]: node for node in topology["nodes"]}
    destination, node = nodes.get(expectation["destination"]), nodes.get(name)
    if destination is None or node is None or destination["address"] != expectation["address"]:
        return ()
    return (node["cluster_interface"],) if node["cluster_interface"] else ()
