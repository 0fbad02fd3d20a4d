# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.detection import (
    Detected,
    Row,
    detect,
    parse_ipv4,
    parse_ipv6,
    with_route,
)
from hypothesis import given
from hypothesis import strategies as st

HEADER = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
    "                                                       \n"
)
REAL = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0      \n"
OURS = "dummy0\t00000000\tFF7100CB\t0003\t0\t0\t1000\t00000000\t0\t0\t0      \n"
# ip route add 0.0.0.0/1 via 192.0.2.9, as OpenVPN does
HALF = "tun0\t00000000\t090200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0      \n"
UNREACHABLE = "*\t00000000\t00000000\t0201\t0\t0\t4278198272\t00000000\t0\t0\t0      \n"
PPP = "ppp0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0      \n"
ON_LINK = "eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0      \n"

NO_IPV6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)
IPV6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0\n"
)
ON_FLANNEL = REAL.replace("eth0", "flannel.1")
ON_CNI = REAL.replace("eth0", "cni0")
IPV6_ON_CNI = IPV6.replace("eth0", "cni0")
IPV6_HALF = IPV6.replace(" 00 ", " 01 ", 1)
IPV6_ON_LINK = (
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
)


def link(name, *addresses, up=True):
    return {
        "ifname": name,
        "flags": ["BROADCAST", *(["UP", "LOWER_UP"] if up else [])],
        "addr_info": [{"local": address, "prefixlen": 24} for address in addresses],
    }


LO = {**link("lo", "127.0.0.1", "::1"), "flags": ["LOOPBACK", "UP", "LOWER_UP"]}
ETH0 = link("eth0", "192.0.2.11", "2001:db8::11")
DUMMY = link("dummy0", "203.0.113.254")
TUNNEL = link("tun0", "198.51.100.2")
CNI = (link("flannel.1", "10.42.0.0"), link("cni0", "10.42.0.1", "fd42::1"))
BY_REAL = Detected("eth0", "192.0.2.11", "eth0")
BY_DUMMY = Detected("dummy0", "203.0.113.254", "dummy0")


def detected(*rows, ipv6=NO_IPV6, links=(LO, ETH0, DUMMY)):
    text = HEADER + "".join(rows)
    return detect(parse_ipv4(text), parse_ipv6(ipv6), links)


# The kernel's tables


def test_parse_ipv4_reads_only_rows_of_no_address():
    assert parse_ipv4(HEADER + HALF + REAL + PPP + UNREACHABLE + ON_LINK) == [
        Row("tun0", 0, whole=False),
        Row("eth0", 100),
        Row("ppp0", 50),
        Row("*", 4278198272),
    ]


@pytest.mark.parametrize("text", ["", "\n", HEADER, HEADER.strip(), f"{HEADER}\n", HEADER + "x\n"])
def test_parse_ipv4_table_without_routes_has_no_rows(text):
    assert parse_ipv4(text) == []


def test_parse_ipv4_ignores_spaces_around_the_table():
    text = HEADER + REAL + OURS
    assert parse_ipv4(text.strip()) == parse_ipv4(text) == [Row("eth0", 100), Row("dummy0", 1000)]


def test_parse_ipv6_reads_only_rows_with_a_gateway():
    on_link_default = NO_IPV6.replace("ffffffff", "00000400").replace("lo\n", "ppp0\n")
    text = NO_IPV6 + IPV6_HALF + IPV6 + on_link_default + IPV6_ON_LINK
    assert parse_ipv6(text) == [Row("eth0", 1024, whole=False), Row("eth0", 1024)]


@pytest.mark.parametrize("text", ["", "\n", NO_IPV6, IPV6_ON_LINK])
def test_parse_ipv6_table_without_a_default_has_no_rows(text):
    assert parse_ipv6(text) == []


# What is detected


@pytest.mark.parametrize(
    ("rows", "links", "expected"),
    [
        # The first route counts.
        ([REAL, ON_LINK], (LO, ETH0, DUMMY), BY_REAL),
        ([OURS, ON_LINK], (LO, ETH0, DUMMY), BY_DUMMY),
        ([REAL, OURS], (LO, ETH0, DUMMY), BY_REAL),
        ([OURS, REAL], (LO, ETH0, DUMMY), BY_DUMMY),
        ([ON_LINK], (LO, ETH0, DUMMY), Detected()),
        # K3s takes a route to half of all addresses, Flannel does not.
        ([HALF, REAL], (LO, TUNNEL, ETH0), Detected("tun0", "198.51.100.2", "eth0")),
        ([HALF], (LO, TUNNEL), Detected("tun0", "198.51.100.2", "")),
        # K3s gives up at an unreachable route.
        ([UNREACHABLE], (LO, ETH0, DUMMY), Detected()),
        ([UNREACHABLE, REAL], (LO, ETH0, DUMMY), Detected()),
        ([REAL, UNREACHABLE], (LO, ETH0, DUMMY), BY_REAL),
        ([REAL, UNREACHABLE, OURS], (LO, link("eth0"), DUMMY), Detected("", "", "eth0")),
        # K3s skips interfaces of Flannel and the CNI, Flannel does not.
        ([ON_FLANNEL, REAL], (LO, *CNI, ETH0), Detected("eth0", "192.0.2.11", "flannel.1")),
        ([ON_CNI, OURS], (LO, *CNI, DUMMY), Detected("dummy0", "203.0.113.254", "cni0")),
        ([ON_CNI], (LO, *CNI), Detected("", "", "cni0")),
        ([REAL, ON_CNI], (LO, *CNI, ETH0), BY_REAL),
        # A multipath route has its first hop in the table.
        ([REAL], (LO, ETH0, link("eth1", "198.51.100.11")), BY_REAL),
        # The loopback's own addresses do not count.
        ([REAL], (LO, link("eth0", "169.254.7.7")), Detected("", "", "eth0")),
    ],
)
def test_detect_ipv4_takes_the_first_route_that_k3s_accepts(rows, links, expected):
    assert detected(*rows, links=links) == expected


@pytest.mark.parametrize(
    "first",
    [
        link("eth0", "192.0.2.11", up=False),
        link("eth0"),
        link("eth0", "2001:db8::11"),
        link("eth0", "169.254.7.7"),
    ],
)
def test_detect_interface_without_an_address_is_skipped(first):
    # Flannel does not look at addresses here.
    expected = Detected("dummy0", "203.0.113.254", "eth0")
    assert detected(REAL, OURS, links=(LO, first, DUMMY)) == expected


@pytest.mark.parametrize(
    "useless",
    ["169.254.7.7", "127.0.0.2", "224.0.0.5", "0.0.0.0", "255.255.255.255", "2001:db8::11"],
)
def test_detect_address_that_is_not_global_is_skipped(useless):
    links = (LO, link("eth0", useless, "10.0.0.11", "192.0.2.11"))
    assert detected(REAL, links=links).address == "10.0.0.11"


def test_detect_link_local_interface_uses_the_loopback():
    # RFC 5549; getIPFromLoopbackInterface in interface.go.
    lo = {**LO, "addr_info": [*LO["addr_info"], {"local": "192.0.2.11", "prefixlen": 32}]}
    assert detected(REAL, links=(lo, link("eth0", "169.254.7.7"))).address == "192.0.2.11"


@pytest.mark.parametrize(
    ("rows", "ipv6", "links", "expected"),
    [
        ([], IPV6, (), Detected("eth0", "2001:db8::11", "")),
        ([REAL], IPV6, (), Detected("eth0", "2001:db8::11", "eth0")),
        ([], IPV6_ON_CNI + IPV6, CNI, Detected("eth0", "2001:db8::11", "")),
        ([], IPV6_ON_CNI, CNI, Detected()),
        ([OURS], IPV6, (DUMMY,), BY_DUMMY),
        ([UNREACHABLE], IPV6, (), Detected()),
        ([], NO_IPV6, (), Detected()),
    ],
)
def test_detect_ipv6_counts_after_ipv4(rows, ipv6, links, expected):
    links = (LO, link("eth0", "fe80::11", "2001:db8::11"), *links)
    assert detected(*rows, ipv6=ipv6, links=links) == expected


def test_detect_without_routes_and_links_finds_nothing():
    assert detect([], [], []) == Detected()


# A route to come


def place(row):
    """Return the kernel's order among routes whose destination begins with 0.0.0.0."""
    return (row.whole, row.metric if row.whole else 0)


TABLES = st.lists(
    st.builds(Row, st.sampled_from(["eth0", "eth1", "*"]), st.integers(0, 2**32 - 1), st.booleans())
).map(lambda rows: sorted(rows, key=place))


@given(TABLES, st.integers(1, 2**32 - 2))
def test_with_route_order_is_that_of_the_kernel(rows, metric):
    result = with_route(rows, "dummy0", metric)
    assert result == sorted(result, key=place)
    assert [row for row in result if row.interface != "dummy0"] == rows
    assert result.count(Row("dummy0", metric)) == 1


@given(TABLES, st.integers(1, 2**32 - 2))
def test_with_route_equal_metric_comes_first(rows, metric):
    result = with_route(sorted([*rows, Row("last", metric)], key=place), "dummy0", metric)
    assert result.index(Row("last", metric)) < result.index(Row("dummy0", metric))


def test_with_route_new_route_is_detected():
    rows = with_route(parse_ipv4(HEADER + UNREACHABLE), "dummy0", 1000)
    assert detect(rows, [], [LO, ETH0, DUMMY]) == Detected("dummy0", "203.0.113.254", "dummy0")
