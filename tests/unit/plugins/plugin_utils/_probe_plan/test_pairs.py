# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter, defaultdict

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.pairs import (
    Pairs,
    Part,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    topology,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def pairs_of(servers, agents, clients=0, seed="1", full_mesh_max=30, wanted=3):
    nodes = [node(f"s{number}", "server") for number in range(servers)]
    nodes += [node(f"a{number}", "agent") for number in range(agents)]
    names = [one["name"] for one in nodes] + [f"c{number}" for number in range(clients)]
    return Pairs(topology(nodes), names, seed, full_mesh_max, wanted)


def provers(pairs, *parts):
    """Return, by destination and kind, the sources that prove these parts there."""
    found = defaultdict(list)
    for source in pairs.sources():
        for destination, part in pairs.destinations(source):
            if part in parts:
                found[destination["name"], pairs.kind(source)].append(source)
    return found


def loads(pairs, part):
    """Return, by kind, at how many destinations each source proves a part."""
    found = defaultdict(list)
    for source in pairs.sources():
        count = sum(one is part for _node, one in pairs.destinations(source))
        found[pairs.kind(source)].append(count)
    return found


def test_in_a_mesh_everybody_probes_everybody_else_beginning_behind_itself():
    pairs = pairs_of(2, 2, clients=2)
    order = {
        source: [one["name"] for one, _part in pairs.destinations(source)]
        for source in pairs.sources()
    }
    assert order["s0"] == ["s1", "a0", "a1"]
    assert order["a0"] == ["a1", "s0", "s1"]
    starts = {tuple(order[client]) for client in ("c0", "c1")}
    assert starts == {("s0", "s1", "a0", "a1"), ("a0", "a1", "s0", "s1")}


def test_who_takes_no_part_has_no_destinations():
    assert pairs_of(2, 2).destinations("stranger") == []


@settings(deadline=None)
@given(
    servers=st.integers(1, 40),
    agents=st.integers(0, 40),
    clients=st.integers(0, 5),
    wanted=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_each_kind_proves_what_treats_it_unlike_the_other(servers, agents, clients, wanted, seed):
    pairs = pairs_of(servers, agents, clients, str(seed), full_mesh_max=0, wanted=wanted)
    found = provers(pairs, Part.EVERY_RULE, Part.DISTINCT_RULES)
    for one in pairs.nodes:
        for kind, count in (("server", servers), ("agent", agents), ("external", clients)):
            sources = found[one["name"], kind]
            assert one["name"] not in sources
            assert len(sources) == len(set(sources))
            available = count - (1 if one["group"] == kind else 0)
            assert len(sources) >= min(wanted, available)


@settings(deadline=None)
@given(
    servers=st.integers(1, 40),
    agents=st.integers(31, 80),
    wanted=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_the_load_of_what_every_node_shall_reach_is_bounded(servers, agents, wanted, seed):
    pairs = pairs_of(servers, agents, seed=str(seed), wanted=wanted)
    found = loads(pairs, Part.EVERY_RULE)
    few, many = sorted(("server", "agent"), key=lambda kind: len(found[kind]))
    assert max(found[few]) <= 31
    assert max(found[many]) <= 2 * wanted
    assert max(found[many]) - min(found[many]) <= wanted
    by_node = Counter()
    for (name, _kind), sources in provers(pairs, Part.EVERY_RULE).items():
        by_node[name] += len(sources)
    assert set(by_node.values()) == {wanted}


def test_what_treats_few_destinations_apart_is_spread_over_the_others():
    # Each of three servers takes three agents, and no agent two of them.
    found = loads(pairs_of(3, 997), Part.DISTINCT_RULES)
    assert max(found["agent"]) == 1


def test_the_seed_draws_the_pairs():
    first, second = (provers(pairs_of(3, 60, seed=seed), Part.EVERY_RULE) for seed in ("1", "2"))
    assert first != second
