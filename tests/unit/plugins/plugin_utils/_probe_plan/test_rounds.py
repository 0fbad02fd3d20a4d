# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._ports import merge
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.rounds import (
    part,
    rounds,
)
from hypothesis import given
from hypothesis import strategies as st

INTERVALS = st.lists(
    st.tuples(st.integers(1, 300), st.integers(0, 60)).map(lambda pair: (pair[0], sum(pair))),
    max_size=5,
).map(merge)


@pytest.mark.parametrize(
    ("probes", "number"), [(0, 1), (100_000, 1), (100_001, 2), (600_000, 6), (20_000_000, 200)]
)
def test_a_round_has_a_hundred_thousand_probes_at_most(probes, number):
    assert rounds(probes) == number


@given(st.lists(INTERVALS, max_size=6), st.integers(1, 9))
def test_rounds_are_even_and_together_the_whole_in_its_order(work, count):
    keyed = list(enumerate(work))
    parts = [part(keyed, number, count) for number in range(1, count + 1)]

    def ports(shares):
        return [
            (key, port)
            for key, intervals in shares
            for first, last in intervals
            for port in range(first, last + 1)
        ]

    sizes = [len(ports(shares)) for shares in parts]
    assert max(sizes) - min(sizes) <= 1
    assert [one for shares in parts for one in ports(shares)] == ports(keyed)
    assert all(intervals for shares in parts for _key, intervals in shares)


def test_one_round_is_the_work_itself():
    work = [("a", [(1, 5), (7, 7)]), ("b", [(10, 20)])]
    assert part(work, 1, 1) == work


def test_a_range_is_cut_where_the_round_ends():
    assert part([("a", [(1, 10)]), ("b", [(1, 2)])], 1, 2) == [("a", [(1, 6)])]
    assert part([("a", [(1, 10)]), ("b", [(1, 2)])], 2, 2) == [("a", [(7, 10)]), ("b", [(1, 2)])]
