# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.settings import (
    read_settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_ports,
    entry,
    given,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only

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
    found, problems = read_settings(given(ports=default_ports()))
    assert problems == []
    assert len(found.rules) == len(GUIDE)


def test_every_default_rule_says_what_it_is_for():
    assert all(one["purpose"] for one in default_ports())


# What the user says of the whole cluster


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"port": 70000}, ["port 70000 is outside 1 to 65535", "give a number from 1 to 65535"]),
        ({"port": "2380-2379"}, ["'2380-2379' ends before it begins", "or a range"]),
        ({"port": "ssh"}, ["'ssh' is neither a port", "nor a range"]),
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
def test_a_bad_rule_is_named_with_its_table_number_and_name(table, wrong, parts):
    bad = {"ports": [], table: [entry("good", 22), {**entry("bad"), **wrong}]}
    found, problems = read_settings(given(**bad))
    only(problems, f"k3s_topology_{table}: rule 2 ('bad'): ", *parts)
    assert [one["name"] for one in found.rules] == ["good"]


def test_a_rule_without_a_name_is_told_to_get_one():
    only(
        read_settings(given(ports=[entry(name="")]))[1],
        "k3s_topology_ports: rule 1: has no name",
        "give it one",
    )


def test_a_rule_that_is_no_dictionary_is_refused():
    only(
        read_settings(given(ports=["6443/tcp"]))[1],
        "k3s_topology_ports: rule 1 is no dictionary",
        "give name, port, protocol, source, destination",
    )


def test_a_rule_with_nothing_is_told_everything_it_lacks():
    _found, problems = read_settings(given(ports=[{}]))
    text = " ".join(problems)
    for word in ("name", "port", "protocol", "source", "destination"):
        assert word in text


def test_a_name_that_stands_in_both_tables_is_refused():
    only(
        read_settings(given(ports=[entry("api")], extra_ports=[entry("api", 22)]))[1],
        "k3s_topology_ports and k3s_topology_extra_ports",
        "'api' stands twice",
        "a name of its own",
    )


def test_a_single_source_may_be_written_without_a_list():
    found, problems = read_settings(given(ports=[{**entry(), "source": "server"}]))
    assert problems == []
    assert found.rules[0]["source"] == ["server"]


def test_a_protocol_may_be_written_in_capitals():
    found, _problems = read_settings(given(ports=[entry(protocol="UDP")]))
    assert found.rules[0]["protocol"] == "udp"


def test_extra_rules_are_added_to_the_table():
    found, _problems = read_settings(given(ports=[entry("a")], extra_ports=[entry("b")]))
    assert [one["name"] for one in found.rules] == ["a", "b"]


def test_without_the_redirect_only_external_http_is_left_out():
    table = [*default_ports(), entry("http-for-nodes", 80)]
    found, _problems = read_settings(given(ports=table, http_redirect=False))
    left = {one["name"] for one in found.rules}
    assert {one["name"] for one in table} - left == {"external-http"}


def test_a_bad_external_source_is_named():
    only(
        read_settings(given(external_sources=["198.51.100.0/24", "anyone"]))[1],
        "k3s_topology_external_sources ",
        "'anyone'",
        "give a network such as",
    )


@pytest.mark.parametrize("sources", [["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::/0"]])
def test_external_sources_that_are_everybody_are_refused(sources):
    (problem,) = read_settings(given(external_sources=sources))[1]
    assert "k3s_topology_external_sources" in problem
    assert "leave the list empty" in problem


@pytest.mark.parametrize("variable", ["http_redirect", "restrict_sources"])
def test_booleans_that_are_none_are_refused_by_the_users_name(variable):
    (problem,) = read_settings(given(**{variable: "maybe"}))[1]
    assert f"k3s_topology_{variable} is 'maybe'; it is true or false" in problem
    assert not read_settings(given(**{variable: "no"}))[1]
