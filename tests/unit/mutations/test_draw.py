# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.tests.mutations.cluster import Packet
from ansible_collections.edgeops.k3s_network.tests.mutations.draw import KINDS, draw
from ansible_collections.edgeops.k3s_network.tests.mutations.firewall import (
    ACCEPT,
    REJECT,
    ZONE_CLUSTER,
)
from ansible_collections.edgeops.k3s_network.tests.mutations.mutation import LAB
from ansible_collections.edgeops.k3s_network.tests.mutations.world import intact
from ansible_collections.edgeops.k3s_network.tests.unit.mutations import fake_node
from ansible_collections.edgeops.k3s_network.tests.unit.mutations.clusters import (
    CLUSTERS,
    SEGREGATED_CLUSTER,
    SHARED_CLUSTER,
    truthful,
)
from hypothesis import given
from hypothesis import strategies as st

OF_HOSTS = {"wrong-interface", "wrong-address", "duplicate-address", "small-mtu"}
OF_FIREWALL = [kind for kind in KINDS if kind not in OF_HOSTS]
SEEDS = st.integers(0, 10**6)


@st.composite
def mutations(sketch, kinds=OF_FIREWALL):
    return draw(random.Random(sketch(SEEDS)), sketch(st.sampled_from(CLUSTERS)), kinds)


@given(mutations())
def test_mend_undoes_break_and_the_model_is_what_the_commands_make(mutation):
    cluster = mutation.world.cluster
    ((name, breaks),) = mutation.breaks.items()
    ((mended, mends),) = mutation.mends.items()
    assert mended == name
    before = fake_node.state(cluster, intact(cluster).firewalls[name])
    broken = fake_node.run(before, breaks)
    assert broken == fake_node.state(cluster, mutation.world.firewalls[name]) != before
    assert fake_node.run(broken, mends) == before


def test_zone_of_the_cluster_does_not_know_nodes_by_their_other_addresses():
    # Seen on a lab: the report said rightly that the ports stay closed.
    world = intact(SEGREGATED_CLUSTER)
    node = world.firewalls["server1"]
    moved = replace(node, zones={"eth0": ZONE_CLUSTER, "eth1": ZONE_CLUSTER})
    outside = replace(world, firewalls={**world.firewalls, "server1": moved})
    address = SEGREGATED_CLUSTER.machine("server1").nics[1].address
    assert outside.action(Packet("server2", "server1", address, "tcp", 6443)) == REJECT
    inside = SEGREGATED_CLUSTER.machine("server1").nics[0].address
    assert outside.action(Packet("server2", "server1", inside, "tcp", 6443)) == ACCEPT


@given(st.integers(0, 10**6))
def test_nic_goes_back_to_its_zone(seed):
    mutation = draw(random.Random(seed), SEGREGATED_CLUSTER, ["wrong-interface"])
    ((name, breaks),) = mutation.breaks.items()
    before = fake_node.state(SEGREGATED_CLUSTER, intact(SEGREGATED_CLUSTER).firewalls[name])
    broken = fake_node.run(before, breaks)
    assert broken != before
    assert fake_node.run(broken, mutation.mends[name]) == before


@given(mutations([kind for kind in OF_FIREWALL if kind != "cut-large"]))
def test_only_the_broken_node_is_touched(mutation):
    touched = mutation.touched()
    assert touched
    assert {packet.destination for packet in touched} == set(mutation.breaks)


@given(SEEDS, st.sampled_from(CLUSTERS))
def test_same_seed_draws_the_same(seed, cluster):
    assert draw(random.Random(seed), cluster) == draw(random.Random(seed), cluster)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda one: one.mode)
def test_every_kind_is_drawn(cluster):
    rng = random.Random(1)
    kinds = {draw(rng, cluster).kind for _number in range(300)}
    # A shared interface has no zone of ours that a NIC could miss.
    impossible = {"wrong-interface"} if cluster is SHARED_CLUSTER else set()
    assert kinds == set(KINDS) - impossible


def test_kind_that_the_cluster_cannot_have_is_an_error():
    with pytest.raises(ValueError, match="wrong-interface"):
        draw(random.Random(1), SHARED_CLUSTER, ["wrong-interface"])


def test_rule_of_a_port_that_a_range_admits_as_well_is_never_drawn():
    rng = random.Random(1)
    texts = {draw(rng, SHARED_CLUSTER, ["removed"]).text for _number in range(150)}
    assert not [text for text in texts if '"10250"' in text]


@given(SEEDS)
def test_service_on_the_loopback_refuses_whom_the_firewall_admits(seed):
    mutation = draw(random.Random(seed), SHARED_CLUSTER, ["wrong-address"])
    before = intact(SHARED_CLUSTER)
    for packet in mutation.touched():
        assert mutation.effect(packet) == {"refused"}
        assert before.action(packet) == "accept"
        assert f"-{packet.port} " in mutation.breaks[packet.destination][0]


@given(SEEDS)
def test_small_link_stops_the_overlay_both_ways_and_nothing_else(seed):
    mutation = draw(random.Random(seed), SHARED_CLUSTER, ["small-mtu"])
    (name,) = mutation.world.mtus
    assert list(mutation.breaks) == [LAB]
    pairs = {(packet.source, packet.destination) for packet in mutation.touched()}
    others = {node.name for node in SHARED_CLUSTER.nodes} - {name}
    assert pairs == {(name, other) for other in others} | {(other, name) for other in others}
    assert {packet.port for packet in mutation.touched()} == {8472}


@given(SEEDS)
def test_taken_address_is_given_back_wherever_it_was_told(seed):
    mutation = draw(random.Random(seed), SHARED_CLUSTER, ["duplicate-address"])
    duplicate = mutation.world.duplicate
    assert {packet.destination for packet in mutation.touched()} == {duplicate.node}
    assert duplicate.client not in {packet.source for packet in mutation.touched()}
    assert set(mutation.breaks) == set(mutation.mends)
    for name, commands in mutation.breaks.items():
        for command in commands:
            words = re.match(r"ip (address|neighbour) (add|replace) (\S+)", command)
            if words:
                assert f"ip {words[1]} delete {words[3]}" in " ".join(mutation.mends[name])


@pytest.mark.parametrize("kind", ["reset", "drop"])
def test_port_that_is_closed_in_another_way_is_no_mutation(kind):
    # At seed 27 the rule would be for agents and a port that is closed to them anyway.
    mutation = draw(random.Random(27), SHARED_CLUSTER, [kind])
    assert not truthful(mutation.world)["ok"]
