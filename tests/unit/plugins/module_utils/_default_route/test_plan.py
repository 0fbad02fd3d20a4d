# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import ipaddress

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import (
    BACKENDS,
    COMMITS,
    KEYFILE,
    LAST_METRIC,
    NETDEV,
    NETWORK,
    NETWORKD,
    NETWORKMANAGER,
    PATHS,
    SYSTEMD,
    UNIT,
    WATCH,
    ZONE_UNIT,
    Wanted,
    files,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.plan import (
    DefaultRouteError,
    Host,
    Link,
    plan_absent,
    plan_present,
    route_lines,
    units,
    validate,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.routes import real_routes
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

WANTED = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
OURS = {"dst": "default", "gateway": "203.0.113.255", "dev": "dummy0", "metric": 1000}
REAL = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "metric": 100}
UNREACHABLE = {"type": "unreachable", "dst": "default", "metric": 4278198272}
MULTIPATH = {
    "dst": "default",
    "nexthops": [
        {"gateway": "192.0.2.1", "dev": "eth0"},
        {"gateway": "198.51.100.1", "dev": "eth1"},
    ],
}
ELSEWHERE = {**REAL, "table": "100"}
DUMMY = Link("dummy0", "dummy", ["203.0.113.254/31"])
NIC = Link("eth0", "", ["192.0.2.11/24"])
ROUTE_LINE = "default via 203.0.113.255 dev dummy0 metric 1000"
REAL_LINE = "default via 192.0.2.1 dev eth0 metric 100"
SERVICES = frozenset(
    {"systemd", "NetworkManager.service", "systemd-networkd.service", "firewalld.service"}
)
ORDINARY_RULES = [
    {"priority": 0, "src": "all", "table": "local"},
    {"priority": 32766, "src": "all", "table": "main"},
    {"priority": 32767, "src": "all", "table": "default"},
]


def host(*routes, links=(NIC,), active=SERVICES, **others):
    return Host(
        routes=list(routes), links={link.name: link for link in links}, active=active, **others
    )


def texts(backend, wanted=WANTED):
    return {file.path: file.text for file in files(backend, wanted)}


def made(backend, *routes, wanted=WANTED, carried=True, active=None, **others):
    """Return a host that has our route, which a backend makes last, and these."""
    route = {**OURS, "gateway": wanted.gateway, "dev": wanted.interface, "metric": wanted.metric}
    link = Link(wanted.interface, "dummy", [wanted.address])
    return host(
        *([route] if carried else []),
        *routes,
        links=(NIC, *([link] if carried else [])),
        files=texts(backend, wanted),
        managed_by=backend,
        active=SERVICES | set(units(backend, True)) if active is None else active,
        **others,
    )


def by_hand(*routes, links=(NIC, DUMMY), **others):
    return host(OURS, *routes, links=links, **others)


def written(plan):
    return [file.path for file in plan.write]


def refused(given_host, *parts, wanted=WANTED, backend="auto"):
    with pytest.raises(DefaultRouteError) as error:
        plan_present(given_host, wanted, backend)
    for part in parts:
        assert part in str(error.value)
    return str(error.value)


def assert_nothing_to_do(plan, *lines):
    assert not plan.changed
    assert plan.routes_before == plan.routes_after == list(lines)


# A route is needed


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_host_without_a_default_route_gets_ours(backend):
    plan = plan_present(host(managed_by=backend), WANTED)
    assert plan.backend == backend
    assert list(plan.write) == list(files(backend, WANTED))
    assert plan.start and not plan.adopt
    assert (list(plan.unlink), list(plan.stop)) == ([], [])
    assert (list(plan.routes_before), list(plan.routes_after)) == ([], [ROUTE_LINE])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("managed_by", BACKENDS)
def test_a_backend_that_is_named_goes_before_the_one_that_manages_the_nics(backend, managed_by):
    plan = plan_present(host(managed_by=managed_by), WANTED, backend)
    assert plan.backend == backend
    assert COMMITS[backend] == plan.write[-1].path


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_route_that_has_gone_is_started_again(backend):
    plan = plan_present(made(backend, carried=False), WANTED)
    assert plan.start and not plan.adopt
    assert (written(plan), list(plan.unlink), list(plan.stop)) == ([], [], [])
    assert (list(plan.routes_before), list(plan.routes_after)) == ([], [ROUTE_LINE])


@pytest.mark.parametrize(
    ("backend", "unit"),
    [*((backend, unit) for backend in BACKENDS for unit in (WATCH, ZONE_UNIT)), (SYSTEMD, UNIT)],
)
def test_a_unit_that_does_not_run_is_started_without_a_gap(backend, unit):
    given_host = made(backend, active=SERVICES | set(units(backend, True)) - {unit})
    plan = plan_present(given_host, WANTED)
    assert plan.start and plan.adopt
    assert (written(plan), list(plan.unlink), list(plan.stop)) == ([], [], [])
    assert plan.routes_before == plan.routes_after


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_an_interrupted_run_left_unwritten_is_written(backend):
    given_host = host(managed_by=backend, files=dict(list(texts(backend).items())[:2]))
    plan = plan_present(given_host, WANTED)
    assert written(plan) == [file.path for file in files(backend, WANTED)][2:]
    assert plan.start and not plan.stop


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("other", "stop"),
    [
        ({"metric": 5}, []),
        ({"gateway": "203.0.113.253", "address": "203.0.113.252/31"}, []),
        ({"interface": "dummy7"}, ["dummy7"]),
    ],
)
def test_other_values_are_written_and_another_interface_goes(backend, other, stop):
    former = dataclasses.replace(WANTED, **other)
    plan = plan_present(made(backend, wanted=former), WANTED)
    assert list(plan.unlink) == []
    assert list(plan.stop) == stop
    assert written(plan) == [path for path in texts(backend) if path in written(plan)]
    assert plan.start and not plan.adopt
    assert list(plan.routes_before) == [former.route()]
    assert list(plan.routes_after) == [ROUTE_LINE]


def test_files_that_are_as_they_should_be_are_not_written_again():
    plan = plan_present(made(NETWORKD, wanted=dataclasses.replace(WANTED, metric=5)), WANTED)
    # The .netdev does not know the metric.
    assert written(plan) == [f"/etc/systemd/system/{WATCH}", NETWORK]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("former", BACKENDS)
def test_the_files_of_another_backend_go_and_fresh_ones_come(backend, former):
    if backend == former:
        return
    plan = plan_present(made(former), WANTED, backend)
    stale = [path for path in PATHS if path in set(texts(former)) - set(texts(backend))]
    assert list(plan.unlink) == stale
    assert plan.unlink[0] == COMMITS[former]
    assert set(written(plan)) >= set(texts(backend)) - set(texts(former))
    assert plan.write[-1].path == COMMITS[backend]
    assert list(plan.stop) == ["dummy0"]
    assert plan.start and not plan.adopt
    assert list(plan.routes_after) == [ROUTE_LINE]


def test_a_stale_backend_whose_interface_is_gone_needs_no_stop():
    plan = plan_present(made(NETWORKMANAGER, carried=False), WANTED, SYSTEMD)
    assert list(plan.unlink) == [KEYFILE]
    assert list(plan.stop) == []
    assert plan.start


def test_an_unreachable_default_route_leads_nowhere():
    plan = plan_present(host(UNREACHABLE), WANTED)
    assert plan.start
    assert set(plan.routes_after) == {"unreachable default metric 4278198272", ROUTE_LINE}


@pytest.mark.parametrize("backend", BACKENDS)
def test_ours_before_an_unreachable_route_is_left_alone_and_shows_no_difference(backend):
    lines = [ROUTE_LINE, "unreachable default metric 4278198272"]
    assert_nothing_to_do(plan_present(made(backend, UNREACHABLE), WANTED), *lines)


# Made by hand


@pytest.mark.parametrize("addresses", [[], ["203.0.113.254/31"], ["2001:db8::5/64"]])
def test_a_dummy_interface_without_the_route_is_no_reason_to_leave_the_host_without(addresses):
    plan = plan_present(host(links=(NIC, Link("dummy0", "dummy", addresses))), WANTED)
    assert plan.start and not plan.adopt
    assert list(plan.stop) == []


# There is a real route


@pytest.mark.parametrize(
    ("routes", "lines"),
    [
        ([REAL], [REAL_LINE]),
        (
            [REAL, {**REAL, "dev": "eth1", "gateway": "198.51.100.1", "metric": 200}],
            [REAL_LINE, "default via 198.51.100.1 dev eth1 metric 200"],
        ),
        ([MULTIPATH], ["default via 192.0.2.1 dev eth0 via 198.51.100.1 dev eth1"]),
        ([{"dst": "default", "dev": "ppp0"}], ["default dev ppp0"]),
        ([{**REAL, "table": "254"}], [REAL_LINE]),
        ([{**REAL, "metric": LAST_METRIC}], ["default via 192.0.2.1 dev eth0 metric 4294967295"]),
        ([REAL, UNREACHABLE], [REAL_LINE, "unreachable default metric 4278198272"]),
    ],
)
def test_a_real_route_is_left_alone(routes, lines):
    assert_nothing_to_do(plan_present(host(*routes), WANTED), *lines)
    assert_nothing_to_do(plan_absent(host(*routes)), *lines)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", [1000, LAST_METRIC])
def test_ours_goes_where_a_real_route_has_come(backend, metric):
    # The watch has changed the metric, or is about to.
    given_host = made(backend, REAL)
    given_host.routes[0] = {**OURS, "metric": metric}
    plan = plan_present(given_host, WANTED)
    assert list(plan.unlink) == [path for path in PATHS if path in texts(backend)]
    assert list(plan.stop) == ["dummy0"]
    assert not plan.write and not plan.start
    assert plan.routes_before == [f"{ROUTE_LINE[:-4]}{metric}", REAL_LINE]
    assert plan.routes_after == [REAL_LINE]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_former_interface_goes_as_well_where_a_real_route_has_come(backend):
    plan = plan_present(
        made(backend, REAL, wanted=dataclasses.replace(WANTED, interface="dummy7")), WANTED
    )
    assert list(plan.stop) == ["dummy7"]
    assert list(plan.routes_after) == [REAL_LINE]


def test_a_real_route_needs_no_driver_and_no_service():
    given_host = host(REAL, active=frozenset(), driver_problem="no driver")
    assert not plan_present(given_host, WANTED, NETWORKMANAGER).changed


def test_only_routes_that_lead_elsewhere_are_real():
    assert real_routes([OURS, UNREACHABLE, REAL, MULTIPATH], "dummy0") == [REAL, MULTIPATH]


def test_routes_are_printed_as_ip_route_does():
    assert route_lines([OURS, {"dst": "default", "dev": "ppp0"}]) == [
        ROUTE_LINE,
        "default dev ppp0",
    ]


# A route is needed and can't be had


@pytest.mark.parametrize(
    ("link", "holds"),
    [
        (Link("dummy0", "dummy", ["198.51.100.7/24"]), "kind dummy, 198.51.100.7/24"),
        (
            Link("dummy0", "dummy", ["203.0.113.254/31", "198.51.100.7/24"]),
            "203.0.113.254/31, 198.51.100.7/24",
        ),
        (Link("dummy0", "bridge"), "kind bridge, no address"),
        (Link("dummy0", ""), "kind physical, no address"),
    ],
)
def test_a_foreign_interface_made_by_hand_is_spared(link, holds):
    refused(
        host(links=(NIC, link)),
        "interface dummy0 is there already and is not ours",
        "made by hand",
        holds,
        "k3s_default_route_interface",
    )


@pytest.mark.parametrize(
    "owner",
    [
        "the profile 'mine' of NetworkManager (/etc/NetworkManager/system-connections/mine)",
        "systemd-networkd (/etc/systemd/network/mine.network)",
    ],
)
def test_a_foreign_interface_of_a_profile_or_file_is_spared(owner):
    refused(
        host(links=(NIC, DUMMY), owner=owner),
        f"interface dummy0 belongs to {owner}",
        "not ours",
        "k3s_default_route_interface",
    )


def test_a_foreign_profile_that_carries_the_very_route_does_all_that_ours_would():
    given_host = by_hand(owner="the profile 'mine' of NetworkManager (/etc/mine)")
    assert_nothing_to_do(plan_present(given_host, WANTED), ROUTE_LINE)


def test_a_foreign_profile_with_another_metric_is_refused():
    given_host = host(
        {**OURS, "metric": 5}, links=(NIC, DUMMY), owner="the profile 'mine' of NetworkManager"
    )
    refused(given_host, "belongs to the profile 'mine'")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("link", "owner"),
    [
        (Link("mine", "", ["198.51.100.11/24"]), ""),
        (Link("mine", "dummy", ["198.51.100.7/24"]), ""),
        (Link("mine", "dummy"), "the profile 'mine' of NetworkManager (/etc/mine)"),
    ],
)
def test_a_foreign_interface_is_spared_where_ours_is_another_one(backend, link, owner):
    # Ours is dummy7 so far, and the user names an interface that somebody else uses.
    former = dataclasses.replace(WANTED, interface="dummy7")
    given_host = made(backend, wanted=former, owner=owner)
    given_host.links[link.name] = link
    refused(
        given_host,
        "interface mine",
        "not ours",
        wanted=dataclasses.replace(WANTED, interface="mine"),
    )


@pytest.mark.parametrize(
    "address", ["203.0.113.7/24", "203.0.113.255/32", "203.0.113.254/31", "203.0.112.1/20"]
)
def test_an_address_within_a_connected_network_is_refused(address):
    nic = Link("eth0", "", [address])
    refused(
        host(links=(nic,)),
        "k3s_default_route_address is 203.0.113.254/31",
        f"eth0 of this host has {address}",
    )


@pytest.mark.parametrize("address", ["203.0.113.7/29", "203.0.113.253/32", "2001:db8::1/64"])
def test_an_address_beside_connected_networks_is_taken(address):
    assert plan_present(host(links=(NIC, Link("eth1", "", [address]))), WANTED).start


def test_a_missing_driver_is_told():
    refused(host(driver_problem="its kernel is bare"), "no default route, and its kernel is bare")


def test_the_driver_is_not_missed_where_the_interface_is_there():
    given_host = host(links=(NIC, Link("dummy0", "dummy")), driver_problem="no driver")
    assert plan_present(given_host, WANTED).start


@pytest.mark.parametrize(
    ("backend", "service"),
    [
        (NETWORKMANAGER, "NetworkManager.service"),
        (NETWORKD, "systemd-networkd.service"),
        (SYSTEMD, "systemd"),
    ],
)
def test_a_backend_that_is_named_and_does_not_run_is_refused(backend, service):
    refused(
        host(active=SERVICES - {service}),
        f"k3s_default_route_backend is '{backend}'",
        f"{service} does not run",
        "set k3s_default_route_backend to auto",
        backend=backend,
    )


def test_a_host_without_systemd_is_told_before_anything_is_written():
    refused(host(active=frozenset()), "systemd")


@pytest.mark.parametrize("metric", [0, 1, 2, 999, 1000])
def test_an_unreachable_route_before_ours_is_refused(metric):
    route = {"type": "unreachable", "dst": "default"}
    message = refused(
        host({**route, "metric": metric} if metric else route),
        "'unreachable default",
        "comes before a default route with metric 1000",
        "Remove it, or give it a metric of more than 1000",
    )
    # Below 1 there is no metric to be had.
    offered = f"or k3s_default_route_metric to less than {metric}"
    assert (offered in message) is (metric > 1)


@pytest.mark.parametrize("kind", ["unreachable", "blackhole", "prohibit"])
def test_an_unreachable_route_behind_ours_is_no_problem(kind):
    route = {"type": kind, "dst": "default", "metric": 1001}
    plan = plan_present(host(route), WANTED)
    assert f"{kind} default metric 1001" in plan.routes_after


def test_an_unreachable_route_in_another_table_is_no_problem():
    route = {"type": "unreachable", "dst": "default", "table": "100"}
    assert plan_present(host(route, rules=ORDINARY_RULES), WANTED).start


# Other tables


def rules(*others):
    return [*ORDINARY_RULES, *others]


@pytest.mark.parametrize(
    "others",
    [
        [{"priority": 32000, "src": "all", "table": "100"}],
        [{"priority": 32000, "src": "192.0.2.0", "srclen": 24, "table": "100"}],
        # Somebody asks main for all but default routes before the table, as wg-quick does.
        [
            {"priority": 100, "src": "all", "table": "main", "suppress_prefixlength": 0},
            {"priority": 101, "src": "all", "table": "100"},
        ],
        # Only what comes from one network is asked for in main before.
        [
            {"priority": 100, "src": "192.0.2.0", "srclen": 24, "table": "main"},
            {"priority": 101, "src": "all", "table": "100"},
        ],
        [
            {"priority": 100, "src": "all", "fwmark": "0x1", "table": "254"},
            {"priority": 101, "src": "all", "table": "100"},
        ],
        [],
        [{"priority": 40000, "src": "all", "table": "101"}],
    ],
)
def test_a_table_that_is_asked_before_main_does_not_keep_k3s_from_needing_ours(others):
    plan = plan_present(host(ELSEWHERE, rules=rules(*others)), WANTED)
    assert plan.start
    # The other table's route is none that K3s would see.
    assert list(plan.routes_before) == []
    assert list(plan.routes_after) == [ROUTE_LINE]


@pytest.mark.parametrize("table", ["100", "default", "uplink"])
@pytest.mark.parametrize(
    "others",
    [
        [],
        [{"priority": 100, "src": "all", "table": "main", "suppress_prefixlength": 0}],
        [{"priority": 33000, "src": "all", "table": "main"}],
    ],
)
def test_a_table_that_is_asked_after_main_would_lose_its_traffic_to_ours(table, others):
    mine = {"priority": 32767, "src": "all", "table": table}
    refused(
        host({**REAL, "table": table}, rules=[*ORDINARY_RULES[:2], mine, *others]),
        f"'{REAL_LINE}' in table {table}",
        "Move the route to the table main",
    )


def test_a_table_after_an_early_rule_for_main_is_after_main():
    early = [
        {"priority": 100, "src": "all", "table": "main"},
        {"priority": 101, "src": "all", "table": "100"},
    ]
    refused(host(ELSEWHERE, rules=rules(*early)), "in table 100")


def test_another_table_matters_to_nobody_where_main_has_a_real_route():
    after = {"priority": 32767, "src": "all", "table": "100"}
    assert not plan_present(host(REAL, ELSEWHERE, rules=rules(after)), WANTED).changed


# IPv6 only


IPV6_NIC = Link("eth0", "", ["2001:db8::11/64"])


@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_a_host_with_ipv6_alone_needs_none_of_ours(backend):
    given_host = host(links=(IPV6_NIC,), ipv6_default=True)
    if backend:
        given_host = dataclasses.replace(
            made(backend, ipv6_default=True), links={"eth0": IPV6_NIC, "dummy0": DUMMY}
        )
    plan = plan_present(given_host, WANTED)
    assert not plan.write and not plan.start
    assert set(plan.unlink) == set(given_host.files)
    assert list(plan.stop) == (["dummy0"] if backend else [])
    assert list(plan.routes_after) == []


def test_a_host_with_ipv6_alone_and_no_default_route_is_told_to_get_one():
    refused(host(links=(IPV6_NIC,)), "neither an IPv4 address nor a default route of IPv6")


def test_a_host_with_both_needs_ours_whatever_ipv6_has():
    links = (Link("eth0", "", ["192.0.2.11/24", "2001:db8::11/64"]),)
    assert plan_present(host(links=links, ipv6_default=True), WANTED).start


def test_a_host_without_any_address_gets_ours():
    assert plan_present(host(links=()), WANTED).start


# Absent


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("routes", [[], [REAL], [UNREACHABLE]])
def test_absent_takes_ours_away(backend, routes):
    plan = plan_absent(made(backend, *routes))
    assert list(plan.unlink) == [path for path in PATHS if path in texts(backend)]
    assert list(plan.stop) == ["dummy0"]
    assert not plan.write and not plan.start
    assert list(plan.routes_after) == route_lines(routes)
    assert ROUTE_LINE in plan.routes_before


def test_absent_leaves_what_is_not_ours():
    assert_nothing_to_do(plan_absent(by_hand()), ROUTE_LINE)


def test_absent_takes_the_rest_of_an_interrupted_removal_away():
    left = {path: text for path, text in texts(NETWORKD).items() if path != NETDEV}
    plan = plan_absent(host(OURS, links=(NIC, DUMMY), files=left))
    assert set(plan.unlink) == set(left)
    assert list(plan.stop) == ["dummy0"]


def test_absent_needs_no_interface():
    plan = plan_absent(made(SYSTEMD, carried=False))
    assert plan.changed
    assert list(plan.stop) == []


# What comes of a plan


def routes_of(lines):
    """Read what route_lines() writes."""
    found = []
    for line in lines:
        kind, words = ("unicast", line.split())
        if words[0] != "default":
            kind = words.pop(0)
        pairs = list(zip(words[1::2], words[2::2]))
        hops = [value for key, value in pairs if key == "dev"]
        route = {"type": kind, "dst": "default"}
        for key, value in pairs:
            if key == "metric":
                route[key] = int(value)
            elif len(hops) == 1:
                route["gateway" if key == "via" else key] = value
        if len(hops) > 1:
            route["nexthops"] = [
                {"gateway": gateway, "dev": dev}
                for (_via, gateway), (_dev, dev) in zip(pairs[::2], pairs[1::2])
            ]
        found.append(route)
    return found


def after(given_host, plan, wanted):
    """Return the host that results from a plan."""
    left = {path: text for path, text in given_host.files.items() if path not in plan.unlink}
    left.update({file.path: file.text for file in plan.write})
    links = {name: link for name, link in given_host.links.items() if name not in plan.stop}
    active = set(given_host.active)
    if plan.start:
        links[wanted.interface] = Link(wanted.interface, "dummy", [wanted.address])
        active |= set(units(plan.backend, "firewalld.service" in active))
    if not left:
        active -= {UNIT, WATCH, ZONE_UNIT}
    elsewhere = [route for route in given_host.routes if "table" in route]
    return dataclasses.replace(
        given_host,
        routes=[*routes_of(plan.routes_after), *elsewhere],
        links=links,
        files=left,
        active=frozenset(active),
        adopted=bool(left) and (given_host.adopted or (plan.adopt and not given_host.files)),
    )


INTERFACES = st.sampled_from(["dummy0", "dummy7", "k3s.0"])
WANTEDS = st.builds(
    Wanted,
    INTERFACES,
    st.just("203.0.113.254/31"),
    st.just("203.0.113.255"),
    st.integers(1, LAST_METRIC - 1),
)


@st.composite
def hosts(draw):
    """Return a host in a state that runs, users and power losses can bring it to."""
    backend = draw(st.sampled_from(BACKENDS))
    former = draw(WANTEDS)
    firewalld = draw(st.booleans())
    active = set(SERVICES) if firewalld else SERVICES - {"firewalld.service"}
    links = {"eth0": draw(st.sampled_from([NIC, IPV6_NIC, Link("eth0")]))}
    found, routes = {}, []
    state = draw(st.sampled_from(["nothing", "by hand", "bare", "ours", "part of ours"]))
    if state in ("by hand", "ours", "part of ours"):
        carries = draw(st.sampled_from([(), (former.metric,), (LAST_METRIC,)]))
        routes = [
            {**OURS, "gateway": former.gateway, "dev": former.interface, "metric": metric}
            for metric in carries
        ]
    if routes or state == "bare":
        links[former.interface] = Link(former.interface, "dummy", [former.address])
    if state in ("ours", "part of ours"):
        ordered = list(texts(backend, former).items())
        count = len(ordered) if state == "ours" else draw(st.integers(0, len(ordered)))
        found = dict(ordered[:count] if draw(st.booleans()) else ordered[len(ordered) - count :])
        active |= set(draw(st.sets(st.sampled_from(units(backend, firewalld)))))
    others = st.sampled_from([REAL, MULTIPATH, UNREACHABLE, ELSEWHERE, {**REAL, "dev": "eth1"}])
    routes += draw(st.lists(others, max_size=2, unique_by=str))
    return Host(
        routes=routes,
        links=links,
        files=found,
        managed_by=draw(st.sampled_from(BACKENDS)),
        active=frozenset(active),
        rules=ORDINARY_RULES,
        ipv6_default=draw(st.booleans()),
        adopted=bool(found) and draw(st.booleans()),
    )


@given(hosts(), WANTEDS, st.sampled_from(["auto", *BACKENDS]))
def test_after_a_plan_nothing_more_is_to_be_done(given_host, wanted, backend):
    try:
        plan = plan_present(given_host, wanted, backend)
    except DefaultRouteError:
        assume(False)
    result = after(given_host, plan, wanted)
    again = plan_present(result, wanted, backend)
    assert not again.changed, (plan, again)
    assert again.routes_before == plan.routes_after


@given(hosts())
def test_after_a_plan_that_takes_ours_away_nothing_more_is_to_be_done(given_host):
    plan = plan_absent(given_host)
    again = plan_absent(after(given_host, plan, WANTED))
    assert not again.changed
    assert again.routes_before == plan.routes_after


@given(hosts(), WANTEDS)
def test_no_plan_touches_a_real_route_or_an_interface_that_no_file_of_ours_names(
    given_host, wanted
):
    try:
        plans = [plan_present(given_host, wanted), plan_absent(given_host)]
    except DefaultRouteError:
        plans = [plan_absent(given_host)]
    for plan in plans:
        own = {file.path: file.text for file in files(SYSTEMD, wanted)} | dict(given_host.files)
        for name in plan.stop:
            assert any(name in text for text in own.values())
        for line in plan.routes_before:
            if " dev eth" in line or line.startswith("unreachable"):
                assert line in plan.routes_after
        assert set(plan.unlink) <= set(given_host.files)


@given(hosts(), WANTEDS)
def test_after_present_main_has_a_default_route_that_leads_somewhere(given_host, wanted):
    try:
        plan = plan_present(given_host, wanted)
    except DefaultRouteError:
        assume(False)
    has_ipv6 = given_host.ipv6_default and given_host.links["eth0"] == IPV6_NIC
    assert has_ipv6 or any(line.startswith("default ") for line in plan.routes_after)


# The values


def test_the_guides_values_are_good():
    assert validate(WANTED) == []


@pytest.mark.parametrize(
    ("changed", "variable", "reason"),
    [
        ({"address": "203.0.113.254/32"}, "address", "in a /32 the gateway is not on the link"),
        ({"address": "203.0.113.254"}, "address", "in a /32 the gateway is not on the link"),
        ({"address": "dummy"}, "address", "give one such as 203.0.113.254/31"),
        ({"address": ""}, "address", "give one such as 203.0.113.254/31"),
        ({"address": "2001:db8::1/64"}, "address", "give one such as 203.0.113.254/31"),
        ({"gateway": "203.0.113.1"}, "gateway", "not another address of 203.0.113.254/31"),
        ({"gateway": "203.0.113.254"}, "gateway", "not another address of 203.0.113.254/31"),
        ({"gateway": "here"}, "gateway", "give one such as 203.0.113.255"),
        ({"gateway": ""}, "gateway", "give one such as 203.0.113.255"),
        ({"gateway": "2001:db8::1"}, "gateway", "give one such as 203.0.113.255"),
        ({"interface": "a-very-long-name"}, "interface", "1 to 15 letters"),
        ({"interface": ""}, "interface", "1 to 15 letters"),
        ({"interface": "a/b"}, "interface", "1 to 15 letters"),
        ({"interface": "a b"}, "interface", "1 to 15 letters"),
        ({"interface": "a'b"}, "interface", "1 to 15 letters"),
        ({"interface": "dümmy"}, "interface", "1 to 15 letters"),
        ({"interface": "-dummy"}, "interface", "1 to 15 letters"),
        ({"interface": "."}, "interface", "1 to 15 letters"),
        ({"interface": ".."}, "interface", "1 to 15 letters"),
        ({"metric": -1}, "metric", "a number from 1 to 4294967294"),
        ({"metric": 0}, "metric", "a number from 1 to 4294967294"),
        ({"metric": LAST_METRIC}, "metric", "a number from 1 to 4294967294"),
        ({"metric": LAST_METRIC + 1}, "metric", "a number from 1 to 4294967294"),
        # K3s takes no such node-ip.
        *(
            (network, "address", f"is {network['address']}, which K3s does not take")
            for network in (
                {"address": "127.0.0.2/31", "gateway": "127.0.0.3"},
                {"address": "169.254.0.2/31", "gateway": "169.254.0.3"},
                {"address": "224.0.0.2/31", "gateway": "224.0.0.3"},
                {"address": "0.0.0.0/31", "gateway": "0.0.0.1"},
            )
        ),
        # The kernel refuses them, because /proc/sys/net/ipv6/conf has directories of these names.
        ({"interface": "all"}, "interface", ""),
        ({"interface": "default"}, "interface", ""),
        # NetworkManager cannot read them, and ip prints another text.
        ({"address": "203.0.113.254/255.255.255.254"}, "address", ""),
        ({"address": "203.0.113.254/0.0.0.1"}, "address", ""),
        ({"address": "203.0.113.254/031"}, "address", ""),
        # The kernel says "Nexthop has invalid gateway"; only in a /31 is the last address a host's.
        ({"address": "192.0.2.1/24", "gateway": "192.0.2.255"}, "gateway", ""),
        ({"address": "192.0.2.1/24", "gateway": "192.0.2.0"}, "gateway", ""),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(changed, variable, reason):
    [problem] = validate(dataclasses.replace(WANTED, **changed))
    assert f"k3s_default_route_{variable}" in problem
    assert reason in problem


@pytest.mark.parametrize(
    ("address", "gateway"),
    [
        ("0.0.0.1/31", "0.0.0.0"),
        ("0.0.0.2/30", "0.0.0.1"),
        ("0.0.0.1/1", "1.2.3.4"),
        ("203.0.113.254/0", "203.0.113.255"),
    ],
)
def test_a_network_that_begins_with_no_address_is_refused(address, gateway):
    # The kernel makes no route to it, and so it does not find the gateway on the link.
    problems = " ".join(validate(Wanted("dummy0", address, gateway, 1000)))
    assert "k3s_default_route_" in problems


def test_several_bad_values_are_all_named():
    problems = " ".join(validate(Wanted("", "x", "y", -1)))
    for name in ("interface", "metric", "address"):
        assert f"k3s_default_route_{name}" in problems


TEXTS = st.text(max_size=16) | st.text("0123456789./:-dek", max_size=18)


@st.composite
def networks(draw):
    """Return an address in CIDR form and a gateway, mostly of its network."""
    address = draw(st.ip_addresses(v=4))
    prefix = draw(st.sampled_from([31, 31, 30, 24, 8]) | st.integers(1, 32))
    network = ipaddress.IPv4Interface(f"{address}/{prefix}").network
    last = network.num_addresses - 1
    place = draw(st.sampled_from([0, min(1, last), last]) | st.integers(0, last))
    return f"{address}/{prefix}", str(network[place])


@st.composite
def values(draw):
    address, gateway = draw(networks() | st.just((WANTED.address, WANTED.gateway)))
    others = st.ip_addresses().map(str) | TEXTS
    return Wanted(
        draw(st.sampled_from(["dummy0", "k3s.0", "a" * 15, "a" * 16]) | TEXTS),
        address if draw(st.integers(0, 3)) else draw(others),
        gateway if draw(st.integers(0, 3)) else draw(others),
        draw(st.integers(1, 2**32) | st.sampled_from([0, 1, LAST_METRIC - 1, LAST_METRIC])),
    )


@given(
    st.sampled_from(["dummy0", "k3s.0", "a" * 15]) | TEXTS,
    networks(),
    st.integers(0, LAST_METRIC),
)
@example("dummy0", (WANTED.address, WANTED.gateway), 1000)
@settings(suppress_health_check=[HealthCheck.filter_too_much])
def test_what_is_accepted_is_a_route_that_the_kernel_takes(name, network, metric):
    wanted = Wanted(name, *network, metric)
    assume(not validate(wanted))
    interface = ipaddress.IPv4Interface(wanted.address)
    gateway = ipaddress.IPv4Address(wanted.gateway)
    assert gateway in interface.network
    assert gateway != interface.ip
    assert interface.network.prefixlen < 32
    assert not interface.ip.is_multicast and not interface.ip.is_loopback
    # Of such a network the kernel has no route that would lead to the gateway.
    assert not interface.network.network_address.is_unspecified
    assert 0 < wanted.metric < LAST_METRIC
    assert 0 < len(wanted.interface.encode()) <= 15
    assert not set(wanted.interface) & set("/: \t\n'\"$%\\;[]{}")


@given(values())
def test_every_problem_names_its_variable_whatever_the_others_are(wanted):
    for problem in validate(wanted):
        names = [
            name
            for name in ("interface", "address", "gateway", "metric")
            if f"k3s_default_route_{name}" in problem
        ]
        assert names, problem
    # Each is judged on its own: with the guide's values for the others, it is refused or not.
    for name in ("interface", "metric"):
        alone = validate(dataclasses.replace(WANTED, **{name: getattr(wanted, name)}))
        together = [
            problem for problem in validate(wanted) if f"k3s_default_route_{name}" in problem
        ]
        assert together == alone
