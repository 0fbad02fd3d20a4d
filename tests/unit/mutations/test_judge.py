# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.edgeops.k3s_network.tests.mutations.draw import KINDS, draw
from ansible_collections.edgeops.k3s_network.tests.mutations.judge import judge
from ansible_collections.edgeops.k3s_network.tests.mutations.world import intact
from ansible_collections.edgeops.k3s_network.tests.unit.mutations.clusters import (
    CLUSTERS,
    SHARED_CLUSTER,
    truthful,
)
from hypothesis import assume, given
from hypothesis import strategies as st

# Full coverage has twenty thousand checks for each pair.
SAMPLED = [kind for kind in KINDS if kind not in ("cut-large", "wrong-interface")]
# A report says nothing of these.
HARMLESS = ("running-service", "spare-nic", "second-address", "virtual-ip")
TOLD = [kind for kind in SAMPLED if kind not in HARMLESS]
WORLD = intact(SHARED_CLUSTER)


@st.composite
def mutations(sketch, kinds=SAMPLED):
    rng = random.Random(sketch(st.integers(0, 10**6)))
    cluster = sketch(st.sampled_from(CLUSTERS))
    kind = sketch(st.sampled_from([one for one in kinds if is_possible(one, cluster)]))
    mutation = draw(rng, cluster, [kind])
    assume(kinds != TOLD or not mutation.harmless)
    return mutation


def is_possible(kind, cluster):
    return cluster.mode == "shared" or kind not in ("opened", "trusted-interface")


def check(report, port, source="agent1", destination="server1"):
    wanted = (source, destination, port)
    return next(
        one
        for one in report["checks"]
        if (one["source"], one["destination"], one["port"]) == wanted
    )


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda one: one.mode)
def test_truth_about_the_unbroken_cluster_is_right(cluster):
    assert judge(truthful(intact(cluster)), intact(cluster)).is_right
    assert truthful(intact(cluster))["ok"]


@given(mutations())
def test_truth_about_a_mutation_is_right(mutation):
    verdict = judge(truthful(mutation.world), mutation.world, mutation)
    assert verdict.lines() == []


@given(mutations(TOLD))
def test_report_that_notices_nothing_has_missed_the_mutation(mutation):
    verdict = judge(truthful(intact(mutation.world.cluster)), mutation.world, mutation)
    assert verdict.missed
    assert not verdict.false_alarms


@given(mutations(TOLD))
def test_report_of_a_mutation_that_is_not_there_is_a_false_alarm(mutation):
    verdict = judge(truthful(mutation.world), intact(mutation.world.cluster))
    assert verdict.false_alarms
    assert not verdict.missed


def test_wrong_cause_is_inexact():
    mutation = draw(random.Random(3), SHARED_CLUSTER, ["drop"])
    report = truthful(mutation.world)
    failed = next(one for one in report["checks"] if not one["ok"])
    failed["observed"] = "rejected"
    verdict = judge(report, mutation.world, mutation)
    assert len(verdict.inexact) == 1
    assert not verdict.missed + verdict.false_alarms


@pytest.mark.parametrize(
    ("port", "observed"), [("3260", {"rejected"}), ("10000-30000", {"rejected", "timeout"})]
)
def test_of_many_rejections_some_may_be_silent(port, observed):
    # The kernel limits the ICMP errors that it sends to one host.
    mutation = next(
        one
        for seed in range(1000)
        for one in [draw(random.Random(seed), SHARED_CLUSTER, ["removed"])]
        if f'"{port}"' in one.text
    )
    assert {mutation.effect(packet) for packet in mutation.touched()} == {frozenset(observed)}


def test_detail_that_does_not_name_the_policy_is_inexact():
    mutation = draw(random.Random(3), SHARED_CLUSTER, ["drop"])
    report = truthful(mutation.world)
    next(one for one in report["checks"] if not one["ok"])["detail"] = "no answer"
    assert "does not name" in judge(report, mutation.world, mutation).inexact[0]


def test_port_that_the_report_keeps_silent_about_is_missed():
    report = truthful(WORLD)
    report["checks"].remove(check(report, "5001"))
    (line,) = judge(report, WORLD).missed
    assert "no word of agent1 -> server1" in line
    assert "5001/tcp" in line


def test_expectation_that_is_not_the_guides_is_inexact():
    report = truthful(WORLD)
    check(report, "2379").update(expected="open", observed="open", ok=True)
    assert not judge(report, WORLD).is_right


def test_report_that_contradicts_its_checks_is_inexact():
    report = truthful(WORLD)
    report["ok"] = False
    assert judge(report, WORLD).inexact


def test_finding_of_level_error_explains_a_report_that_is_not_ok():
    report = truthful(WORLD)
    finding = {"level": "error", "hosts": [], "cause": "", "remedy": ""}
    report.update(ok=False, findings=[finding])
    assert not judge(report, WORLD).inexact
    report["findings"] = [{**finding, "level": "warning"}]
    assert judge(report, WORLD).inexact


def test_sample_says_how_many_ports_it_had():
    report = truthful(WORLD)
    first, last = check(report, "10000"), check(report, "30000")
    report["checks"].remove(last)
    first.update(port="10000-30000", detail="18 of 20001 ports probed")
    assert judge(report, WORLD).is_right
    first["detail"] = ""
    assert "how many ports" in judge(report, WORLD).inexact[0]


@pytest.mark.parametrize("level", ["error", "warning"])
def test_finding_of_the_unbroken_cluster_is_a_false_alarm(level):
    report = truthful(WORLD)
    report["findings"] = [{"level": level, "hosts": ["agent1"], "cause": "", "remedy": ""}]
    assert "finding: " in judge(report, WORLD).false_alarms[0]


def test_information_of_the_unbroken_cluster_is_right():
    report = truthful(WORLD)
    report["findings"] = [{"level": "info", "hosts": ["agent1"], "cause": "", "remedy": ""}]
    assert judge(report, WORLD).is_right


@given(mutations(["removed", "emptied", "permanent", "overlay-down"]))
def test_finding_that_is_absent_is_missed(mutation):
    report = truthful(mutation.world)
    report.update(findings=[], ok=all(check["ok"] for check in report["checks"]))
    verdict = judge(report, mutation.world, mutation)
    assert [line for line in verdict.missed if line.startswith("no finding: ")]
    assert not verdict.inexact + verdict.false_alarms


def test_finding_of_another_host_is_missed_and_a_false_alarm():
    mutation = draw(random.Random(3), SHARED_CLUSTER, ["overlay-down"])
    report = truthful(mutation.world)
    hosts = report["findings"][0]["hosts"]
    hosts[:] = ["server1" if hosts == ["agent1"] else "agent1"]
    verdict = judge(report, mutation.world, mutation)
    assert (len(verdict.missed), len(verdict.false_alarms)) == (1, 1)


def test_remedy_that_does_not_help_is_inexact():
    mutation = draw(random.Random(3), SHARED_CLUSTER, ["opened"])
    report = truthful(mutation.world)
    for one in report["checks"]:
        if not one["ok"]:
            one["detail"] += "; run the playbook prepare"
    assert "without run the playbook prepare" in judge(report, mutation.world, mutation).inexact[0]
