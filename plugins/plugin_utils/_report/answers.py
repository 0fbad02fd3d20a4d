# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the answers of a destination from the source of a probe. Pure functions.

Each node has looked up a route to each address that it probes, so that the route of its answers to
that address is known as well.
"""

from __future__ import annotations

from typing import Optional

from .._probe_plan.plan import Expectation
from .._topology.model import Topology
from .seen import Seen


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
        f"{destination} has no route back to {sender} ({source}): add one on {destination} "
        f"(ip route get {sender} shows which route it takes)"
    )


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
