# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a node needs the dummy default route, and what has to be done. Pure functions.

K3s finds the node's address by the default route, and kube-proxy's ClusterIP routing needs one
to exist; a node without one gets a dummy interface that carries one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._routes import (
    PROFILE,
    devices,
    real_routes,
)

DRIVER = "dummy"
# A zone of firewalld's own that admits nothing: what arrives on a dummy was never sent to us.
ZONE = "drop"
# firewalld and the kernel both cut interface names at 15 characters.
_INTERFACE_LENGTH = 15
_METRIC_MAX = 4294967295


class DefaultRouteError(Exception):
    """The wanted route can't be had on this host; the text says why and what to do."""


@dataclass(frozen=True)
class Wanted:
    """The dummy route: C(address) in CIDR form, C(metric) as in C(ip route)."""

    interface: str
    address: str
    gateway: str
    metric: int

    def profile(self) -> dict[str, str]:
        """Return the settings of NetworkManager's profile, as nmcli prints them."""
        return {
            "connection.interface-name": self.interface,
            "connection.autoconnect": "yes",
            "connection.zone": ZONE,
            "ipv4.method": "manual",
            "ipv4.addresses": self.address,
            "ipv4.gateway": self.gateway,
            "ipv4.route-metric": str(self.metric),
            "ipv6.method": "disabled",
        }

    def route(self) -> str:
        """Return the route as C(ip route) prints it."""
        return f"default via {self.gateway} dev {self.interface} metric {self.metric}"


@dataclass(frozen=True)
class Link:
    """An interface: C(kind) is iproute2's, empty for a physical NIC; addresses in CIDR form."""

    name: str
    kind: str = ""
    addresses: Sequence[str] = ()


@dataclass(frozen=True)
class Host:
    """What was read from the host."""

    routes: Sequence[Mapping[str, Any]]
    """Default routes of the main table as C(ip -json route) returns them."""
    links: Mapping[str, Link]
    profile: Optional[Mapping[str, str]]
    """Settings of the profile of ours, None where there is none."""
    profile_interface_owner: str = ""
    """Another profile that is active on the wanted interface, empty where none is."""
    network_manager: bool = True
    driver_problem: str = ""
    """Why no dummy interface can be made, empty where one can."""


@dataclass(frozen=True)
class Plan:
    """What to do, in this order, and the host before and after in lines that people read."""

    remove: bool = False
    write: bool = False
    activate: bool = False
    before: Sequence[str] = field(default_factory=tuple)
    after: Sequence[str] = field(default_factory=tuple)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return self.remove or self.write or self.activate


def validate(wanted: Wanted) -> list[str]:
    """Return what is wrong with the values, each with its variable and the remedy."""
    problems = []
    if not wanted.interface or len(wanted.interface) > _INTERFACE_LENGTH or "/" in wanted.interface:
        problems.append(
            f"k3s_default_route_interface is '{wanted.interface}'; give a name of "
            f"1 to {_INTERFACE_LENGTH} characters without a slash"
        )
    if not 0 <= wanted.metric <= _METRIC_MAX:
        problems.append(
            f"k3s_default_route_metric is {wanted.metric}; give a number from 0 to {_METRIC_MAX}"
        )
    try:
        address = ipaddress.IPv4Interface(wanted.address)
    except ValueError as error:
        return [*problems, f"k3s_default_route_address: {error}; give one such as 203.0.113.254/31"]
    try:
        gateway = ipaddress.IPv4Address(wanted.gateway)
    except ValueError as error:
        return [*problems, f"k3s_default_route_gateway: {error}; give one such as 203.0.113.255"]
    if address.network.prefixlen == address.max_prefixlen:
        problems.append(
            f"k3s_default_route_address is {wanted.address}: in a /32 the gateway is not on the "
            "link, and the kernel refuses the route (Nexthop has invalid gateway); give a /31 that "
            "holds both"
        )
    elif (
        gateway not in address.network
        or gateway == address.ip
        or (address.network.prefixlen < 31 and gateway == address.network.broadcast_address)
    ):
        problems.append(
            f"k3s_default_route_gateway {gateway} is not another address of {address.network} "
            "(k3s_default_route_address); the kernel refuses such a route"
        )
    return problems


def route_lines(routes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return routes as C(ip route) prints them."""
    return [_route_line(route) for route in routes]


def dummies(profile: Optional[Mapping[str, str]], wanted: Wanted) -> set[str]:
    """Return the wanted interface, and the one that the profile of ours has had so far."""
    return {wanted.interface, (profile or {}).get("connection.interface-name", wanted.interface)}


def plan_present(host: Host, wanted: Wanted) -> Plan:
    """Return what gives the host a default route, and takes ours away where a real one has come.

    Raises DefaultRouteError where the route is needed and can't be had.
    """
    if real_routes(host.routes, *dummies(host.profile, wanted)):
        return plan_absent(host, wanted)
    before = _lines(host, wanted)
    if not host.network_manager:
        raise DefaultRouteError(
            "the host has no default route, and no NetworkManager runs that could keep one; start "
            "it (systemctl enable --now NetworkManager), or give the host a default route"
        )
    link = host.links.get(wanted.interface)
    if host.profile is None:
        _check_foreign(host, link, wanted)
    if link is None and host.driver_problem:
        raise DefaultRouteError(f"the host has no default route, and {host.driver_problem}")
    write = host.profile is None or dict(host.profile) != wanted.profile()
    carried = any(
        wanted.interface in devices(route)
        and route.get("gateway") == wanted.gateway
        and route.get("metric", 0) == wanted.metric
        for route in host.routes
    )
    after = [*(line for line in before if line not in _ours(host, wanted)), *_wanted_lines(wanted)]
    activate = write or not carried
    return Plan(write=write, activate=activate, before=before, after=after if activate else before)


def plan_absent(host: Host, wanted: Wanted) -> Plan:
    """Return what takes our route away and leaves all else alone."""
    before = _lines(host, wanted)
    if host.profile is None:
        return Plan(before=before, after=before)
    ours = _ours(host, wanted)
    return Plan(remove=True, before=before, after=[line for line in before if line not in ours])


def driver_problem(
    release: str,
    loaded: bool,
    module_lists: Mapping[str, str],
    package: str,
) -> str:
    """Say why the kernel can't make a dummy interface; an empty string where it can.

    C(module_lists) maps kernel releases to their C(modules.dep) and C(modules.builtin) in one
    text, C(package) names the package that brings the driver on this distribution.
    """
    if loaded:
        return ""
    own = module_lists.get(release)
    if own is not None and _has_driver(own):
        return ""
    problem = f"its kernel ({release}) has no driver '{DRIVER}' to make one with"
    others = sorted(
        other for other, text in module_lists.items() if other != release and _has_driver(text)
    )
    if others:
        return (
            f"{problem}; the driver is installed for kernel {', '.join(others)}: reboot into it, "
            "or give the host a default route"
        )
    return (
        f"{problem}: {DRIVER}.ko is missing in /lib/modules/{release}; install {package}, "
        "or give the host a default route"
    )


def driver_package(os_release: Mapping[str, str], release: str) -> str:
    """Name the package that brings the dummy driver on a distribution."""
    family = f"{os_release.get('ID', '')} {os_release.get('ID_LIKE', '')}".split()
    if "ubuntu" in family:
        return f"the package linux-modules-{release}"
    if "debian" in family:
        return "the distribution's kernel (package linux-image-amd64 or linux-image-arm64)"
    if {"rhel", "fedora", "centos"} & set(family):
        # EL 8 and 9 have it in kernel-modules; from EL 10 on it is in kernel-modules-extra.
        major = os_release.get("VERSION_ID", "").partition(".")[0]
        name = "kernel-modules" if major in ("8", "9") else "kernel-modules-extra"
        return f"the package {name}-{release}"
    return "the distribution's package of kernel modules"


def _has_driver(text: str) -> bool:
    return any(f"/{DRIVER}.ko" in line.partition(":")[0] for line in text.splitlines())


def _check_foreign(host: Host, link: Optional[Link], wanted: Wanted) -> None:
    if host.profile_interface_owner:
        raise DefaultRouteError(
            f"interface {wanted.interface} belongs to the profile "
            f"'{host.profile_interface_owner}' of NetworkManager, which is not ours; name another "
            "interface with k3s_default_route_interface"
        )
    if link is None:
        return
    foreign = [address for address in link.addresses if address != wanted.address]
    if link.kind != DRIVER or foreign:
        holds = ", ".join(link.addresses) or "no address"
        raise DefaultRouteError(
            f"interface {wanted.interface} is there already and is not ours (kind "
            f"{link.kind or 'physical'}, {holds}); name another one with "
            "k3s_default_route_interface"
        )


def _route_line(route: Mapping[str, Any]) -> str:
    kind = route.get("type", "unicast")
    words = ["default"] if kind == "unicast" else [kind, "default"]
    for hop in [route, *route.get("nexthops", ())]:
        for name, key in (("via", "gateway"), ("dev", "dev")):
            if hop.get(key):
                words += [name, str(hop[key])]
    if route.get("metric"):
        words += ["metric", str(route["metric"])]
    return " ".join(words)


def _profile_lines(profile: Mapping[str, str]) -> list[str]:
    return [f"profile {PROFILE}: {key}={value}" for key, value in profile.items()]


def _wanted_lines(wanted: Wanted) -> list[str]:
    return [wanted.route(), *_profile_lines(wanted.profile())]


def _ours(host: Host, wanted: Wanted) -> list[str]:
    own = dummies(host.profile, wanted)
    routes = [_route_line(route) for route in host.routes if own & set(devices(route))]
    return [*routes, *_profile_lines(host.profile or {})]


def _lines(host: Host, wanted: Wanted) -> list[str]:
    ours = _ours(host, wanted)
    routes = route_lines(host.routes)
    return [*(line for line in routes if line not in ours), *ours]
