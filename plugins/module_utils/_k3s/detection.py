# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which interface and address K3s and Flannel detect on a node that names neither. Pure functions.

K3s calls ChooseHostInterface of k8s.io/apimachinery (pkg/util/net/interface.go): the first row of
/proc/net/route with destination 0.0.0.0 whose interface, or else the loopback, is up and has a
global unicast address; without one, the same with /proc/net/ipv6_route. It skips interfaces of
Flannel and the CNI. Flannel takes the first IPv4 default route.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

_IPV4_COLUMNS = 8
_IPV6_COLUMNS = 10
_SKIPPED = ("flannel", "cni")

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class Detected(NamedTuple):
    """What K3s and Flannel detect; empty strings where they find nothing and don't start."""

    interface: str = ""
    address: str = ""
    flannel_interface: str = ""


class Row(NamedTuple):
    """A route with destination 0.0.0.0 or ::, in the order of the kernel's table."""

    interface: str
    metric: int
    whole: bool = True
    """Whether it is for all addresses: 0.0.0.0/1 begins with 0.0.0.0 as well, and K3s takes it."""


def parse_ipv4(text: str) -> list[Row]:
    """Read /proc/net/route."""
    rows = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= _IPV4_COLUMNS and int(fields[1], 16) == 0:
            rows.append(Row(fields[0], int(fields[6]), int(fields[7], 16) == 0))
    return rows


def parse_ipv6(text: str) -> list[Row]:
    """Read /proc/net/ipv6_route."""
    rows = []
    for line in text.splitlines():
        fields = line.split()
        # K3s passes over those without a gateway.
        if len(fields) >= _IPV6_COLUMNS and not int(fields[0], 16) and int(fields[4], 16):
            rows.append(Row(fields[9], int(fields[5], 16), int(fields[1], 16) == 0))
    return rows


def detect(
    ipv4: Sequence[Row], ipv6: Sequence[Row], links: Sequence[Mapping[str, Any]]
) -> Detected:
    """Return what is detected. C(links) is what C(ip -json address show) prints."""
    by_name = {link.get("ifname", ""): link for link in links}
    flannel = next((row.interface for row in ipv4 if row.whole), "")
    flannel = flannel if flannel in by_name else ""
    loopbacks = [link for link in links if "LOOPBACK" in link.get("flags", ())]
    for version, rows in ((4, ipv4), (6, ipv6)):
        for row in rows:
            if row.interface.startswith(_SKIPPED):
                continue
            # Such is the row of an unreachable route, whose interface is "*": K3s gives up there.
            if row.interface not in by_name:
                return Detected(flannel_interface=flannel)
            # Where NICs have link-local addresses alone (RFC 5549), the loopback has the node's.
            for link in (by_name[row.interface], *loopbacks):
                address = _address(link, version)
                if address:
                    return Detected(link["ifname"], address, flannel)
    return Detected(flannel_interface=flannel)


def with_route(rows: Sequence[Row], interface: str, metric: int) -> list[Row]:
    """Return the rows with a default route added where the kernel would put it."""
    # Of the same destination the longer prefix comes first, then the lower metric.
    place = sum(not row.whole or row.metric <= metric for row in rows)
    return [*rows[:place], Row(interface, metric), *rows[place:]]


def _address(link: Mapping[str, Any], version: int) -> str:
    if "UP" not in link.get("flags", ()):
        return ""
    for one in link.get("addr_info", ()):
        address = ipaddress.ip_address(one["local"])
        if address.version == version and _is_global_unicast(address):
            return str(address)
    return ""


def _is_global_unicast(address: Address) -> bool:
    """Judge as Go's IsGlobalUnicast does, for which private addresses are global as well."""
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or str(address) == "255.255.255.255"
    )
