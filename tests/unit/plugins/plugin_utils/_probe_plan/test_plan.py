# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._ports import parse_port
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    CLOSED,
    CONTROLLER,
    OPEN,
    Plan,
    Settings,
    part_of,
    sample,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_rules,
    node,
    port_rule,
    segregated,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.model import (
    CLIENT,
    Packet,
    admits,
    clusters,
    rules,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SERVERS_ONLY = port_rule(2379, 2380, source=["server"], destination=["server"])
INTERVAL = st.tuples(st.integers(1, 65535), st.integers(0, 60)).map(
    lambda pair: (pair[0], min(65535, pair[0] + pair[1]))
)


def names_of(cluster):
    return [one["name"] for one in cluster["nodes"]]


def sources_of(cluster):
    return [*names_of(cluster), *cluster["external_clients"], CONTROLLER]


def plan_of(cluster, coverage="sample", sources=None, **others):
    return Plan(cluster, Settings(sources or sources_of(cluster), coverage, "1", **others))


def expected_of(cluster, source, coverage="sample"):
    return plan_of(cluster, coverage).expectations(source)


def all_expected(cluster, coverage="sample", **others):
    plan = plan_of(cluster, coverage, **others)
    return [one for source in plan.sources() for one in plan.expectations(source)]


def all_ports(texts):
    return [port for first, last in map(parse_port, texts) for port in range(first, last + 1)]


def ports_of(texts):
    return set(all_ports(texts))


def expand(intervals):
    return [port for first, last in intervals for port in range(first, last + 1)]


# By example


@pytest.mark.parametrize(("forks", "seconds"), [(1, 1140), (5, 420), (29, 300), (100, 270)])
def test_lease_lasts_until_ansible_has_reached_all_hosts(forks, seconds):
    cluster = topology([node(f"n{number}") for number in range(30)])
    plan = plan_of(cluster, sources=[f"n{number}" for number in range(30)], forks=forks)
    assert plan.lease() == seconds
    assert plan.part("n0")["lease"] == seconds
    assert Plan.from_text(plan.to_text()).lease() == seconds


def test_a_rule_is_open_to_whom_it_names_and_closed_to_others():
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
    found = plan_of(topology(nodes), sources=["s1", "s2"]).expectations("s1")
    assert {one["destination"] for one in found} == {"s2"}


def test_a_port_that_another_rule_admits_is_not_expected_closed():
    only_api = port_rule(6443, source=["server"], destination=["server"], name="for-servers")
    cluster = topology(rules=[only_api, port_rule(6000, 7000, source=["agent"], name="for-agents")])
    found = expected_of(cluster, "agent1")
    assert [(one["rule"], one["expected"]) for one in found] == [("for-agents", OPEN)]


def test_a_rule_open_to_anyone_outside_is_not_closed_to_nodes():
    # A client's rule without a source, in a policy from ANY, admits the nodes as well.
    rules = [SERVERS_ONLY, port_rule(2379, source=["external"], name="etcd-for-clients")]
    found = expected_of(topology(rules=rules), "agent1")
    assert 2379 not in [port for one in found if one["expected"] == CLOSED for port in one["ports"]]


def test_clients_outside_probe_the_address_that_they_reach_and_the_clusters_own():
    cluster = topology([segregated()], [port_rule(6443), port_rule(443, source=["external"])])
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
    cluster = topology(rules=[SERVERS_ONLY], restrict_sources=False)
    assert expected_of(cluster, "agent1") == []
    assert expected_of(cluster, CONTROLLER) == []


def test_plain_ports_of_a_nic_apart_are_expected_closed_on_the_one_for_clients_alone():
    # A client with a NIC in the cluster's network reaches them there.
    nodes = [segregated("s1"), segregated("a1", "agent", 21)]
    cluster = topology(nodes, [SERVERS_ONLY], restrict_sources=False)
    found = {(one["source"], one["address"], one["expected"]) for one in all_expected(cluster)}
    assert {one for one in found if one[0] in ("a1", CONTROLLER)} == {
        ("a1", "198.51.100.11", CLOSED),
        (CONTROLLER, "198.51.100.11", CLOSED),
    }


def test_ports_are_probed_once_per_address_and_protocol():
    rules = [port_rule(10250), port_rule(10000, 10300), port_rule(53, protocol="udp")]
    found = plan_of(topology(rules=rules)).targets("agent1")
    assert [(one["destination"], one["address"], one["protocol"]) for one in found] == [
        ("server1", "192.0.2.11", "tcp"),
        ("server1", "192.0.2.11", "udp"),
    ]
    assert 10250 in ports_of(found[0]["ports"])


def test_nodes_find_each_others_ports_closed_on_the_nic_for_clients():
    nodes = [segregated("s1"), segregated("a1", "agent", 21)]
    rules = [
        SERVERS_ONLY,
        port_rule(6443),
        port_rule(6379),
        port_rule(6379, source=["external"], name="redis"),
    ]
    cluster = topology(nodes, rules)
    found = {(one["address"], one["rule"], one["expected"]) for one in expected_of(cluster, "a1")}
    # 6379 is open to anyone there.
    assert found == {
        ("192.0.2.11", SERVERS_ONLY["name"], CLOSED),
        ("192.0.2.11", "tcp-6443-6443-server-agent", OPEN),
        ("192.0.2.11", "tcp-6379-6379-server-agent", OPEN),
        ("198.51.100.11", SERVERS_ONLY["name"], CLOSED),
        ("198.51.100.11", "tcp-6443-6443-server-agent", CLOSED),
    }


def test_a_second_nic_of_a_shared_node_admits_the_nodes_as_well():
    nodes = [node(external_address="198.51.100.11"), node("a1", "agent", "192.0.2.21")]
    assert {one["address"] for one in expected_of(topology(nodes), "a1")} == {"192.0.2.11"}


@pytest.mark.parametrize("make", [segregated, node])
def test_from_outside_every_rule_of_nodes_and_pods_is_closed_where_clients_have_no_rule(make):
    table = default_rules()
    outside = expected_of(topology([make("server1", "server")], table), CONTROLLER)
    addresses = {one["address"] for one in outside}
    for one in table:
        if "external" in one["source"] or one["name"] in ("redis", "kafka"):
            continue
        closed = {
            entry["address"]
            for entry in outside
            if entry["rule"] == one["name"] and entry["expected"] == CLOSED
        }
        assert closed == addresses, one


def test_full_size_packets_are_sent_between_nodes_in_the_network_of_the_cluster_alone():
    # Clients may come by any way, whose MTU is nobody's business here.
    nodes = [segregated("s1"), segregated("a1", "agent", 21)]
    plan = plan_of(topology(nodes, [port_rule(8472, protocol="udp")]))
    found = {
        (source, target["address"]): target["full_size"]
        for source in ("a1", CONTROLLER)
        for target in plan.targets(source)
        if target["destination"] == "s1"
    }
    assert found == {
        ("a1", "192.0.2.11"): True,
        ("a1", "198.51.100.11"): False,
        (CONTROLLER, "192.0.2.11"): False,
        (CONTROLLER, "198.51.100.11"): False,
    }


def test_listeners_answer_the_kinds_of_the_sources():
    cluster = topology(rules=[port_rule(6443), port_rule(443, source=["external"])])
    for sources, ports in [
        (["server1", "agent1"], ["6443"]),
        (["server1", "agent1", "client1"], ["443", "6443"]),
        (["server1", CONTROLLER], ["443", "6443"]),
    ]:
        (found,) = plan_of(cluster, sources=sources).listeners("server1")
        assert (found["address"], found["ports"]) == ("192.0.2.11", ports)


def test_a_service_is_meant_for_ports_of_small_rules_that_are_open_to_somebody():
    rules = [
        port_rule(10000, 30000, name="data"),
        port_rule(2379, 2380, source=["server"]),
        port_rule(10250),
    ]
    cluster = topology(rules=rules)
    (found,) = plan_of(cluster, sources=["server1", "agent1"]).listeners("server1")
    assert found["services"] == ["2379-2380", "10250"]
    (found,) = plan_of(cluster, sources=["agent1"]).listeners("server1")
    assert found["services"] == ["10250"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"full_mesh_max": -1}, "k3s_connectivity_full_mesh_max is -1"),
        ({"sources_per_destination": 0}, "k3s_connectivity_sources_per_destination is 0"),
    ],
)
def test_a_plan_that_proves_nothing_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Settings([], "sample", "1", **wrong)


# Samples


@given(INTERVAL, st.integers())
def test_a_sample_holds_both_ends_and_nothing_outside(interval, seed):
    first, last = interval
    chosen = expand(sample([interval], "sample", str(seed)))
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
    assert sample([interval], "full", "1") == [(first, last)]


@pytest.mark.parametrize("size", range(1, 9))
def test_a_small_range_is_probed_whole(size):
    assert sample([(100, 99 + size)], "sample", "1") == [(100, 99 + size)]


@pytest.mark.parametrize("size", range(9, 22))
def test_a_range_of_about_the_samples_size_can_be_sampled(size):
    assert len(expand(sample([(100, 99 + size)], "sample", "1"))) <= size


def test_a_large_range_is_sampled_in_few_ports():
    assert len(expand(sample([(10000, 30000)], "sample", "1"))) < 30


# For any cluster and table


def packet_of(cluster, destination, expectation, port):
    """Return the packet that a probe sends, with the NIC of the destination that it comes in by."""
    for one in cluster["nodes"]:
        if one["name"] == expectation["source"]:
            nic = "cluster" if expectation["address"] == destination["address"] else "external"
            return Packet(
                one["group"],
                one["address"],
                destination[f"{nic}_interface"],
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
def test_every_rule_is_proved_from_every_source_to_every_destination(cluster):
    found = {
        (one["source"], one["destination"], one["rule"]): one
        for one in all_expected(cluster)
        if one["expected"] == OPEN
    }
    for source in cluster["nodes"]:
        for destination in cluster["nodes"]:
            for one in cluster["rules"]:
                if source is destination or destination["group"] not in one["destination"]:
                    continue
                if source["group"] in one["source"]:
                    key = (source["name"], destination["name"], one["name"])
                    assert {one["first"], one["last"]} <= set(found[key]["ports"])
                    assert found[key]["size"] == one["last"] - one["first"] + 1


@pytest.mark.parametrize("coverage", ["sample", "full"])
@given(cluster=clusters(), full_mesh_max=st.integers(0, 5))
def test_listeners_cover_the_targets_of_every_source(coverage, cluster, full_mesh_max):
    plan = plan_of(cluster, coverage, full_mesh_max=full_mesh_max)
    listening = {
        name: {
            (one["address"], one["protocol"]): ports_of(one["ports"])
            for one in plan.listeners(name)
        }
        for name in names_of(cluster)
    }
    for source in plan.sources():
        for target in plan.targets(source):
            held = listening[target["destination"]][target["address"], target["protocol"]]
            assert ports_of(target["ports"]) <= held


@given(cluster=clusters(), full_mesh_max=st.integers(0, 5), rounds=st.integers(1, 7))
def test_in_all_rounds_together_each_expected_port_is_probed_once(cluster, full_mesh_max, rounds):
    plan = plan_of(cluster, "full", full_mesh_max=full_mesh_max, rounds=rounds)
    for source in plan.sources():
        probed = [
            (target["destination"], target["address"], target["protocol"], port)
            for number in range(1, rounds + 1)
            for target in plan.targets(source, number)
            for port in all_ports(target["ports"])
        ]
        expected = {
            (one["destination"], one["address"], one["protocol"], port)
            for one in plan.expectations(source)
            for port in one["ports"]
        }
        assert len(probed) == len(set(probed))
        assert set(probed) == expected


def test_the_default_table_is_proved_in_few_probes():
    found = plan_of(topology(rules=default_rules())).targets("agent1")
    assert sum(len(ports_of(one["ports"])) for one in found) < 100


def test_full_coverage_probes_every_port_of_a_range_exactly_once():
    found = plan_of(topology(rules=default_rules()), "full").targets("agent1")
    ports = [port for one in found if one["protocol"] == "tcp" for port in all_ports(one["ports"])]
    assert [port for port in ports if 10000 <= port <= 30000] == list(range(10000, 30001))


def test_closed_ports_are_sampled_even_in_full_coverage():
    wide = port_rule(10000, 30000, source=["server"], destination=["server"])
    (found,) = expected_of(topology(rules=[wide]), "agent1", "full")
    assert found["expected"] == CLOSED
    assert len(found["ports"]) < 30


# Large clusters


def large(servers, agents, clients=0, rules=None):
    nodes = [node(f"s{one}", "server", f"10.0.{one // 250}.{one % 250}") for one in range(servers)]
    nodes += [node(f"a{one}", "agent", f"10.1.{one // 256}.{one % 256}") for one in range(agents)]
    names = [f"client{one}" for one in range(clients)]
    return topology(nodes, rules or default_rules(), external_clients=names)


def proofs(plan):
    """Return, by destination and rule and outcome, the sources that prove it."""
    found = defaultdict(set)
    for source in plan.sources():
        for one in plan.expectations(source):
            assert one["destination"] != source
            key = one["destination"], one["address"], one["rule"], one["expected"]
            found[key].add(source)
    return found


@settings(max_examples=60, deadline=None)
@given(
    servers=st.integers(1, 9),
    agents=st.integers(0, 40),
    clients=st.integers(0, 4),
    wanted=st.integers(1, 5),
    table=rules(),
    left_out=st.sets(st.integers(0, 40)),
)
def test_every_rule_is_proved_everywhere_by_enough_sources_of_each_kind(
    servers, agents, clients, wanted, table, left_out
):
    cluster = large(servers, agents, clients, table)
    sources = [*names_of(cluster), *cluster["external_clients"]]
    sources = [one for number, one in enumerate(sources) if number not in left_out]
    mesh = proofs(plan_of(cluster, sources=sources, full_mesh_max=100))
    sparse = proofs(
        plan_of(cluster, sources=sources, full_mesh_max=0, sources_per_destination=wanted),
    )
    assert set(sparse) == set(mesh)
    for key, everybody in mesh.items():
        kinds = {
            frozenset(one for one in everybody if one.startswith("client")),
            # A rule that treats servers and agents alike is proved by either.
            frozenset(one for one in everybody if not one.startswith("client")),
        }
        for kind in kinds:
            assert sparse[key] <= everybody
            assert len(sparse[key] & kind) >= min(wanted, len(kind))


@pytest.mark.parametrize(("nodes", "is_mesh"), [(30, True), (31, False)])
def test_a_mesh_is_full_up_to_thirty_nodes(nodes, is_mesh):
    cluster = large(3, nodes - 3, rules=[port_rule(10250)])
    found = proofs(plan_of(cluster, sources=names_of(cluster)))
    assert all((len(one) == nodes - 1) == is_mesh for one in found.values())


def test_each_kind_proves_rules_that_treat_servers_and_agents_alike_while_that_is_cheap():
    cluster = large(3, 60, rules=[port_rule(10250)])
    found = proofs(plan_of(cluster, sources=names_of(cluster)))
    assert len(found) == 63
    for sources in found.values():
        assert len(sources) == 3
        assert {one[0] for one in sources} == {"s", "a"}


def load(cluster, plan):
    """Return how many destinations and how many ports each node has to probe."""
    found = {}
    for source in names_of(cluster):
        expected = plan.expectations(source)
        destinations = len({one["destination"] for one in expected})
        found[source] = destinations, len(expected), sum(len(one["ports"]) for one in expected)
    return found


@pytest.mark.parametrize(
    ("servers", "of_servers", "of_agents"),
    # The most destinations, checks and ports of a node, and the checks on an average.
    [
        (3, (32, 345, 1091, 345), (4, 47, 144, 33)),
        (300, (6, 49, 148, 42), (5, 51, 150, 35)),
    ],
)
def test_the_cost_of_a_node_is_flat_in_a_cluster_of_a_thousand(servers, of_servers, of_agents):
    # In a full mesh of 30, it is 29 destinations, 328 checks and 1027 ports.
    cluster = large(servers, 1000 - servers, clients=3)
    plan = plan_of(cluster, sources=[*names_of(cluster), *cluster["external_clients"]])
    found = load(cluster, plan)
    for letter, bound in (("s", of_servers), ("a", of_agents)):
        loads = [one for name, one in found.items() if name.startswith(letter)]
        most = [max(one[number] for one in loads) for number in range(3)]
        mean = statistics.mean(checks for _destinations, checks, _ports in loads)
        assert all(value <= limit for value, limit in zip([*most, mean], bound)), (most, mean)
    # Every rule is proved everywhere by three sources, etcd by what servers there are.
    for key, provers in proofs(plan).items():
        assert len(provers) >= (min(3, servers - 1) if key[2:] == ("etcd", OPEN) else 3)


def test_a_larger_cluster_costs_a_node_no_more():
    most = []
    for nodes in (100, 1000):
        cluster = large(3, nodes - 3)
        found = load(cluster, plan_of(cluster, sources=names_of(cluster)))
        most.append([max(one[number] for one in found.values()) for number in range(3)])
    assert all(large <= small for small, large in zip(*most))


def test_a_host_works_out_its_part_of_a_thousand_in_milliseconds():
    cluster = large(3, 997)
    text = plan_of(cluster, sources=names_of(cluster)).to_text()
    begin = time.perf_counter()
    for name in names_of(cluster)[:50]:
        assert part_of(text, name)["targets"][0]
    # About 0.2 ms on an idle machine.
    assert (time.perf_counter() - begin) / 50 < 0.1


@given(cluster=clusters(), full_mesh_max=st.integers(0, 5), seed=st.integers(0, 10**6))
def test_a_plan_is_the_same_wherever_it_is_read(cluster, full_mesh_max, seed):
    plan = Plan(
        cluster,
        Settings(sources_of(cluster), "full", str(seed), full_mesh_max=full_mesh_max, rounds=2),
    )
    text = plan.to_text()
    read = Plan.from_text(text)
    for name in plan.sources():
        part = part_of(text, name)
        assert part["targets"] == [plan.targets(name, number) for number in (1, 2)]
        assert part["listeners"] == plan.listeners(name)
        assert read.expectations(name) == plan.expectations(name)


def test_part_of_a_host_without_one_is_an_error():
    text = plan_of(large(3, 0)).to_text()
    with pytest.raises(KeyError, match="stranger"):
        part_of(text, "stranger")


# Rounds


def test_usual_runs_have_one_round():
    assert plan_of(large(3, 0)).in_rounds().settings.rounds == 1
    assert plan_of(large(3, 0), "full").in_rounds().settings.rounds == 1
    assert plan_of(large(3, 27)).in_rounds().settings.rounds == 1


def test_long_runs_have_rounds_of_about_ten_seconds():
    plan = plan_of(large(3, 27), "full")
    assert plan.in_rounds().settings.rounds == 6


def test_in_a_round_sources_are_at_different_destinations():
    cluster = large(3, 27, rules=[port_rule(10000, 30000)])
    plan = plan_of(cluster, "full", sources=names_of(cluster), rounds=6)
    met = Counter(
        target["destination"] for name in names_of(cluster) for target in plan.targets(name, 1)
    )
    assert max(met.values()) <= 6
    assert min(met.values()) >= 5
