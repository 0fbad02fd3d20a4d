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
from typing import Any

from .._host.kernel_driver import DRIVER
from .._host.routes import devices, real_routes
from .files import (
    BACKENDS,
    BESIDE,
    LAST_METRIC,
    NETWORKD,
    NETWORKMANAGER,
    PATHS,
    SYSTEMD,
    UNIT,
    WATCH,
    ZONE_UNIT,
    File,
    Wanted,
    files,
    interfaces,
)

AUTO = "auto"
# firewalld and the kernel both cut interface names at 15 characters.
_INTERFACE_LENGTH = 15
_MAIN = "main"
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_SERVICES = {
    NETWORKMANAGER: "NetworkManager.service",
    NETWORKD: "systemd-networkd.service",
    SYSTEMD: "systemd",
}


class DefaultRouteError(Exception):
    """The wanted route can't be had on this host; the text says why and what to do."""


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
    """IPv4 default routes of all tables as C(ip -json route) returns them."""
    links: Mapping[str, Link]
    files: Mapping[str, str] = field(default_factory=dict)
    """The files of ours that are there, with their texts; a link's is where it leads to."""
    managed_by: str = SYSTEMD
    """The backend that manages the node's NICs; C(systemd) where none of the others does."""
    active: frozenset[str] = frozenset()
    """The active ones of the backends' services, of the units of ours and of firewalld."""
    rules: Sequence[Mapping[str, Any]] = ()
    """Routing policy rules as C(ip -json rule) returns them, where other tables matter."""
    owner: str = ""
    """Whose the wanted interface is where it is not ours: a profile or file. Empty: nobody's."""
    ipv6_default: bool = False
    adopted: bool = False
    """Whether the interface was made by hand since the last boot, and taken over by us."""
    driver_problem: str = ""
    """Why no dummy interface can be made, empty where one can."""

    def main_routes(self) -> list[Mapping[str, Any]]:
        """Return the default routes of the table that K3s reads."""
        return [route for route in self.routes if _table(route) == _MAIN]

    def dummies(self, wanted: Wanted) -> set[str]:
        """Return the interfaces that are ours, or would be."""
        return {wanted.interface, *interfaces(self.files)}


@dataclass(frozen=True)
class Plan:
    """What to do, and the default routes before and after."""

    backend: str = ""
    unlink: Sequence[str] = ()
    """Files of ours to remove."""
    stop: Sequence[str] = ()
    """Dummy interfaces whose route and device go."""
    write: Sequence[File] = ()
    """Files of ours to write, before any goes: a power loss leaves one that counts."""
    start: bool = False
    """Whether the route has to be brought up, or what watches over it."""
    adopt: bool = False
    """Whether the route runs as wanted, made by hand or by us, and must not be interrupted."""
    routes_before: Sequence[str] = ()
    routes_after: Sequence[str] = ()

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.unlink or self.stop or self.write or self.start)


def validate(wanted: Wanted) -> list[str]:
    """Return what is wrong with the values, each with its variable and the remedy."""
    problems = []
    name = wanted.interface
    if (
        not 0 < len(name) <= _INTERFACE_LENGTH
        # The kernel's names for settings of all interfaces.
        or name in (".", "..", "all", "default")
        or not all(sign.isalnum() or sign in "._-" for sign in name)
        or not name.isascii()
        or name.startswith("-")
    ):
        problems.append(
            f"k3s_default_route_interface is '{name}'; give a name of 1 to {_INTERFACE_LENGTH} "
            "letters, digits, dots, dashes and underscores"
        )
    if not 1 <= wanted.metric < LAST_METRIC:
        # 0 would win against every real route, and with the last one ours could not yield.
        problems.append(
            f"k3s_default_route_metric is {wanted.metric}; give a number from 1 to "
            f"{LAST_METRIC - 1}"
        )
    try:
        address = ipaddress.IPv4Interface(wanted.address)
    except ValueError as error:
        return [*problems, f"k3s_default_route_address: {error}; give one such as 203.0.113.254/31"]
    if str(address) != wanted.address and "/" in wanted.address:
        problems.append(
            f"k3s_default_route_address is {wanted.address}; write it as ip prints it: {address}"
        )
    if (
        address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or address.network.network_address in _THIS_NETWORK
    ):
        problems.append(
            f"k3s_default_route_address is {wanted.address}, which K3s does not take for a node's "
            "address (loopback, link-local, multicast or 0.0.0.0/8), so that it would not find "
            "the route; give one such as 203.0.113.254/31"
        )
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
        or (
            address.network.prefixlen < 31
            and gateway in (address.network.broadcast_address, address.network.network_address)
        )
    ):
        problems.append(
            f"k3s_default_route_gateway {gateway} is not another address of {address.network} "
            "(k3s_default_route_address); the kernel refuses such a route"
        )
    return problems


def route_lines(routes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return routes as C(ip route) prints them."""
    return [_route_line(route) for route in routes]


def plan_present(host: Host, wanted: Wanted, backend: str = AUTO) -> Plan:
    """Return what gives the host a default route, and takes ours away where a real one has come.

    Raises DefaultRouteError where the route is needed and can't be had.
    """
    main = host.main_routes()
    if real_routes(main, *host.dummies(wanted)):
        return _plan_gone(host, keep=False)
    if _is_ipv6_only(host, wanted):
        if host.ipv6_default:
            return _plan_gone(host, keep=False)
        raise DefaultRouteError(
            "the host has neither an IPv4 address nor a default route of IPv6; K3s would take the "
            "address of the dummy interface for the node's and the cluster for an IPv4 one. Give "
            "it a default route of IPv6"
        )
    carried = _carries(main, wanted)
    if host.owner and carried:
        # Somebody else's, and does all that ours would.
        return Plan(routes_before=route_lines(main), routes_after=route_lines(main))
    if wanted.interface not in interfaces(host.files):
        _check_interface(host, wanted)
    _check_address(host, wanted)
    _check_place(host, wanted)
    if wanted.interface not in host.links and host.driver_problem:
        raise DefaultRouteError(f"the host has no default route, and {host.driver_problem}")
    chosen = _chosen(host, backend)
    fresh = files(chosen, wanted)
    write = [file for file in fresh if host.files.get(file.path) != file.text]
    unlink = [path for path in _ours(host) if path not in {file.path for file in fresh}]
    rewritten = {file.path for file in write if file.path in host.files}
    stop = interfaces(host.files) & set(host.links) if unlink or rewritten else set()
    if not unlink:
        # Its backend gives the interface other values, which goes on where a run is killed.
        stop.discard(wanted.interface)
    start = bool(write) or bool(stop) or not carried or bool(_missing_units(host, chosen))
    after = [route for route in main if not host.dummies(wanted) & set(devices(route))]
    return Plan(
        backend=chosen,
        unlink=unlink,
        stop=sorted(stop),
        write=write,
        start=start,
        adopt=carried and not stop and not rewritten - BESIDE,
        routes_before=route_lines(main),
        routes_after=route_lines(sorted([*after, _ours_as_route(wanted)], key=_metric)),
    )


def plan_absent(host: Host) -> Plan:
    """Return what takes our route away and leaves all else alone."""
    # What was made by hand is given back as it was.
    return _plan_gone(host, keep=host.adopted)


def _plan_gone(host: Host, keep: bool) -> Plan:
    main = host.main_routes()
    stop = [] if keep else sorted(interfaces(host.files) & set(host.links))
    after = [route for route in main if not set(stop) & set(devices(route))]
    return Plan(
        unlink=_ours(host),
        stop=stop,
        routes_before=route_lines(main),
        routes_after=route_lines(after),
    )


def units(backend: str, firewalld: bool) -> list[str]:
    """Return the units of ours that are active on a host with our route."""
    return [
        *([UNIT] if backend == SYSTEMD else []),
        *([ZONE_UNIT] if firewalld else []),
        WATCH,
    ]


def _ours(host: Host) -> list[str]:
    return [path for path in PATHS if path in host.files]


def _table(route: Mapping[str, Any]) -> str:
    table = str(route.get("table", _MAIN))
    return _MAIN if table == "254" else table


def _metric(route: Mapping[str, Any]) -> int:
    return int(route.get("metric", 0))


def _ours_as_route(wanted: Wanted) -> dict[str, Any]:
    return {"gateway": wanted.gateway, "dev": wanted.interface, "metric": wanted.metric}


def _carries(routes: Sequence[Mapping[str, Any]], wanted: Wanted) -> bool:
    return any(
        wanted.interface in devices(route)
        and route.get("gateway") == wanted.gateway
        and _metric(route) == wanted.metric
        for route in routes
    )


def _is_ipv6_only(host: Host, wanted: Wanted) -> bool:
    found = [
        address
        for link in host.links.values()
        if link.name not in host.dummies(wanted)
        for address in link.addresses
    ]
    versions = {ipaddress.ip_interface(address).version for address in found}
    return versions == {6}


def _missing_units(host: Host, backend: str) -> list[str]:
    wanted = units(backend, "firewalld.service" in host.active)
    return [unit for unit in wanted if unit not in host.active]


def _chosen(host: Host, backend: str) -> str:
    if backend == AUTO and SYSTEMD not in host.active:
        raise DefaultRouteError(
            "the host has no default route, and no systemd that could keep one of ours over a "
            "reboot; give the host a default route"
        )
    if backend == AUTO:
        return host.managed_by
    if backend not in BACKENDS or _SERVICES[backend] not in host.active:
        raise DefaultRouteError(
            f"k3s_default_route_backend is '{backend}', but {_SERVICES[backend]} does not run on "
            "this host; start it, or set k3s_default_route_backend to auto"
        )
    return backend


def _check_place(host: Host, wanted: Wanted) -> None:
    for route in host.main_routes():
        metric = _metric(route)
        if route.get("type", "unicast") != "unicast" and metric <= wanted.metric:
            below = f", or k3s_default_route_metric to less than {metric}" if metric > 1 else ""
            raise DefaultRouteError(
                f"the host has '{_route_line(route)}', which comes before a default route with "
                f"metric {wanted.metric}: K3s would find none. Remove it, or give it a metric "
                f"of more than {wanted.metric}{below}"
            )
    for route in host.routes:
        table = _table(route)
        if table != _MAIN and _comes_after_main(host.rules, table):
            raise DefaultRouteError(
                f"the host has '{_route_line(route)}' in table {table}, which is asked after the "
                "table main: K3s reads main alone, and a route of ours there would take the "
                "traffic of this one, and with it perhaps the connection that Ansible came by. "
                "Move the route to the table main"
            )


def _comes_after_main(rules: Sequence[Mapping[str, Any]], table: str) -> bool:
    """Tell whether lookups reach the table only past a default route in main."""
    main = min(
        (
            rule.get("priority", 0)
            for rule in rules
            if str(rule.get("table", "")) in (_MAIN, "254") and not _is_selective(rule)
        ),
        default=None,
    )
    places = [rule.get("priority", 0) for rule in rules if str(rule.get("table", "")) == table]
    return main is not None and any(place > main for place in places)


def _is_selective(rule: Mapping[str, Any]) -> bool:
    ordinary = {"priority", "src", "table", "protocol"}
    return rule.get("src", "all") != "all" or bool(set(rule) - ordinary)


def _check_interface(host: Host, wanted: Wanted) -> None:
    link = host.links.get(wanted.interface)
    if link is None:
        return
    remedy = "name another one with k3s_default_route_interface"
    if host.owner:
        raise DefaultRouteError(
            f"interface {wanted.interface} belongs to {host.owner}, which is not ours and gives "
            f"the host no default route; {remedy}"
        )
    ipv4 = [address for address in link.addresses if ":" not in address]
    if link.kind != DRIVER or any(address != wanted.address for address in ipv4):
        holds = ", ".join(link.addresses) or "no address"
        raise DefaultRouteError(
            f"interface {wanted.interface} is there already and is not ours: made by hand, kind "
            f"{link.kind or 'physical'}, {holds}; {remedy}"
        )


def _check_address(host: Host, wanted: Wanted) -> None:
    """Refuse an address whose network would draw traffic away from one that is connected."""
    network = ipaddress.IPv4Interface(wanted.address).network
    for link in host.links.values():
        for address in map(ipaddress.ip_interface, link.addresses):
            if (
                link.name not in host.dummies(wanted)
                and address.version == network.version
                and network.overlaps(address.network)
            ):
                raise DefaultRouteError(
                    f"k3s_default_route_address is {wanted.address}, and {link.name} of this host "
                    f"has {address}: the dummy interface would take traffic from that network; "
                    "give an address (and k3s_default_route_gateway) of a network that nobody uses"
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
