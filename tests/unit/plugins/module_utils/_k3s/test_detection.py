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


def detected(*rows, ipv6=NO_IPV6, links=(LO, ETH0, DUMMY)):
    text = HEADER + "".join(rows)
    return detect(parse_ipv4(text), parse_ipv6(ipv6), links)


# The kernel's tables


def test_only_rows_for_no_address_in_particular_are_read():
    assert parse_ipv4(HEADER + HALF + REAL + PPP + UNREACHABLE + ON_LINK) == [
        Row("tun0", 0, whole=False),
        Row("eth0", 100),
        Row("ppp0", 50),
        Row("*", 4278198272),
    ]


@pytest.mark.parametrize("text", ["", "\n", HEADER, HEADER.strip(), f"{HEADER}\n", HEADER + "x\n"])
def test_a_table_without_routes_has_no_rows(text):
    assert parse_ipv4(text) == []


def test_spaces_around_the_table_do_not_matter():
    text = HEADER + REAL + OURS
    assert parse_ipv4(text.strip()) == parse_ipv4(text) == [Row("eth0", 100), Row("dummy0", 1000)]


def test_of_ipv6_only_rows_with_a_gateway_are_read():
    on_link_default = NO_IPV6.replace("ffffffff", "00000400").replace("lo\n", "ppp0\n")
    text = NO_IPV6 + IPV6_HALF + IPV6 + on_link_default + IPV6_ON_LINK
    assert parse_ipv6(text) == [Row("eth0", 1024, whole=False), Row("eth0", 1024)]


@pytest.mark.parametrize("text", ["", "\n", NO_IPV6, IPV6_ON_LINK])
def test_a_host_without_a_default_route_of_ipv6_has_no_rows(text):
    assert parse_ipv6(text) == []


# What is detected


def test_the_address_is_that_of_the_interface_of_the_default_route():
    assert detected(REAL, ON_LINK) == Detected("eth0", "192.0.2.11", "eth0")


def test_a_dummy_with_the_only_default_route_is_detected():
    assert detected(OURS, ON_LINK) == Detected("dummy0", "203.0.113.254", "dummy0")


def test_the_first_route_counts():
    assert detected(REAL, OURS).interface == "eth0"
    assert detected(OURS, REAL) == Detected("dummy0", "203.0.113.254", "dummy0")


def test_a_route_for_half_of_all_addresses_misleads_k3s_but_not_flannel():
    links = (LO, link("tun0", "198.51.100.2"), ETH0)
    assert detected(HALF, REAL, links=links) == Detected("tun0", "198.51.100.2", "eth0")


def test_a_route_for_half_of_all_addresses_alone_is_nothing_to_flannel():
    links = (LO, link("tun0", "198.51.100.2"))
    assert detected(HALF, links=links) == Detected("tun0", "198.51.100.2", "")


def test_k3s_gives_up_at_an_unreachable_route():
    assert detected(UNREACHABLE) == Detected()
    assert detected(UNREACHABLE, REAL) == Detected()
    assert detected(UNREACHABLE, ipv6=IPV6) == Detected()


def test_an_unreachable_route_behind_another_one_does_not_matter():
    assert detected(REAL, UNREACHABLE) == Detected("eth0", "192.0.2.11", "eth0")


def test_an_interface_that_has_no_address_yet_is_passed_over_up_to_an_unreachable_route():
    links = (LO, link("eth0"), DUMMY)
    assert detected(REAL, UNREACHABLE, OURS, links=links) == Detected("", "", "eth0")


@pytest.mark.parametrize(
    "first",
    [
        link("eth0", "192.0.2.11", up=False),
        link("eth0"),
        link("eth0", "2001:db8::11"),
        link("eth0", "169.254.7.7"),
    ],
)
def test_an_interface_that_is_down_or_has_no_fitting_address_is_passed_over(first):
    links = (LO, first, DUMMY)
    # Flannel does not look at addresses here.
    assert detected(REAL, OURS, links=links) == Detected("dummy0", "203.0.113.254", "eth0")


@pytest.mark.parametrize(
    "useless",
    ["169.254.7.7", "127.0.0.2", "224.0.0.5", "0.0.0.0", "255.255.255.255", "2001:db8::11"],
)
def test_an_address_that_is_not_for_others_is_passed_over(useless):
    links = (LO, link("eth0", useless, "10.0.0.11", "192.0.2.11"))
    assert detected(REAL, links=links).address == "10.0.0.11"


def test_a_multipath_route_stands_in_the_table_with_its_first_hop():
    links = (LO, ETH0, link("eth1", "198.51.100.11"))
    assert detected(REAL, links=links) == Detected("eth0", "192.0.2.11", "eth0")


def test_a_link_local_default_route_leads_to_the_address_of_loopback():
    # RFC 5549; getIPFromLoopbackInterface in interface.go.
    lo = {**LO, "addr_info": [*LO["addr_info"], {"local": "192.0.2.11", "prefixlen": 32}]}
    assert detected(REAL, links=(lo, link("eth0", "169.254.7.7"))).address == "192.0.2.11"


def test_loopbacks_own_address_is_never_detected():
    links = (LO, link("eth0", "169.254.7.7"))
    assert detected(REAL, links=links) == Detected("", "", "eth0")


def test_ipv6_counts_where_ipv4_has_nothing():
    links = (LO, link("eth0", "fe80::11", "2001:db8::11"))
    assert detected(ipv6=IPV6, links=links) == Detected("eth0", "2001:db8::11", "")
    assert detected(REAL, ipv6=IPV6, links=links) == Detected("eth0", "2001:db8::11", "eth0")


def test_ipv4_goes_before_ipv6():
    assert detected(OURS, ipv6=IPV6).address == "203.0.113.254"


def test_without_any_default_route_nothing_is_detected():
    assert detected(ON_LINK) == Detected()
    assert detect([], [], []) == Detected()


# A route to come


def place(row):
    """Return the kernel's order among routes whose destination begins with 0.0.0.0."""
    return (row.whole, row.metric if row.whole else 0)


TABLES = st.lists(
    st.builds(Row, st.sampled_from(["eth0", "eth1", "*"]), st.integers(0, 2**32 - 1), st.booleans())
).map(lambda rows: sorted(rows, key=place))


@given(TABLES, st.integers(1, 2**32 - 2))
def test_a_route_to_come_is_put_where_the_kernel_would(rows, metric):
    result = with_route(rows, "dummy0", metric)
    assert result == sorted(result, key=place)
    assert [row for row in result if row.interface != "dummy0"] == rows
    assert result.count(Row("dummy0", metric)) == 1


@given(TABLES, st.integers(1, 2**32 - 2))
def test_a_route_to_come_goes_behind_one_of_the_same_metric(rows, metric):
    result = with_route(sorted([*rows, Row("last", metric)], key=place), "dummy0", metric)
    assert result.index(Row("last", metric)) < result.index(Row("dummy0", metric))


def test_what_will_be_detected_takes_the_route_to_come_into_account():
    rows = with_route(parse_ipv4(HEADER + UNREACHABLE), "dummy0", 1000)
    assert detect(rows, [], [LO, ETH0, DUMMY]) == Detected("dummy0", "203.0.113.254", "dummy0")
