# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._ports import parse_port
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe_plan import (
    CLOSED,
    CONTROLLER,
    OPEN,
    expectations,
    kinds,
    listeners,
    sample,
    targets,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.factories import (
    default_rows,
    node,
    row,
    segregated,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.model import (
    CLIENT,
    Packet,
    admits,
    clusters,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SERVERS_ONLY = row(2379, 2380, source=["server"], destination=["server"])
INTERVAL = st.tuples(st.integers(1, 65535), st.integers(0, 60)).map(
    lambda pair: (pair[0], min(65535, pair[0] + pair[1]))
)


def names_of(cluster):
    return [one["name"] for one in cluster["nodes"]]


def expected_of(cluster, source, coverage="sample"):
    return expectations(cluster, source, names_of(cluster), coverage, "1")


def all_expected(cluster, coverage="sample"):
    sources = [*names_of(cluster), *cluster["external_clients"], CONTROLLER]
    return [one for source in sources for one in expected_of(cluster, source, coverage)]


def ports_of(texts):
    return {port for first, last in map(parse_port, texts) for port in range(first, last + 1)}


# By example


def test_a_row_is_open_to_whom_it_names_and_closed_to_others():
    nodes = [node("s1"), node("s2", address="192.0.2.12"), node("a1", "agent", "192.0.2.21")]
    cluster = topology(nodes, [SERVERS_ONLY])
    seen = {(one["source"], one["destination"], one["expected"]) for one in all_expected(cluster)}
    assert {entry for entry in seen if entry[0] != CONTROLLER} == {
        ("s1", "s2", OPEN),
        ("s2", "s1", OPEN),
        ("a1", "s1", CLOSED),
        ("a1", "s2", CLOSED),
    }


def test_nobody_probes_itself_or_a_node_that_takes_no_part():
    nodes = [node("s1"), node("s2", address="192.0.2.12"), node("s3", address="192.0.2.13")]
    found = expectations(topology(nodes), "s1", ["s1", "s2"], "sample", "1")
    assert {one["destination"] for one in found} == {"s2"}


def test_a_port_that_another_row_admits_is_not_expected_closed():
    only_api = row(6443, source=["server"], destination=["server"], name="for-servers")
    cluster = topology(rows=[only_api, row(6000, 7000, source=["agent"], name="for-agents")])
    found = expected_of(cluster, "agent1")
    assert [(one["rule"], one["expected"]) for one in found] == [("for-agents", OPEN)]


def test_a_row_open_to_anyone_outside_is_not_closed_to_nodes():
    # A client's rule without a source, in a policy from ANY, admits the nodes as well.
    rows = [SERVERS_ONLY, row(2379, source=["external"], name="etcd-for-clients")]
    found = expected_of(topology(rows=rows), "agent1")
    assert 2379 not in [port for one in found if one["expected"] == CLOSED for port in one["ports"]]


def test_clients_outside_probe_the_address_that_they_reach_and_the_clusters_own():
    cluster = topology([segregated()], [row(6443), row(443, source=["external"])])
    found = {
        (one["address"], one["rule"], one["expected"]) for one in expected_of(cluster, CONTROLLER)
    }
    assert found == {
        ("198.51.100.11", "tcp-443-443-external", OPEN),
        ("198.51.100.11", "tcp-6443-6443-server-agent", CLOSED),
        ("192.0.2.11", "tcp-6443-6443-server-agent", CLOSED),
    }


def test_a_node_without_an_external_address_is_not_probed_from_outside():
    cluster = topology([node(external_address=None)])
    assert expected_of(cluster, CONTROLLER) == []


def test_plain_ports_of_a_shared_nic_are_not_expected_closed():
    cluster = topology(rows=[SERVERS_ONLY], restrict_sources=False)
    assert expected_of(cluster, "agent1") == []
    assert expected_of(cluster, CONTROLLER) == []


def test_ports_are_probed_once_per_address_and_protocol():
    rows = [row(10250), row(10000, 10300), row(53, protocol="udp")]
    found = targets(expected_of(topology(rows=rows), "agent1"))
    assert [(one["destination"], one["address"], one["protocol"]) for one in found] == [
        ("server1", "192.0.2.11", "tcp"),
        ("server1", "192.0.2.11", "udp"),
    ]
    assert 10250 in ports_of(found[0]["ports"])


def test_kinds_are_those_of_the_sources():
    cluster = topology(external_clients=["client1"])
    assert kinds(cluster, ["server1", "agent1"]) == ["agent", "server"]
    assert kinds(cluster, ["agent1", "client1"]) == ["agent", "external"]
    assert kinds(cluster, [CONTROLLER]) == ["external"]
    assert kinds(cluster, []) == []


# Samples


@given(INTERVAL, st.integers())
def test_a_sample_holds_both_ends_and_nothing_outside(interval, seed):
    first, last = interval
    chosen = sample([interval], "sample", str(seed))
    assert {first, last} <= set(chosen) <= set(range(first, last + 1))
    assert chosen == sorted(set(chosen))


@given(INTERVAL, st.integers())
def test_a_sample_is_the_same_for_the_same_seed(interval, seed):
    assert sample([interval], "sample", str(seed)) == sample([interval], "sample", str(seed))


def test_another_seed_gives_another_sample():
    assert sample([(10000, 30000)], "sample", "1") != sample([(10000, 30000)], "sample", "2")


@given(INTERVAL)
def test_full_coverage_is_every_port(interval):
    first, last = interval
    assert sample([interval], "full", "1") == list(range(first, last + 1))


@pytest.mark.parametrize("size", range(1, 9))
def test_a_small_range_is_probed_whole(size):
    assert sample([(100, 99 + size)], "sample", "1") == list(range(100, 100 + size))


@pytest.mark.parametrize("size", range(9, 22))
def test_a_range_of_about_the_samples_size_can_be_sampled(size):
    assert len(sample([(100, 99 + size)], "sample", "1")) <= size


def test_a_large_range_is_sampled_in_few_ports():
    assert len(sample([(10000, 30000)], "sample", "1")) < 30


# For any cluster and table


def packet_of(cluster, destination, expectation, port):
    """Return the packet that a probe sends, with the NIC of the destination that it comes in by."""
    for one in cluster["nodes"]:
        if one["name"] == expectation["source"]:
            return Packet(
                one["group"],
                one["address"],
                destination["cluster_interface"],
                expectation["protocol"],
                port,
            )
    return Packet(
        "external", CLIENT, destination["external_interface"], expectation["protocol"], port
    )


@settings(max_examples=200)
@given(clusters())
def test_what_is_expected_agrees_with_what_the_table_admits(cluster):
    by_name = {one["name"]: one for one in cluster["nodes"]}
    for expectation in all_expected(cluster, "full"):
        destination = by_name[expectation["destination"]]
        for port in expectation["ports"]:
            packet = packet_of(cluster, destination, expectation, port)
            admitted = admits(cluster, destination, packet)
            if expectation["expected"] == CLOSED:
                assert not admitted, (expectation, packet)
            elif packet.kind != "external" or not cluster["external_sources"]:
                assert admitted, (expectation, packet)


@given(clusters())
def test_every_row_is_proved_from_every_source_to_every_destination(cluster):
    found = {
        (one["source"], one["destination"], one["rule"]): one
        for one in all_expected(cluster)
        if one["expected"] == OPEN
    }
    for source in cluster["nodes"]:
        for destination in cluster["nodes"]:
            for one in cluster["rows"]:
                if source is destination or destination["group"] not in one["destination"]:
                    continue
                if source["group"] in one["source"]:
                    key = (source["name"], destination["name"], one["name"])
                    assert {one["first"], one["last"]} <= set(found[key]["ports"])
                    assert found[key]["size"] == one["last"] - one["first"] + 1


@pytest.mark.parametrize("coverage", ["sample", "full"])
@given(cluster=clusters())
def test_listeners_cover_the_targets_of_every_source(coverage, cluster):
    sources = [*names_of(cluster), "client1"]
    listening = {
        name: {
            (one["address"], one["protocol"]): ports_of(one["ports"])
            for one in listeners(cluster, name, kinds(cluster, sources), coverage, "1")
        }
        for name in names_of(cluster)
    }
    for source in sources:
        for target in targets(expected_of(cluster, source, coverage)):
            held = listening[target["destination"]][target["address"], target["protocol"]]
            assert ports_of(target["ports"]) <= held


def test_the_default_table_is_proved_in_few_probes():
    found = targets(expected_of(topology(rows=default_rows()), "agent1"))
    assert sum(len(ports_of(one["ports"])) for one in found) < 100


def test_closed_ports_are_sampled_even_in_full_coverage():
    wide = row(10000, 30000, source=["server"], destination=["server"])
    (found,) = expected_of(topology(rows=[wide]), "agent1", "full")
    assert found["expected"] == CLOSED
    assert len(found["ports"]) < 30
