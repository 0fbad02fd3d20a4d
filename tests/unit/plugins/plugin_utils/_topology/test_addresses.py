# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    host,
    settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only, problems_of

# Hosts, with what they said of their interfaces


@pytest.mark.parametrize("which", ["cluster_interface", "external_interface"])
def test_an_interface_that_does_not_exist_is_named_with_those_that_do(which):
    only(
        problems_of(build, settings(), [host(**{which: "eth9"})]),
        f"host server1: k3s_topology_{which} is 'eth9'",
        "it has: eth0",
        "name one of these",
    )


def test_a_cluster_interface_without_an_address_is_refused():
    bare = host(cluster_interface="eth1", interfaces={"eth0": ["192.0.2.11/24"], "eth1": []})
    only(
        problems_of(build, settings(), [bare]),
        "host server1: k3s_topology_cluster_interface 'eth1' has no global address",
        "give the interface one, or name another",
    )


def test_a_node_ip_must_be_on_the_cluster_interface():
    elsewhere = host(
        cluster_interface="eth0",
        node_ip="198.51.100.11",
        interfaces={"eth0": ["192.0.2.11/24"], "eth1": ["198.51.100.11/24"]},
    )
    only(
        problems_of(build, settings(), [elsewhere]),
        "host server1: k3s_topology_node_ip is 198.51.100.11",
        "'eth0' does not hold it",
        "give an address of the cluster interface",
    )


def test_a_node_ip_must_be_on_some_interface():
    only(
        problems_of(build, settings(), [host(node_ip="192.0.2.99")]),
        "host server1: k3s_topology_node_ip is 192.0.2.99",
        "none of its interfaces (eth0) holds it",
        "give an address",
    )


def test_a_host_whose_interface_can_not_be_told_is_named_with_them():
    two = host(interfaces={"eth0": ["192.0.2.11/24"], "eth1": ["198.51.100.11/24"]})
    only(
        problems_of(build, settings(), [two]),
        "host server1",
        "(eth0, eth1)",
        "set k3s_topology_cluster_interface or k3s_topology_node_ip",
    )


def test_a_host_without_any_address_is_named():
    only(
        problems_of(build, settings(), [host(interfaces={})]),
        "host server1",
        "(none)",
        "k3s_topology_cluster_interface",
    )


def test_a_peer_that_did_not_answer_and_has_no_node_ip_is_named():
    only(
        problems_of(build, settings(), [host(), host("agent7", "agent", interfaces=None)]),
        "host agent7: its address can't be had",
        "k3s_topology_node_ip is not set",
        "set k3s_topology_node_ip in the inventory, or make the host reachable",
    )


# Which address a node has


def built(**given):
    return build(settings(), [host(**given)])["nodes"][0]


TWO_NICS = {"eth0": ["192.0.2.11/24"], "eth1": ["198.51.100.11/24"]}


def test_node_ip_comes_before_all_else():
    found = built(node_ip="198.51.100.11", interfaces=TWO_NICS, connection_address="192.0.2.11")
    assert (found["address"], found["cluster_interface"]) == ("198.51.100.11", "eth1")


REAL = "203.0.113.7/24"


@pytest.mark.parametrize(
    ("addresses", "came_by", "expected"),
    [
        ([REAL], "192.0.2.11", "203.0.113.7"),
        ([REAL], "", "203.0.113.7"),
        # Virtual IPs (kube-vip, keepalived) before and behind the node's address.
        (["203.0.113.99/32", REAL], "192.0.2.11", "203.0.113.7"),
        ([REAL, "203.0.113.99/32"], "", "203.0.113.7"),
        # One of DHCPv6 and one that the node made itself.
        (["2001:db8::99/128", "2001:db8::7/64"], "2001:db8::99", "2001:db8::99"),
        # What no other node can reach is none.
        (["169.254.7.1/16", REAL], "192.0.2.11", "203.0.113.7"),
        # Of several, the one that Ansible is connected to.
        ([REAL, "203.0.113.8/24"], "203.0.113.8", "203.0.113.8"),
        # K3s prefers IPv4 if a host has both.
        (["2001:db8::11/64", REAL], "2001:db8::11", "203.0.113.7"),
        # NICs of Google Compute Engine and Hetzner Cloud.
        (["203.0.113.7/32"], "203.0.113.7", "203.0.113.7"),
        (["203.0.113.7/32", "2001:db8::7/64"], "203.0.113.7", "203.0.113.7"),
        (["203.0.113.7/32", "2001:db8::7/128"], "2001:db8::7", "203.0.113.7"),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_address_on_a_nic_is_the_nodes_own(addresses, came_by, expected, is_named):
    interfaces = {"eth2": addresses, **(TWO_NICS if is_named else {})}
    found = built(
        cluster_interface="eth2" if is_named else None,
        interfaces=interfaces,
        connection_address=came_by,
    )
    assert (found["address"], found["cluster_interface"]) == (expected, "eth2")


@pytest.mark.parametrize(
    ("addresses", "came_by", "parts"),
    [
        (
            [REAL, "203.0.113.8/24"],
            "192.0.2.11",
            ["several addresses (203.0.113.7, 203.0.113.8)", "set k3s_topology_node_ip"],
        ),
        (["2001:db8::1/64", REAL, "203.0.113.8/24"], "2001:db8::1", ["several addresses"]),
        # Ansible is connected to a virtual IP.
        (
            [REAL, "203.0.113.99/32"],
            "203.0.113.99",
            ["several addresses (203.0.113.99, 203.0.113.7)", "set k3s_topology_node_ip"],
        ),
        (
            ["203.0.113.98/32", "203.0.113.99/32"],
            "192.0.2.11",
            ["several addresses (203.0.113.98, 203.0.113.99)"],
        ),
        (
            ["127.0.0.9/8", "224.0.0.1/4"],
            "192.0.2.11",
            ["eth2 has only addresses that other nodes can't reach (127.0.0.9/8, 224.0.0.1/4)"],
        ),
    ],
)
def test_address_that_is_not_clear_is_refused(addresses, came_by, parts):
    given = host(
        cluster_interface="eth2",
        interfaces={**TWO_NICS, "eth2": addresses},
        connection_address=came_by,
    )
    only(problems_of(build, settings(), [given]), "host server1", *parts)


def test_only_address_of_a_named_nic_needs_no_subnet():
    nics = {**TWO_NICS, "eth2": ["203.0.113.7/32"]}
    found = built(cluster_interface="eth2", interfaces=nics, connection_address="192.0.2.11")
    assert found["address"] == "203.0.113.7"


@pytest.mark.parametrize(
    "interfaces",
    [{"eth0": ["203.0.113.7/32"]}, {"kube-ipvs0": ["10.43.0.1/32"], "eth0": ["203.0.113.7/32"]}],
)
def test_address_without_a_subnet_tells_no_nic(interfaces):
    only(problems_of(build, settings(), [host(interfaces=interfaces)]), "can't be told")


@pytest.mark.parametrize(
    ("name", "address"), [("dummy0", "203.0.113.254/31"), ("tailscale0", "100.64.0.5/32")]
)
def test_only_nic_counts_beside_what_is_none(name, address):
    interfaces = {"eth0": ["192.0.2.11/24"], name: [address]}
    found = built(interfaces=interfaces, dummies=["dummy0"])
    assert (found["address"], found["cluster_interface"]) == ("192.0.2.11", "eth0")


def test_address_to_which_ansible_is_connected_tells_the_nic():
    found = built(interfaces=TWO_NICS, connection_address="198.51.100.11")
    assert (found["address"], found["cluster_interface"]) == ("198.51.100.11", "eth1")


def test_ipv6_that_ansible_came_by_is_taken_where_the_nic_has_no_ipv4():
    nics = {**TWO_NICS, "eth2": ["2001:db8::11/64", "2001:db8::12/64"]}
    assert built(interfaces=nics, connection_address="2001:db8::12")["address"] == "2001:db8::12"


def test_a_connection_through_a_nat_tells_nothing():
    given = host(interfaces=TWO_NICS, connection_address="203.0.113.1")
    only(problems_of(build, settings(), [given]), "can't be told")


def test_the_only_nic_with_an_address_is_taken():
    found = built(interfaces={"eth0": [], "eth1": ["198.51.100.11/24"]})
    assert (found["address"], found["cluster_interface"]) == ("198.51.100.11", "eth1")


def test_ipv4_is_preferred_wherever_it_stands():
    assert built(interfaces={"eth0": ["2001:db8::1/64", "192.0.2.9/24"]})["address"] == "192.0.2.9"


def test_ipv6_is_taken_where_there_is_no_other():
    assert built(interfaces={"eth0": ["2001:db8::1/64"]})["address"] == "2001:db8::1"


def test_an_ipv6_node_ip_is_recognised_in_any_spelling():
    found = built(node_ip="2001:DB8:0::1", interfaces={"eth0": ["2001:db8::1/64"]})
    assert (found["address"], found["cluster_interface"]) == ("2001:db8::1", "eth0")


def test_with_one_nic_clients_reach_the_same_address():
    found = built()
    assert (found["external_interface"], found["external_address"]) == ("eth0", "192.0.2.11")


def test_with_two_nics_clients_reach_the_address_of_theirs():
    found = built(
        mode="segregated",
        cluster_interface="eth0",
        external_interface="eth1",
        interfaces={**TWO_NICS, "eth1": ["2001:db8::11/64", "198.51.100.11/24"]},
    )
    assert found["address"] == "192.0.2.11"
    assert (found["external_interface"], found["external_address"]) == ("eth1", "198.51.100.11")


def test_external_address_is_the_one_that_is_given():
    given = {"external_address": "203.0.113.5", "connection_address": "192.0.2.11"}
    found = built(interfaces={"eth0": ["192.0.2.11/24", "203.0.113.5/24"]}, **given)
    assert (found["address"], found["external_address"]) == ("192.0.2.11", "203.0.113.5")


def test_external_address_of_a_peer_needs_no_interfaces():
    peer = host(
        "a1", "agent", node_ip="192.0.2.21", external_address="203.0.113.5", interfaces=None
    )
    assert build(settings(), [host(), peer])["nodes"][1]["external_address"] == "203.0.113.5"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("203.0.113.9", ["eth1 does not hold it (it has: 198.51.100.11)"]),
        ("192.0.2.11", ["eth1 does not hold it"]),
    ],
)
def test_external_address_of_another_nic_is_refused(address, parts):
    given = host(external_interface="eth1", interfaces=TWO_NICS, external_address=address)
    connected = replace(given, connection_address="192.0.2.11")
    only(
        problems_of(build, settings(), [connected]),
        f"host server1: k3s_topology_external_address is {address}",
        *parts,
    )


@pytest.mark.parametrize(
    "addresses",
    [
        ["198.51.100.99/32", "198.51.100.11/24"],
        ["2001:db8::11/64", "198.51.100.11/32"],
        ["198.51.100.11/24", "198.51.100.12/24"],
    ],
)
def test_external_address_is_the_nics_own(addresses):
    nics = {**TWO_NICS, "eth1": addresses}
    found = built(cluster_interface="eth0", external_interface="eth1", interfaces=nics)
    assert found["external_address"] == "198.51.100.11"


def test_an_external_nic_may_be_without_an_address():
    found = built(external_interface="eth1", interfaces={"eth0": ["192.0.2.11/24"], "eth1": []})
    assert found["external_address"] is None


def test_a_peer_with_node_ip_needs_no_interfaces():
    peer = host("agent1", "agent", node_ip="192.0.2.21", interfaces=None)
    found = build(settings(), [host(), peer])["nodes"][1]
    assert found["address"] == "192.0.2.21"
    assert found["cluster_interface"] is None


# What a node holds besides its NIC, on the second run


@pytest.mark.parametrize(
    "added",
    [
        {"cni0": ["10.42.0.1/24"], "flannel.1": ["10.42.0.0/32"]},
        {"kube-ipvs0": ["10.43.0.1/32", "10.43.0.10/32"]},
    ],
)
def test_interfaces_of_the_overlay_leave_the_only_nic_the_only_one(added):
    assert built(interfaces={"eth0": ["192.0.2.11/24"], **added})["cluster_interface"] == "eth0"
