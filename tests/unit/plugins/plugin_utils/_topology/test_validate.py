# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.validate import (
    judge_hosts,
    judge_members,
    judge_settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_ports,
    entry,
    host,
    settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only, problems_of

NODES = ["agent", "server"]
PODS_TOO = ["agent", "pod", "server"]
# The guide's tables, as its own words say them: port, protocol, sources, destinations.
GUIDE = [
    ("2379-2380", "tcp", ["server"], ["server"]),
    # Not in the guide's table: pods of the node itself, which Flannel does not masquerade.
    ("6443", "tcp", PODS_TOO, ["server"]),
    ("8472", "udp", NODES, NODES),
    ("10250", "tcp", PODS_TOO, NODES),
    ("5001", "tcp", NODES, ["server"]),
    ("9500-9503", "tcp", NODES, NODES),
    ("8500-8504", "tcp", NODES, NODES),
    ("10000-30000", "tcp", NODES, NODES),
    ("3260", "tcp", NODES, NODES),
    ("2049", "tcp", NODES, NODES),
    ("6379", "tcp", PODS_TOO, NODES),
    ("9093", "tcp", PODS_TOO, NODES),
    ("9095", "tcp", PODS_TOO, NODES),
    ("8086", "tcp", PODS_TOO, NODES),
    ("80", "tcp", ["external"], NODES),
    ("443", "tcp", ["external"], NODES),
    ("9095", "tcp", ["external"], NODES),
    ("6379", "tcp", ["external"], NODES),
    ("8125", "tcp", ["external"], NODES),
    ("8125", "udp", ["external"], NODES),
]

# The shipped table


def test_the_default_table_is_exactly_the_guides():
    shipped = [
        (str(one["port"]), one["protocol"], sorted(one["source"]), sorted(one["destination"]))
        for one in default_ports()
    ]
    assert sorted(shipped) == sorted(GUIDE)


def test_the_default_table_is_accepted():
    rows, problems = judge_settings(settings(ports=default_ports()))
    assert problems == []
    assert len(rows) == len(GUIDE)


def test_every_default_row_says_what_it_is_for():
    assert all(one["purpose"] for one in default_ports())


# Members


def test_servers_come_first_in_the_order_of_the_inventory():
    groups = {"server": ["s2", "s1"], "agent": ["a1"], "all": ["a1", "s1", "s2"]}
    assert judge_members(groups, "server", "agent") == [
        ("s2", "server"),
        ("s1", "server"),
        ("a1", "agent"),
    ]


def test_a_cluster_needs_no_agents():
    assert judge_members({"server": ["s1"]}, "server", "agent") == [("s1", "server")]


def test_an_unknown_server_group_is_named_with_those_that_exist():
    only(
        problems_of(judge_members, {"all": [], "masters": ["s1"]}, "server", "agent"),
        "k3s_topology_server_group is 'server'",
        "it has: masters",
        "name the group that holds the K3s servers",
    )


def test_an_inventory_without_groups_is_said_to_have_none():
    only(problems_of(judge_members, {"all": []}, "server", "agent"), "it has: none")


def test_an_empty_server_group_is_refused():
    only(
        problems_of(judge_members, {"server": []}, "server", "agent"),
        "k3s_topology_server_group is 'server'",
        "is empty",
        "at least one server",
    )


def test_an_agent_group_that_was_named_must_exist():
    only(
        problems_of(judge_members, {"server": ["s1"]}, "server", "workers"),
        "k3s_topology_agent_group is 'workers'",
        "it has: server",
        "name the group that holds the K3s agents",
    )


def test_a_host_in_both_groups_is_named():
    only(
        problems_of(judge_members, {"server": ["s1", "x"], "agent": ["x"]}, "server", "agent"),
        "host x",
        "k3s_topology_server_group",
        "k3s_topology_agent_group",
        "keep it in one of them",
    )


# Rows and networks of the whole cluster


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"port": 70000}, ["port 70000 is outside 1 to 65535", "give a number from 1 to 65535"]),
        ({"port": "2380-2379"}, ["'2380-2379' ends before it begins", "or a range"]),
        ({"port": "ssh"}, ["'ssh' is no port", "or a range"]),
        ({"protocol": "sctp"}, ["protocol is 'sctp'", "it is one of: tcp, udp"]),
        ({"source": ["master"]}, ["source is ['master']", "of: server, agent, pod, external"]),
        ({"source": []}, ["source is []", "list of: server, agent, pod, external"]),
        ({"source": None}, ["source is None", "list of: server, agent, pod, external"]),
        ({"destination": ["external"]}, ["destination is ['external']", "list of: server, agent"]),
        ({"destination": ["pod"]}, ["destination is ['pod']", "list of: server, agent"]),
        ({"destination": 5}, ["destination is 5", "list of: server, agent"]),
    ],
)
@pytest.mark.parametrize("table", ["ports", "extra_ports"])
def test_a_bad_row_is_named_with_its_table_number_and_name(table, wrong, parts):
    given = settings(**{"ports": [], table: [entry("good", 22), {**entry("bad"), **wrong}]})
    rows, problems = judge_settings(given)
    only(problems, f"k3s_topology_{table}: row 2 ('bad'): ", *parts)
    assert [one["name"] for one in rows] == ["good"]


def test_a_row_without_a_name_is_told_to_get_one():
    only(
        judge_settings(settings(ports=[entry(name="")]))[1],
        "k3s_topology_ports: row 1: has no name",
        "give it one",
    )


def test_a_row_that_is_no_dictionary_is_refused():
    only(
        judge_settings(settings(ports=["6443/tcp"]))[1],
        "k3s_topology_ports: row 1 is no dictionary",
        "give name, port, protocol, source, destination",
    )


def test_a_row_with_nothing_is_told_everything_it_lacks():
    _rows, problems = judge_settings(settings(ports=[{}]))
    text = " ".join(problems)
    for word in ("name", "port", "protocol", "source", "destination"):
        assert word in text


def test_a_name_that_stands_in_both_tables_is_refused():
    only(
        judge_settings(settings(ports=[entry("api")], extra_ports=[entry("api", 22)]))[1],
        "k3s_topology_ports and k3s_topology_extra_ports",
        "'api' stands twice",
        "a name of its own",
    )


def test_a_single_source_may_be_written_without_a_list():
    rows, problems = judge_settings(settings(ports=[{**entry(), "source": "server"}]))
    assert problems == []
    assert rows[0]["source"] == ["server"]


def test_a_protocol_may_be_written_in_capitals():
    rows, _problems = judge_settings(settings(ports=[entry(protocol="UDP")]))
    assert rows[0]["protocol"] == "udp"


def test_extra_rows_are_added_to_the_table():
    rows, _problems = judge_settings(settings(ports=[entry("a")], extra_ports=[entry("b")]))
    assert [one["name"] for one in rows] == ["a", "b"]


def test_without_the_redirect_only_external_http_is_left_out():
    table = [*default_ports(), entry("http-for-nodes", 80)]
    rows, _problems = judge_settings(settings(ports=table, http_redirect=False))
    left = {one["name"] for one in rows}
    assert {one["name"] for one in table} - left == {"external-http"}


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
        judge_settings(settings(**{variable: value}))[1],
        f"k3s_topology_{variable}: ",
        repr(value)[1:-1],
        "give a network such as",
    )


def test_a_bad_external_source_is_named():
    only(
        judge_settings(settings(external_sources=["198.51.100.0/24", "anyone"]))[1],
        "k3s_topology_external_sources: ",
        "'anyone'",
        "give a network such as",
    )


def test_overlay_networks_that_overlap_are_both_named():
    only(
        judge_settings(settings(pod_cidr="10.42.0.0/15", service_cidr="10.43.0.0/16"))[1],
        "k3s_topology_pod_cidr (10.42.0.0/15)",
        "k3s_topology_service_cidr (10.43.0.0/16)",
        "networks of their own",
    )


def test_overlay_networks_of_two_families_do_not_overlap():
    assert judge_settings(settings(pod_cidr="::/0", service_cidr="0.0.0.0/0"))[1] == []


# Hosts, by the inventory alone


def test_an_unknown_mode_is_named_with_the_known_ones():
    only(
        judge_hosts(settings(), [host(mode="split")]),
        "host server1: k3s_topology_mode is 'split'",
        "shared, segregated",
    )


@pytest.mark.parametrize("missing", ["cluster_interface", "external_interface"])
def test_segregated_needs_both_interfaces(missing):
    given = {"cluster_interface": "eth0", "external_interface": "eth1", missing: None}
    only(
        judge_hosts(settings(), [host(mode="segregated", **given)]),
        f"host server1: k3s_topology_{missing} is not set",
        "'segregated' needs it",
        "name the NIC",
    )


def test_segregated_with_one_nic_named_twice_is_refused():
    twice = host(mode="segregated", cluster_interface="eth0", external_interface="eth0")
    only(
        judge_hosts(settings(), [twice]),
        "host server1: k3s_topology_cluster_interface and k3s_topology_external_interface",
        "both 'eth0'",
        "name two NICs, or set k3s_topology_mode to 'shared'",
    )


@pytest.mark.parametrize("value", ["server1", "192.0.2.11/24", "192.0.2"])
def test_a_node_ip_that_is_no_address_is_refused(value):
    only(
        judge_hosts(settings(), [host(node_ip=value)]),
        f"host server1: k3s_topology_node_ip is '{value}', which is no IP address",
        "without a prefix length",
    )


@pytest.mark.parametrize(
    "value", ["127.0.0.1", "::1", "224.0.0.1", "0.0.0.0", "169.254.3.4", "fe80::1"]
)
def test_a_node_ip_that_no_other_node_can_reach_is_refused(value):
    only(
        judge_hosts(settings(), [host(node_ip=value)]),
        f"host server1: k3s_topology_node_ip is {value}, which other nodes can't reach",
        "give the node's address on the cluster network",
    )


def test_an_address_that_the_inventory_gives_twice_names_both_hosts():
    hosts = [host("a", node_ip="2001:db8::1"), host("b", node_ip="2001:db8:0::1")]
    only(
        judge_hosts(settings(), hosts),
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
        judge_hosts(settings(), [host(node_ip=value)]),
        f"host server1: its address {value} lies in {variable}",
        "choose an overlay network",
    )


def test_good_hosts_have_no_problems():
    hosts = [
        host("a", node_ip="192.0.2.1"),
        host("b", mode="segregated", cluster_interface="eth0", external_interface="eth1"),
    ]
    assert judge_hosts(settings(), hosts) == []


@pytest.mark.parametrize("sources", [["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::/0"]])
def test_external_sources_that_are_everybody_are_refused(sources):
    (problem,) = judge_settings(settings(external_sources=sources))[1]
    assert "k3s_topology_external_sources" in problem
    assert "leave the list empty" in problem


@pytest.mark.parametrize("variable", ["http_redirect", "restrict_sources"])
def test_booleans_that_are_none_are_refused_by_the_users_name(variable):
    (problem,) = judge_settings(settings(**{variable: "maybe"}))[1]
    assert f"k3s_topology_{variable} is 'maybe'; it is true or false" in problem
    assert not judge_settings(settings(**{variable: "no"}))[1]


# The interfaces of the overlay


@pytest.mark.parametrize("name", ["", "a b", "x/y", "cni+", "lo", "sixteen-letters-", "a:b"])
def test_overlay_interface_that_is_no_name_is_refused(name):
    problems = judge_hosts(settings(), [host(overlay_interfaces=["cni0", name])])
    only(problems, "server1", "k3s_topology_overlay_interfaces", repr(name))


def test_overlay_interfaces_that_are_empty_are_refused():
    problems = judge_hosts(settings(), [host(overlay_interfaces=[])])
    only(problems, "k3s_topology_overlay_interfaces is empty", "leave it unset")


def test_external_interface_as_overlay_interface_is_refused():
    apart = {"mode": "segregated", "cluster_interface": "eth0", "external_interface": "eth1"}
    one = host(**apart, overlay_interfaces=["cni0", "eth1"])
    only(judge_hosts(settings(), [one]), "'eth1', the external interface")
    assert judge_hosts(settings(), [host(**apart, overlay_interfaces=["cni0", "eth0"])]) == []
