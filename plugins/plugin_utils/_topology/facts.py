# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the network from the facts of a node. Pure functions.

A node sends what it likes: each value is validated before it counts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

# A node has one interface for each pod, and with kube-proxy's IPVS one address for each service.
_MOST_INTERFACES = 10_000
_MOST_ADDRESSES = 50_000
_LONGEST_NAME = 15
_LONGEST_REASON = 500


class Network(NamedTuple):
    """What a node reports of its network."""

    interfaces: Optional[Mapping[str, list[str]]] = None
    """Interface name to its addresses in CIDR form, None if the node was not read."""
    dummies: tuple[str, ...] = ()
    connection_address: Optional[str] = None
    """The node's address in the SSH connection, None if the node does not know."""


def read(facts: Any) -> Network:
    """Return what a node reports of its network.

    Args:
        facts: What the action node_facts returns as C(k3s_network), empty if it was not read.

    Raises:
        ValueError: A value has the wrong type or size; the text names the key.
    """
    if not facts:
        return Network()
    if not isinstance(facts, Mapping):
        raise ValueError("they are not a dictionary")
    given = facts.get("interfaces")
    if not isinstance(given, Mapping) or len(given) > _MOST_INTERFACES:
        raise ValueError(f"interfaces is not a dictionary of up to {_MOST_INTERFACES} keys")
    interfaces = {_name(name, "interfaces"): _cidrs(cidrs) for name, cidrs in given.items()}
    if sum(map(len, interfaces.values())) > _MOST_ADDRESSES:
        raise ValueError(f"interfaces has more than {_MOST_ADDRESSES} addresses")
    dummies = facts.get("dummies", ())
    if not isinstance(dummies, (list, tuple)) or len(dummies) > _MOST_INTERFACES:
        raise ValueError(f"dummies is not a list of up to {_MOST_INTERFACES} names")
    return Network(
        interfaces,
        tuple(_name(name, "dummies") for name in dummies),
        _connection_address(facts.get("connection_address")),
    )


def to_address(text: str) -> Optional[str]:
    """Return an IP address in its canonical form, None for other text.

    It has no zone, since the zone of the one side means nothing to the other. An IPv4 address that
    is mapped to IPv6 is the IPv4 address.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def reason(answer: Mapping[str, Any]) -> str:
    """Return why a host did not answer, which may be the host's own text, as one short line."""
    line = " ".join(str(answer.get("msg", ""))[:_LONGEST_REASON].split())
    return "".join(one if one.isprintable() else "?" for one in line)


def _name(name: Any, key: str) -> str:
    """Return the name of an interface. The kernel admits any text without spaces, "/" and ":"."""
    if (
        not isinstance(name, str)
        or not 0 < len(name.encode(errors="replace")) <= _LONGEST_NAME
        or not name.isprintable()
        or set(name) & set(" /:")
    ):
        raise ValueError(f"{key} has a text that is not the name of a network interface")
    return str(name)


def _cidrs(given: Any) -> list[str]:
    if not isinstance(given, (list, tuple)):
        raise ValueError("interfaces has addresses that are not a list")
    found = []
    for text in given:
        try:
            # It takes numbers and tuples as well, and a zone.
            interface = ipaddress.ip_interface(text) if isinstance(text, str) else None
        except ValueError:
            interface = None
        if interface is None or "%" in text:
            raise ValueError("interfaces has a value that is not an address")
        found.append(str(interface))
    return found


def _connection_address(given: Any) -> Optional[str]:
    if given in (None, ""):
        return None
    address = to_address(given) if isinstance(given, str) else None
    if address is None:
        raise ValueError("connection_address is not an IP address")
    return address
