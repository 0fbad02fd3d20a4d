# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import networks
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import settings
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only


def refused(function, text):
    problems = []
    assert function("variable", text, problems) is None
    return problems


@pytest.mark.parametrize("text", ["10.42.0.0/16", "fd42::/56", "FD42::/56", "100.64.0.0/10"])
def test_network_of_pods_is_accepted(text):
    problems = []
    assert networks.to_network("variable", text, problems) is not None
    assert problems == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("10.42.0.0", "which is a single address; give a network such as 10.42.0.0/16"),
        ("10.42.0.0/32", "which is a single address"),
        ("10.42.0.0/31", "which is a single address"),
        ("fd42::", "which is a single address; give a network such as fd42::/56"),
        ("10.42.1.7/16", "(it has host bits set); give the network, which is 10.42.0.0/16"),
        ("10.42.0.0/255.255.0.0", "is not a plain number; give 10.42.0.0/16"),
        ("10.42.0.0/016", "is not a plain number; give 10.42.0.0/16"),
        ("0.0.0.0/0", "holds every address"),
        ("127.0.0.0/8", "no packet of another host"),
        ("224.0.0.0/4", "no packet of another host"),
        ("169.254.0.0/16", "no packet of another host"),
        ("240.0.0.0/8", "no packet of another host"),
        ("0.1.0.0/16", "no packet of another host"),
        ("::ffff:10.42.0.0/112", "no packet of another host"),
        ("fe80::/64", "no packet of another host"),
        ("fd42::%eth0/64", "'fd42::%eth0/64'"),
        ("10.42.0.0/33", "which is not a network; give a network such as"),
        ("10_42.0.0/16", "which is not a network"),
        ("pods", "which is not a network"),
    ],
)
def test_network_of_pods_that_is_nonsense_is_refused(text, part):
    only(refused(networks.to_network, text), "variable", text, part)


def test_external_source_with_host_bits_names_its_network():
    only(
        refused(networks.to_source, "198.51.100.7/24"),
        "is 198.51.100.7/24, which is an address within a network",
        "give the network, which is 198.51.100.0/24",
    )
    problems = []
    assert networks.to_source("variable", "198.51.100.7", problems) is not None
    assert problems == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("::ffff:10.0.0.1", "is an IPv4 address in the form of IPv6; write 10.0.0.1"),
        ("fd00::1%eth0", "has a zone"),
        ("10.0.0.1/24", "is no IP address"),
        ("167772161", "is no IP address"),
    ],
)
def test_address_in_another_form_is_refused(text, part):
    with pytest.raises(ValueError, match=part):
        networks.to_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *("255.255.255.255", "240.0.0.1", "0.0.0.5", "0.0.0.0", "127.0.0.1", "224.0.0.1"),
        *("169.254.0.1", "::1", "::", "fe80::1", "ff02::1", "::ffff:10.0.0.1"),
    ],
)
def test_address_that_no_host_reaches_is_unusable(text):
    assert networks.is_unusable(text)


@pytest.mark.parametrize("text", ["10.0.0.1", "203.0.113.7", "fd00::1", "2001:db8::1"])
def test_address_of_a_host_is_usable(text):
    assert not networks.is_unusable(text)


V4, V6 = {"192.0.2.11": ["a"]}, {"2001:db8::1": ["b"]}
IPV6 = {"pod_cidr": "fd42::/56", "service_cidr": "fd43::/112"}


@pytest.mark.parametrize(
    ("given", "addresses"),
    [({}, V4), (IPV6, V6), ({}, {}), ({"external_sources": ["fd00::/8", "10.0.0.0/8"]}, V4)],
)
def test_families_that_are_the_same_are_accepted(given, addresses):
    assert networks.compare_families(settings(**given), addresses) == []


@pytest.mark.parametrize(
    ("given", "addresses", "parts"),
    [
        ({}, V6, ("are IPv4, and the nodes have IPv6", "k3s_topology_pod_cidr", "fd42::/56")),
        (IPV6, V4, ("are IPv6, and the nodes have IPv4", "such as a", "10.42.0.0/16")),
        ({}, {**V4, **V6}, ("hosts a have IPv4 addresses and b have IPv6",)),
        ({"pod_cidr": "fd42::/56"}, {}, ("k3s_topology_service_cidr", "not of one IP version")),
        ({"external_sources": ["fd00::/8"]}, V4, ("external_sources has only IPv6",)),
    ],
)
def test_families_that_differ_are_named(given, addresses, parts):
    only(networks.compare_families(settings(**given), addresses), *parts)
