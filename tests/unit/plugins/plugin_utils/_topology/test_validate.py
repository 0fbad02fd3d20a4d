# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.validate import (
    find_members,
    validate_hosts,
    validate_resolved,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    host,
    settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only, problems_of

# Members


def test_servers_come_first_in_the_order_of_the_inventory():
    groups = {"server": ["s2", "s1"], "agent": ["a1"], "all": ["a1", "s1", "s2"]}
    assert find_members(groups, "server", "agent") == [
        ("s2", "server"),
        ("s1", "server"),
        ("a1", "agent"),
    ]


def test_a_cluster_needs_no_agents():
    assert find_members({"server": ["s1"]}, "server", "agent") == [("s1", "server")]


def test_an_unknown_server_group_is_named_with_those_that_exist():
    only(
        problems_of(find_members, {"all": [], "masters": ["s1"]}, "server", "agent"),
        "k3s_topology_server_group is 'server'",
        "it has: masters",
        "name the group that holds the K3s servers",
    )


def test_an_inventory_without_groups_is_said_to_have_none():
    only(problems_of(find_members, {"all": []}, "server", "agent"), "it has: none")


def test_an_empty_server_group_is_refused():
    only(
        problems_of(find_members, {"server": []}, "server", "agent"),
        "k3s_topology_server_group is 'server'",
        "is empty",
        "at least one server",
    )


def test_an_agent_group_that_was_named_must_exist():
    only(
        problems_of(find_members, {"server": ["s1"]}, "server", "workers"),
        "k3s_topology_agent_group is 'workers'",
        "it has: server",
        "name the group that holds the K3s agents",
    )


def test_a_host_in_both_groups_is_named():
    only(
        problems_of(find_members, {"server": ["s1", "x"], "agent": ["x"]}, "server", "agent"),
        "host x",
        "k3s_topology_server_group",
        "k3s_topology_agent_group",
        "keep it in one of them",
    )


# The networks of the overlay


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("pod_cidr", "10.42.0.0/33"),
        ("pod_cidr", "10.42.0.1/16"),
        ("service_cidr", "services"),
        ("service_cidr", ""),
    ],
)
def test_a_bad_overlay_network_is_named(variable, value):
    only(
        validate_resolved(settings(**{variable: value}), []),
        f"k3s_topology_{variable} ",
        value,
        "; give ",
    )


def test_overlay_networks_that_overlap_are_both_named():
    only(
        validate_resolved(settings(pod_cidr="10.42.0.0/15", service_cidr="10.43.0.0/16"), []),
        "k3s_topology_pod_cidr (10.42.0.0/15)",
        "k3s_topology_service_cidr (10.43.0.0/16)",
        "networks of their own",
    )


def test_overlay_networks_of_two_families_do_not_overlap():
    assert validate_resolved(settings(pod_cidr="fd42::/16", service_cidr="10.0.0.0/8"), []) == []


# Hosts, by the inventory alone


def test_an_unknown_mode_is_named_with_the_known_ones():
    only(
        validate_hosts([host(mode="split")]),
        "host server1: k3s_topology_mode is 'split'",
        "shared, segregated",
    )


SEGREGATED = {"mode": "segregated", "cluster_interface": "eth0", "external_interface": "eth1"}


def test_segregated_needs_an_external_interface():
    only(
        validate_hosts([host(**{**SEGREGATED, "external_interface": None})]),
        "host server1: k3s_topology_external_interface is not set",
        "'segregated' needs it",
        "name the NIC",
    )


def test_segregated_without_any_interface_names_both():
    problems = validate_hosts([host(mode="segregated")])
    assert [problem.split()[2] for problem in problems] == [
        "k3s_topology_external_interface",
        "k3s_topology_cluster_interface",
    ]


def test_segregated_cluster_interface_may_come_from_the_node():
    lacks = host(**{**SEGREGATED, "cluster_interface": None})
    assert validate_hosts([lacks]) == []
    assert validate_resolved(settings(), [lacks], nodes_are_read=False) == []
    only(
        validate_resolved(settings(), [lacks]),
        "host server1: k3s_topology_cluster_interface is not set",
        "name the NIC",
    )


def test_segregated_with_one_nic_named_twice_is_refused():
    twice = host(mode="segregated", cluster_interface="eth0", external_interface="eth0")
    only(
        validate_resolved(settings(), [twice]),
        "host server1: k3s_topology_cluster_interface and k3s_topology_external_interface",
        "both 'eth0'",
        "name two NICs, or set k3s_topology_mode to 'shared'",
    )


@pytest.mark.parametrize(
    ("value", "part"), [("node1", "which is no IP address"), ("::1", "other nodes can't reach")]
)
def test_external_address_that_is_no_use_is_refused(value, part):
    problems = validate_hosts([host(external_address=value)])
    only(problems, "host server1: k3s_topology_external_address is ", value, part)


@pytest.mark.parametrize("value", ["server1", "192.0.2.11/24", "192.0.2"])
def test_a_node_ip_that_is_no_address_is_refused(value):
    only(
        validate_resolved(settings(), [host(node_ip=value)]),
        f"host server1: k3s_topology_node_ip is '{value}', which is no IP address",
        "without a prefix length",
    )


@pytest.mark.parametrize(
    "value",
    [
        *("127.0.0.1", "::1", "224.0.0.1", "0.0.0.0", "169.254.3.4", "fe80::1"),
        *("240.0.0.1", "255.255.255.255"),
    ],
)
def test_a_node_ip_that_no_other_node_can_reach_is_refused(value):
    only(
        validate_resolved(settings(), [host(node_ip=value)]),
        f"host server1: k3s_topology_node_ip is {value}, which other nodes can't reach",
        "give the node's address on the cluster network",
    )


def test_an_address_that_the_inventory_gives_twice_names_both_hosts():
    hosts = [host("a", node_ip="2001:db8::1"), host("b", node_ip="2001:db8:0::1")]
    only(
        validate_resolved(settings(), hosts),
        "hosts a, b",
        "2001:db8::1",
        "k3s_topology_node_ip",
        "give each node one of its own",
    )


@pytest.mark.parametrize(
    ("value", "variable"),
    [("10.42.1.1", "k3s_topology_pod_cidr"), ("10.43.1.1", "k3s_topology_service_cidr")],
)
def test_a_node_ip_in_an_overlay_network_is_refused(value, variable):
    only(
        validate_resolved(settings(), [host(node_ip=value)]),
        f"host server1: its address {value} lies in {variable}",
        "choose an overlay network",
    )


def test_good_hosts_have_no_problems():
    hosts = [
        host("a", node_ip="192.0.2.1"),
        host("b", mode="segregated", cluster_interface="eth0", external_interface="eth1"),
    ]
    assert validate_resolved(settings(), hosts) == []


# The interfaces of the overlay


@pytest.mark.parametrize("name", ["", "a b", "x/y", "cni+", "lo", "sixteen-letters-", "a:b"])
def test_overlay_interface_that_is_no_name_is_refused(name):
    problems = validate_hosts([host(overlay_interfaces=["cni0", name])])
    only(problems, "server1", "k3s_topology_overlay_interfaces", repr(name))


def test_overlay_interfaces_that_are_empty_are_refused():
    problems = validate_hosts([host(overlay_interfaces=[])])
    only(problems, "k3s_topology_overlay_interfaces is empty", "leave it unset")


def test_external_interface_as_overlay_interface_is_refused():
    one = host(**SEGREGATED, overlay_interfaces=["cni0", "eth1"])
    only(validate_hosts([one]), "'eth1', the external interface")
    assert validate_hosts([host(**SEGREGATED, overlay_interfaces=["cni0", "eth0"])]) == []
