# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.terminal import (
    LINES,
    WIDTH,
    headline,
    message,
    sentences,
    table,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    port_rule,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    DROPPED,
    check,
    cluster,
    finding,
    mesh,
    report,
    some_broken,
)

THREE = cluster(3, clients=1)
EMPTY = report([])


def bad(*ends, **others):
    return check(*ends, ok=False, **{"observed": "timeout", **others})


def scattered(seed):
    """Return what fails here and there, each time for a reason of its own."""
    dice = random.Random(seed)

    def broken(source, destination, rule):
        if dice.random() < 0.03:
            return "wrong_host", f"{dice.randrange(99)} answered instead of {destination}"
        return None

    return broken


def everything(source, destination, rule):
    return "timeout", DROPPED.format(destination)


def shown(topology, broken):
    return table(mesh(topology, broken), topology)


# The message of the task that fails


def test_the_message_of_a_good_report_is_its_headline():
    good = report([check()])
    assert message(good) == headline(good)
    assert headline(good).startswith("Connectivity ok: 1 checks, 1 of 1 open")


def test_no_checks_prove_nothing_in_a_cluster_of_several_nodes():
    assert "nothing was probed" in message({**EMPTY, "ok": False})
    assert "without --limit" in message({**EMPTY, "ok": False})
    assert "a single node" in message(EMPTY)


def test_the_message_names_the_failures():
    text = message(report([check(), bad(rule="data", port="10003-10004")]))
    assert text.startswith("Connectivity FAILED: 2 checks, 1 of 2 open")
    assert "agent1 -> server1 10003-10004/tcp (data) is timeout, expected open" in text


def test_of_many_failures_the_message_names_one_of_each_cause():
    many = [bad(port=str(port)) for port in range(100)] + [bad(observed="refused")]
    assert sentences(report(many), 5) == [
        "agent1 -> server1 0/tcp (kubernetes-api) is timeout, expected open (and 99 alike)",
        "agent1 -> server1 6443/tcp (kubernetes-api) is refused, expected open",
    ]


def test_a_message_fits_into_what_awx_shows_of_an_event():
    causes = [bad("s" * 200, "d" * 200, detail=str(number)) for number in range(100)]
    assert len(message(report(causes))) < 900


def test_message_names_a_finding_that_fails_the_run():
    text = message(report([check()], [finding("n1", "n2")]))
    assert text.startswith("Connectivity FAILED: 1 checks, 1 of 1 open")
    assert "findings: 1 error; error: n1, n2: the policy k3s-from-nodes is not in force" in text
    assert text.endswith("run the playbook prepare; the table above tells what to do")


def test_message_of_a_report_that_is_ok_counts_warnings():
    text = message(report([check()], [finding(level="warning"), finding(level="info")]))
    assert text.startswith("Connectivity ok: 1 checks")
    assert text.endswith("findings: 1 warning")


def test_message_names_long_findings_and_fits_into_an_event():
    long = [finding("n" * 300, cause=str(number) * 1000) for number in range(5)]
    for checks in ([check()], [bad("s" * 99, port=str(port)) for port in range(9)]):
        text = message(report(checks, long))
        assert "error: nnn" in text
        assert len(text) < 900


def test_sentences_findings_leave_room_for_failed_checks():
    found = [finding(cause=f"cause {number}") for number in range(9)]
    checks = [bad(port=str(port), detail=str(port)) for port in range(9)]
    told = sentences(report(checks, found), 5)
    assert [one.split(":")[0] for one in told[:2]] == ["error", "error"]
    assert len([one for one in told if "is timeout" in one]) == 3
    assert len(sentences(report(checks[:1], found), 5)) == 5
    assert len(sentences(report([check()], found), 5)) == 5
    assert len(sentences(report(checks, found[:1]), 20)) == 10


def test_sentences_name_no_warnings():
    assert sentences(report([check()], [finding(level="warning")]), 5) == []


@pytest.mark.parametrize("level", ["error", "warning"])
def test_message_of_a_single_node_with_a_finding_is_true(level):
    text = message(report([], [finding(level=level)]))
    assert "nothing was probed" in text
    assert f"findings: 1 {level}" in text
    assert ("a single node" in text) == (level == "warning")
    assert "if --limit excludes hosts" in text or level == "warning"


# The table


def test_the_table_has_failures_before_all_else():
    lines = shown(THREE, some_broken(THREE))
    assert lines[0].startswith("Connectivity FAILED")
    order = [
        next(number for number, line in enumerate(lines) if line.startswith(start))
        for start in ("FAILED  28 checks: error", "FAILED  1 check: open", "rule ", "from \\ to")
    ]
    assert order == sorted(order)


def test_table_has_findings_before_failures():
    lines = table(mesh(THREE, some_broken(THREE), [finding(level="warning"), finding()]), THREE)
    at = lines.index("ERROR  server1")
    assert lines[at : at + 6] == [
        "ERROR  server1",
        "  the policy k3s-from-nodes is not in force",
        "  => run the playbook prepare",
        "",
        "WARNING  server1",
        "  the policy k3s-from-nodes is not in force",
    ]
    assert at < lines.index("FAILED  28 checks: error, so nothing is proved")


def test_table_of_a_good_report_has_its_warnings():
    lines = table(mesh(THREE, findings=[finding(level="warning")]), THREE)
    assert lines[0].startswith("Connectivity ok")
    assert "WARNING  server1" in lines


def test_finding_names_hosts_by_their_groups():
    large = cluster(30)
    everywhere = finding(*[node["name"] for node in large["nodes"]])
    assert "ERROR  all 30 nodes" in table(mesh(large, findings=[everywhere]), large)
    assert "ERROR  cluster" in table(mesh(THREE, findings=[{**finding(), "hosts": []}]), THREE)


@pytest.mark.parametrize("broken", [lambda *_ends: None, scattered(1), everything])
@pytest.mark.parametrize("count", [3, 12, 60])
@pytest.mark.parametrize("size", [1, 40])
def test_table_with_many_findings_is_short_and_narrow(count, broken, size):
    large = cluster(count, clients=2)
    found = [finding("server1", cause=f"{number} " + "word " * size) for number in range(150)]
    lines = table(mesh(large, broken, found), large)
    assert len(lines) <= LINES - 2
    assert max(map(len, lines)) <= WIDTH
    shown = lines.count("ERROR  server1")
    assert shown >= 3
    assert (
        f"and {150 - shown} more findings; the report has them all (k3s_connectivity_report_dir)"
        in lines
    )


def test_finding_of_any_text_can_not_move_the_cursor():
    found = [{**finding("\x1b[2J"), "cause": "\x1b[2J", "remedy": "\n\x1b"}]
    lines = table({**report([check()]), "findings": found}, THREE)
    assert all(line.isprintable() for line in lines)


def test_a_failure_says_who_what_and_the_remedy_once():
    lines = shown(THREE, some_broken(THREE))
    at = lines.index("FAILED  2 checks: timeout, expected open")
    assert lines[at + 1] == "  server1, server3 -> server2: spegel 5001/tcp"
    assert lines[at + 2].startswith("  => no answer, so a firewall on server2")
    text = " ".join(" ".join(lines).split())
    assert text.count("a firewall on server2 or on the way drops it") == 1


def test_the_table_counts_per_rule_and_per_pair():
    lines = shown(THREE, some_broken(THREE))
    assert any(line.split()[:4] == ["spegel", "5001/tcp", "1/6", "!"] for line in lines)
    assert any(line.split()[:3] == ["server1", "-", "13/14"] for line in lines)


def test_the_table_of_a_good_report_has_no_failures():
    assert "FAILED" not in "\n".join(shown(THREE, lambda *_ends: None))


def test_the_table_says_that_access_from_outside_was_not_probed():
    hint = "Access from outside was not probed"
    assert hint in "\n".join(shown(cluster(3), lambda *_ends: None))
    assert hint not in "\n".join(shown(THREE, lambda *_ends: None))


def test_a_large_cluster_is_told_by_its_groups():
    large = cluster(30, clients=1)
    lines = shown(large, some_broken(large))
    assert "  all 30 nodes but agent13 -> agent27: all 11 rules" in lines
    assert "  client1 and all 27 agents but agent13 -> server1: etcd 2379-2380/tcp" in lines
    assert not any(line.startswith("from") for line in lines)
    assert any(line.startswith("Failed checks to    agent27 319, ") for line in lines)


def test_nodes_that_none_reaches_are_told_in_a_few_lines():
    large = cluster(40)
    lines = shown(large, everything)
    assert "  all 40 nodes -> all 37 agents: all 11 rules" in lines
    assert "  server1, server2, server3 -> each other: etcd 2379-2380/tcp" in lines


def test_only_what_has_failed_is_called_all():
    some = [bad(rule=rule, port=rule) for rule in ("1", "2", "3", "4")] + [
        check(rule="5", port="5")
    ]
    assert "agent1 -> server1: 1 1/tcp, 2 2/tcp, 3 3/tcp, 4 4/tcp" in "\n".join(
        table(report(some), THREE)
    )


@pytest.mark.parametrize("count", [3, 12, 30, 60])
@pytest.mark.parametrize("broken", [scattered(1), scattered(2), everything])
def test_the_table_is_short_and_narrow(count, broken):
    lines = shown(cluster(count, clients=2), broken)
    assert len(lines) <= LINES - 5
    assert max(map(len, lines)) <= WIDTH


def test_long_names_and_many_rules_stay_short_and_narrow():
    rules = [port_rule(port, name=f"{'r' * 90}{port}") for port in range(1, 300)]
    nodes = [
        node(f"{'n' * 60}.example{number}", address=f"192.0.2.{number}") for number in range(9)
    ]
    long = topology(nodes, rules)
    lines = shown(long, scattered(3))
    assert len(lines) <= LINES - 5
    assert max(map(len, lines)) <= WIDTH
    assert any(line.startswith("and 269 more rules, ") for line in lines)


def test_what_a_stranger_answered_can_not_move_the_cursor():
    lines = table(report([bad(detail="\x1b[2J answered instead of server1")]), THREE)
    assert "\x1b" not in "".join(lines)
