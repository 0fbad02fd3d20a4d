# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._ports import (
    format_port,
    merge,
    parse_port,
    size,
    subtract,
)
from hypothesis import given
from hypothesis import strategies as st

PORT = st.integers(1, 65535)
INTERVAL = st.tuples(PORT, PORT).map(lambda pair: (min(pair), max(pair)))
# Few ports, so that intervals overlap and touch often.
SMALL = st.integers(1, 40)
INTERVALS = st.lists(st.tuples(SMALL, SMALL).map(lambda pair: (min(pair), max(pair))), max_size=8)


def ports_of(intervals):
    return {port for first, last in intervals for port in range(first, last + 1)}


@given(INTERVAL)
def test_parsing_reads_what_formatting_wrote(interval):
    assert parse_port(format_port(interval)) == interval


@pytest.mark.parametrize(
    ("value", "interval"),
    [
        (6443, (6443, 6443)),
        ("6443", (6443, 6443)),
        ("2379-2380", (2379, 2380)),
        (" 80 ", (80, 80)),
        ("2379 - 2380", (2379, 2380)),
        (1, (1, 1)),
        ("1-65535", (1, 65535)),
    ],
)
def test_numbers_and_texts_are_ports(value, interval):
    assert parse_port(value) == interval


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0, "outside 1 to 65535"),
        (70000, "outside 1 to 65535"),
        ("1-70000", "outside 1 to 65535"),
        ("0-10", "outside 1 to 65535"),
        ("2380-2379", "ends before it begins"),
        ("http", "neither a port nor a range"),
        ("", "neither a port nor a range"),
        ("80-", "neither a port nor a range"),
        ("-80", "neither a port nor a range"),
        ("80-81-82", "neither a port nor a range"),
        ("6_443", "neither a port nor a range"),
        ("+80", "neither a port nor a range"),
        ("0443", "neither a port nor a range"),
        ("\u0666\u0664\u0664\u0663", "neither a port nor a range"),
        ("1" * 5000, "neither a port nor a range"),
        ("80,81", "neither a port nor a range"),
        (80.5, "neither a port nor a range"),
        (None, "neither a port nor a range"),
        (True, "is no port"),
        (False, "is no port"),
    ],
)
def test_what_is_no_port_is_refused_by_name(value, reason):
    with pytest.raises(ValueError) as error:
        parse_port(value)
    assert reason in str(error.value)
    assert repr(value) in str(error.value)


@given(INTERVALS)
def test_merging_keeps_the_same_ports(intervals):
    assert ports_of(merge(intervals)) == ports_of(intervals)


@given(INTERVALS)
def test_merged_intervals_are_sorted_and_neither_overlap_nor_touch(intervals):
    merged = merge(intervals)
    for (_first, last), (next_first, _next_last) in zip(merged, merged[1:]):
        assert last + 1 < next_first


@given(INTERVALS)
def test_merging_does_not_depend_on_the_order(intervals):
    assert merge(reversed(intervals)) == merge(intervals)


def test_neighbours_become_one_interval():
    assert merge([(81, 90), (80, 80)]) == [(80, 90)]


@given(INTERVALS, INTERVALS)
def test_subtracting_leaves_the_ports_of_the_first_that_the_second_lacks(intervals, holes):
    rest = subtract(intervals, holes)
    assert ports_of(rest) == ports_of(intervals) - ports_of(holes)
    assert rest == merge(rest)


def test_a_hole_splits_an_interval():
    assert subtract([(10000, 30000)], [(10250, 10250)]) == [(10000, 10249), (10251, 30000)]


@given(INTERVALS)
def test_size_counts_the_ports(intervals):
    assert size(merge(intervals)) == len(ports_of(intervals))
