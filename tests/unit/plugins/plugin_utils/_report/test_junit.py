# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import re
from xml.etree import ElementTree

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.junit import SINGLE, junit
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    DROPPED,
    check,
    cluster,
    finding,
    mesh,
    report,
    some_broken,
)
from hypothesis import given
from hypothesis import strategies as st

WHEN = datetime.datetime(2026, 3, 1, 4, 5, 6, tzinfo=datetime.timezone.utc)
# What Ant's schema requires; Jenkins' allows all of it.
SUITE = {
    "id", "name", "package", "hostname", "timestamp", "time", "tests", "failures", "errors",
}  # fmt: skip
CASE = {"name", "classname", "time"}


def suites(found):
    root = ElementTree.fromstring(junit(found, WHEN))
    assert (root.tag, root.attrib) == ("testsuites", {})
    return list(root)


def cases(found):
    return [case for suite in suites(found) for case in suite.findall("testcase")]


def assert_valid(found):
    """Hold the XML against Ant's and Jenkins' schema, and its counts against its cases."""
    for number, suite in enumerate(suites(found)):
        assert suite.tag == "testsuite"
        assert suite.attrib.keys() - {"skipped"} == SUITE
        assert suite.get("id") == str(number)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        inner = suite.findall("testcase")
        names = ["properties", *["testcase"] * len(inner), "system-out", "system-err"]
        assert [one.tag for one in suite] == names
        first = "findings" if suite.get("name") == "findings" else "checks"
        assert [one.get("name") for one in suite[0]] == [first, "failed"]
        assert len({one.get("name") for one in inner}) == len(inner)
        for one in inner:
            assert one.attrib.keys() == CASE
            assert all(value == " ".join(value.split()) for value in one.attrib.values())
            assert [said.tag for said in one] in ([], ["failure"], ["error"], ["skipped"])
            for said in one:
                attributes = set() if said.tag == "skipped" else {"type", "message"}
                assert said.attrib.keys() == attributes
        assert suite.get("tests") == str(len(inner))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))


def test_a_suite_is_a_destination_and_a_case_is_a_check():
    found = report([check(), check("server2"), check(destination="server2", port="1-2")])
    assert [(suite.get("name"), suite.get("tests")) for suite in suites(found)] == [
        ("server1", "2"),
        ("server2", "1"),
    ]
    names = [(case.get("classname"), case.get("name")) for case in cases(found)]
    assert names[0] == (
        "k3s_network.server1",
        "agent1 -> server1 (192.0.2.11): kubernetes-api 6443/tcp open",
    )
    assert names[2] == (
        "k3s_network.server2",
        "agent1 -> server2 (192.0.2.11): kubernetes-api 1-2/tcp open",
    )
    assert_valid(found)


def test_a_failure_has_what_was_observed_and_the_detail():
    found = report([check(ok=False, observed="timeout", detail="no answer")])
    (case,) = cases(found)
    (said,) = case
    assert (said.tag, said.get("type"), said.get("message")) == ("failure", "timeout", "no answer")
    assert said.text.split("\n") == [
        "kubernetes-api 6443/tcp at server1 (192.0.2.11): expected open, observed timeout",
        "no answer",
    ]


def test_a_probe_that_did_not_work_is_an_error():
    found = report([check(ok=False, observed="error", detail="no file descriptor"), check("n2")])
    assert [[said.tag for said in case] for case in cases(found)] == [["error"], []]
    assert suites(found)[0].get("errors") == "1"
    assert_valid(found)


def test_failures_come_first():
    found = report([check(), check("n2", ok=False, observed="timeout")])
    assert [len(case) for case in cases(found)] == [1, 0]


def test_a_dot_in_a_name_begins_no_package():
    (case,) = cases(report([check(destination="n1.example.com")]))
    assert case.get("classname") == "k3s_network.n1_example_com"


def test_a_node_that_is_probed_at_two_addresses_has_a_case_for_each():
    assert_valid(report([check(), check(address="198.51.100.11")]))


def test_the_time_is_that_of_the_report():
    assert suites(report([check()]))[0].get("timestamp") == "2026-03-01T04:05:06"


@pytest.mark.parametrize(("ok", "tag"), [(True, "skipped"), (False, "error")])
def test_nothing_probed_is_said(ok, tag):
    found = {**report([]), "ok": ok}
    (case,) = cases(found)
    assert case[0].tag == tag
    assert "nothing was probed" in case[0].text
    assert_valid(found)


def test_a_large_report_has_a_case_for_all_that_went_well_and_one_for_each_failure():
    large = cluster(40)
    found = mesh(large, some_broken(large))
    assert len(found["checks"]) > SINGLE
    failures = [one for one in found["checks"] if not one["ok"]]
    shown = cases(found)
    assert len([case for case in shown if len(case)]) == len(failures)
    well = [case for case in shown if not len(case)]
    rules = {(one["destination"], one["rule"], one["expected"]) for one in found["checks"]}
    assert len(well) <= len(rules)
    expected = "all others -> server1 (10.20.0.1): kubelet 10250/tcp open"
    assert expected in {case.get("name") for case in well}
    assert_valid(found)


def test_very_many_failures_are_told_by_their_cause():
    found = mesh(cluster(40), lambda _source, name, _rule: ("timeout", DROPPED.format(name)))
    assert len(found["checks"]) > SINGLE
    shown = cases(found)
    assert len(shown) < 700
    text = next(case for case in shown if ": spegel" in case.get("name"))[0].text
    assert "a firewall on the destination or on the way drops it" in text
    assert "and 19 more" in text
    assert_valid(found)


def test_finding_of_level_error_is_a_failed_case():
    found = report([check()], [finding("n2", "n1"), finding("n3", level="warning")])
    suite = suites(found)[0]
    assert (suite.get("name"), suite.get("hostname")) == ("findings", "cluster")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failing, passing = suite.findall("testcase")
    assert failing.get("classname") == "k3s_network.findings"
    cause = "the policy k3s-from-nodes is not in force"
    assert failing.get("name") == f"error: n1, n2: {cause}"
    (said,) = failing
    assert (said.tag, said.get("message")) == ("failure", cause)
    assert said.text.split("\n") == ["error at n1, n2", cause, "run the playbook prepare"]
    assert (list(passing), passing.get("name")) == ([], f"warning: n3: {cause}")
    assert_valid(found)


def test_warnings_are_in_the_output_of_their_suite():
    found = report([check()], [finding(level="warning"), finding(level="info", cause="no overlay")])
    (said,) = suites(found)[0].findall("system-out")
    assert said.text.split("\n\n") == [
        "warning at server1\nthe policy k3s-from-nodes is not in force\nrun the playbook prepare",
        "info at server1\nno overlay\nrun the playbook prepare",
    ]
    assert_valid(found)


def test_report_without_findings_has_no_suite_of_findings():
    assert [suite.get("name") for suite in suites(report([check()]))] == ["server1"]


def test_cases_of_findings_have_names_of_their_own():
    long = [finding(cause="x" * 500, remedy=str(number)) for number in range(3)]
    found = report([check()], long)
    assert_valid(found)
    names = [case.get("name") for case in cases(found)][:3]
    assert [name[-4:] for name in names] == ["x...", " (2)", " (3)"]
    hosts = [f"n{number}" for number in range(99)]
    (case, _check) = cases(report([check()], [finding(*hosts)]))
    assert "n0, n1, n10, n11 and 95 more" in case.get("name")
    assert "and 79 more" in case[0].text


def test_single_node_with_a_finding_fails_by_the_finding():
    found = report([], [finding()])
    assert [case[0].tag for case in cases(found)] == ["failure", "skipped"]
    assert [suite.get("id") for suite in suites(found)] == ["0", "1"]
    assert_valid(found)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_of_a_finding_is_valid_xml(name, text):
    found = {**report([check()]), "findings": [{**finding(name), "cause": text, "remedy": text}]}
    assert cases(found)[0][0].tag == "failure"


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_valid_xml(name, detail):
    found = report([check(name or "n", ok=False, observed="timeout", detail=detail)])
    (case,) = cases(found)
    assert case[0].get("type") == "timeout"
