# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.findings import (
    LEVELS,
    counted,
    grouped,
    has_errors,
    sentence,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import finding
from hypothesis import given
from hypothesis import strategies as st


def test_grouped_same_problem_is_one_finding():
    found = grouped([finding("n2", "n1"), finding("n3"), finding("n1")])
    assert found == [finding("n1", "n2", "n3")]


@pytest.mark.parametrize("other", [{"level": "warning"}, {"cause": "x"}, {"remedy": "x"}])
def test_grouped_other_problem_is_another_finding(other):
    assert len(grouped([finding(), finding(**other)])) == 2


def test_grouped_findings_are_sorted_by_level_and_hosts():
    found = [
        finding("n1", level="info"),
        finding("n3"),
        finding("n1", level="warning"),
        finding("n2", cause="b"),
        finding("n2", cause="a"),
    ]
    assert [(one["level"], *one["hosts"], one["cause"][:1]) for one in grouped(found)] == [
        ("error", "n2", "a"),
        ("error", "n2", "b"),
        ("error", "n3", "t"),
        ("warning", "n1", "t"),
        ("info", "n1", "t"),
    ]


def test_grouped_text_of_a_node_is_one_clean_line():
    (found,) = grouped([finding(cause=" a\n b\x1b[31m\u202e", remedy="c\td")])
    assert (found["cause"], found["remedy"]) == ("a b?[31m?", "c d")


def test_grouped_long_text_is_shortened():
    (found,) = grouped([finding(cause="x" * 9999, remedy="y" * 1000)])
    assert (len(found["cause"]), found["cause"][-4:]) == (1000, "x...")
    assert found["remedy"] == "y" * 1000


def test_grouped_200_findings_are_all_kept():
    found = [finding(cause=str(number)) for number in range(200)]
    assert len(grouped(found)) == 200
    assert not any("not listed" in one["cause"] for one in grouped(found))


def test_grouped_more_findings_are_counted():
    found = [finding(f"n{number}", cause=f"{number}") for number in range(250)]
    found += [finding("n1", level="warning")] * 2
    result = grouped(found)
    assert len(result) == 200
    listed, last = result[:-1], result[-1]
    assert last["cause"] == "52 more findings are not listed"
    assert last["level"] == "error"
    assert {name for one in result for name in one["hosts"]} == {f"n{n}" for n in range(250)}
    assert listed == sorted(listed, key=lambda one: one["hosts"])


def test_grouped_node_with_many_problems_leaves_room_for_others():
    many = [finding("n1", cause=str(number)) for number in range(1000)]
    others = [finding(f"n{number}", cause="x") for number in range(2, 100)]
    others += [finding(f"n{number}", cause="y") for number in range(100, 150)]
    result = grouped([*many, *others])
    assert {"x", "y"} < {one["cause"] for one in result}
    assert result[-1]["hosts"] == ["n1"]


FINDINGS = st.lists(
    st.builds(
        finding,
        st.sampled_from(["n1", "n2", "n3"]),
        level=st.sampled_from(LEVELS),
        cause=st.text(),
        remedy=st.sampled_from(["a", "b"]),
    )
)


@given(FINDINGS)
def test_grouped_result_keeps_each_problem(found):
    result = grouped(found)
    assert grouped(result) == result
    assert has_errors(result) == has_errors(found)
    assert {name for one in found for name in one["hosts"]} == {
        name for one in result for name in one["hosts"]
    }
    assert all(one["cause"].isprintable() for one in result)
    levels = [LEVELS.index(one["level"]) for one in result]
    assert levels == sorted(levels)


def test_has_errors_warning_is_not_an_error():
    assert not has_errors([finding(level="warning"), finding(level="info")])
    assert has_errors([finding(level="warning"), finding()])


def test_counted_levels_are_worst_first():
    found = [finding(level="info"), finding(), finding(level="warning"), finding(level="warning")]
    assert counted(found) == "1 error, 2 warnings, 1 info"
    assert counted([]) == ""


def test_sentence_names_level_hosts_cause_and_remedy():
    assert sentence(finding("n1", "n2")) == (
        "error: n1, n2: the policy k3s-from-nodes is not in force; run the playbook prepare"
    )
    assert sentence({**finding(), "hosts": []}).startswith("error: cluster: the policy")


def test_sentence_is_short_and_clean():
    text = sentence(finding(*["n\x1b" * 99] * 9, cause="x" * 1000))
    assert (len(text), text.isprintable()) == (400, True)
    names = sentence(finding(*[f"n{number}" for number in range(9)]))
    assert names.startswith("error: n0, n1, n2, n3 and 5 more: ")
