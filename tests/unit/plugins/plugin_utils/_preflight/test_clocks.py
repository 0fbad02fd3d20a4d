# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._preflight import clocks
from hypothesis import given
from hypothesis import strategies as st


def exact(**offsets):
    """Return the offsets of nodes that were asked in no time."""
    return {name: (offset, offset) for name, offset in offsets.items()}


def test_skews_of_two_nodes_name_both():
    (found,) = clocks.skews(exact(a=0, b=5))
    assert (found.severity, found.nodes) == ("warning", ("b", "a"))
    assert found.problem.startswith("the clock of b is at least 5 s ahead of that of a: ")
    (found,) = clocks.skews(exact(a=0, b=-31))
    assert (found.severity, found.nodes) == ("error", ("a", "b"))


def test_skews_of_equal_clocks_are_none():
    assert list(clocks.skews(exact(a=0, b=0.9, c=0.2))) == []
    assert list(clocks.skews(exact(a=0))) == []
    assert list(clocks.skews({})) == []


@pytest.mark.parametrize("forged", [2e10, -2e9, 40])
def test_skew_of_a_forged_clock_does_not_hide_others(forged):
    sound = exact(a=0, b=0.1, c=0.2, d=5)
    (alone,) = clocks.skews(sound)
    found = list(clocks.skews({**sound, "liar": (forged, forged)}))
    assert len(found) == 2
    assert "liar" in found[0].nodes
    assert found[1] == alone


def test_skews_of_many_nodes_are_grouped():
    offsets = exact(**{f"n{number}": 0 for number in range(60)})
    offsets.update(exact(**{f"late{number}": 9 for number in range(40)}))
    (found,) = clocks.skews(offsets)
    assert len(found.nodes) == 41
    assert "and 36 more are at least 9 s ahead of that of n" in found.problem


@given(
    st.lists(
        st.tuples(st.floats(-100, 100), st.floats(0, 5), st.floats(0, 9), st.floats(0, 5)),
        min_size=2,
        max_size=6,
    )
)
def test_a_skew_is_never_told_larger_than_it_is(nodes):
    """Each node is (its offset, time until it read its clock, its work, time until it answered)."""
    answers = {}
    for index, (offset, sent, work, back) in enumerate(nodes):
        start = 1000 + index
        read = {
            "clock": start + sent + offset,
            "clock_at_the_end": start + sent + work + offset,
        }
        answers[f"n{index}"] = (
            read["clock_at_the_end"] - (start + sent + work + back),
            read["clock"] - start,
        )
    offsets = [offset for offset, *_times in nodes]
    true = max(offsets) - min(offsets)
    # How long the work takes does not matter.
    slack = 2 * max(sent + back for _offset, sent, _work, back in nodes)
    found = list(clocks.skews(answers))
    if found:
        assert true > clocks.SKEW_WARNING - 1e-6
    else:
        assert true <= clocks.SKEW_WARNING + slack + 1e-6
    if any(one.severity == "error" for one in found):
        assert true > clocks.SKEW_ERROR - 1e-6
