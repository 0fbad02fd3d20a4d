# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock
from xml.etree import ElementTree

import pytest
from ansible import constants
from ansible.errors import AnsibleError
from ansible_collections.edgeops.k3s_network.plugins.action import connectivity_report
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils import _action
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    Plan,
    Settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import (
    LISTENERS,
    PROBES,
    outcome,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    COLLECTION,
    port_rule,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.killed import (
    ended,
    started,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import finding

CLUSTER = topology(rules=[port_rule(6443, name="api"), port_rule(5001, name="spegel")])
ADDRESSES = {node["name"]: node["address"] for node in CLUSTER["nodes"]}


def registered(other, **observed):
    """Return what a node's tasks registered, where it saw that of the ports of the other."""
    results = [
        outcome(ADDRESSES[other], port, observed.get(rule, "open"))
        for rule, port in (("api", 6443), ("spegel", 5001))
    ]
    # A round's result, in a loop over rounds.
    return {
        "probes": {"results": [{**PROBES, "results": results}]},
        "listeners": LISTENERS,
    }


def told(cluster):
    """Return the arguments that tell of a cluster."""
    plan = Plan(cluster, Settings(["server1", "agent1"], "sample", "1"))
    return {"plan": plan.to_text()}


GOOD = {"server1": registered("agent1"), "agent1": registered("server1")}
BAD = {**GOOD, "agent1": registered("server1", spegel="timeout")}
ARGUMENTS = {
    **told(CLUSTER),
    "listeners_variable": "listeners",
    "probes_variable": "probes",
}


@pytest.fixture
def printed(monkeypatch):
    """Return the lines that the action has printed, with their colours."""
    lines = {}
    monkeypatch.setattr(
        _action.Display,
        "display",
        lambda _self, line, color, **_how: lines.setdefault(line, color),
    )
    return lines


def run(hostvars=None, **arguments):
    task = MagicMock(check_mode=True, async_val=0, diff=False)
    task.args = arguments
    action = connectivity_report.ActionModule(task, *(MagicMock() for _number in range(5)))
    return action.run(task_vars={"hostvars": hostvars or GOOD})


def test_the_outcome_is_returned_and_printed(printed):
    result = run(BAD, **ARGUMENTS)
    assert (result["changed"], result.get("failed", False)) == (False, False)
    assert result["report"]["ok"] is False
    assert result["report"]["summary"]["blocked"] == 1
    (failed,) = result["report"]["failed"]
    assert (failed["rule"], failed["observed"]) == ("spegel", "timeout")
    assert result["message"].startswith("Connectivity FAILED: 4 checks, 3 of 4 open")
    assert list(printed) == list(dict.fromkeys(["", *result["table"]]))


def test_what_has_failed_is_red_and_what_is_well_is_green(printed):
    run(BAD, **ARGUMENTS)
    assert {line.split()[0] for line, colour in printed.items() if colour == "red"} == {
        "Connectivity",
        "FAILED",
    }
    printed.clear()
    run(**ARGUMENTS)
    assert [line[:15] for line, colour in printed.items() if colour] == ["Connectivity ok"]
    assert "green" in printed.values()


def test_a_good_report_names_no_failures(printed):
    result = run(**ARGUMENTS)
    assert (result["report"]["ok"], result["report"]["failed"]) == (True, [])


def test_what_is_returned_stays_small(printed):
    rules = [port_rule(port, name=f"rule{port}") for port in range(1, 400)]
    result = run(**{**ARGUMENTS, **told({**CLUSTER, "rules": rules})})
    assert result["report"]["summary"]["not_determined"] == 798
    assert len(result["report"]["failed"]) == 200
    assert len(json.dumps(result)) < 100_000


def test_the_statistics_are_those_of_the_whole_run(printed):
    stats = run(BAD, **ARGUMENTS)["ansible_stats"]
    assert (stats["aggregate"], stats["per_host"]) == (False, False)
    data = stats["data"]
    assert data["k3s_connectivity_ok"] is False
    assert data["k3s_connectivity_summary"]["blocked"] == 1
    assert data["k3s_connectivity_failed"] == [
        "agent1 -> server1 5001/tcp (spegel) is timeout, expected open"
    ]


@pytest.fixture
def found(monkeypatch):
    """Return the findings that the action evaluates."""
    findings = []
    monkeypatch.setattr(
        connectivity_report.firewall_findings, "findings", lambda _topology, _firewalls: findings
    )
    return findings


def test_findings_come_from_what_nodes_registered(printed):
    difference = {
        "configuration": "runtime",
        "kind": "policy",
        "name": "k3s-from-nodes",
        "state": "missing",
    }
    answer = {
        "firewalld": {"running": True, "prepared": True, "differences": [difference]},
        "overlay": {"interfaces": {"flannel.1": True}},
    }
    hostvars = {
        "server1": {
            **GOOD["server1"],
            "listeners": {**GOOD["server1"]["listeners"], "firewall": answer},
        },
        "agent1": {
            **GOOD["agent1"],
            "listeners": {**GOOD["agent1"]["listeners"], "firewall": {"overlay": "lie"}},
        },
    }
    result = run(hostvars, **ARGUMENTS)
    assert result["report"]["findings"] == [
        {
            "level": "error",
            "hosts": ["server1"],
            "cause": "policy k3s-from-nodes is missing in the runtime configuration of firewalld",
            "remedy": "run the playbook prepare",
        }
    ]
    assert result["report"]["ok"] is False


def test_findings_are_returned_and_printed(printed, found):
    found += [finding("server1"), finding("agent1", level="warning"), finding("agent1")]
    result = run(**ARGUMENTS)
    assert result["report"]["ok"] is False
    assert result["report"]["findings"] == [
        finding("agent1", "server1"),
        finding("agent1", level="warning"),
    ]
    error = "error: agent1, server1: the policy k3s-from-nodes is not in force"
    assert error in result["message"]
    data = result["ansible_stats"]["data"]
    assert data["k3s_connectivity_ok"] is False
    assert data["k3s_connectivity_failed"] == [f"{error}; run the playbook prepare"]
    assert [one.split(": the")[0] for one in data["k3s_connectivity_findings"]] == [
        "error: agent1, server1",
        "warning: agent1",
    ]
    assert printed["ERROR  server1, agent1"] == "red"
    assert printed["WARNING  agent1"] == constants.COLOR_WARN


def test_report_without_findings_returns_empty_lists(printed):
    result = run(**ARGUMENTS)
    assert result["report"]["findings"] == []
    assert result["ansible_stats"]["data"]["k3s_connectivity_findings"] == []


def test_returned_findings_are_bounded(printed, found):
    found += [finding(cause=f"{number}" + "x" * 5000) for number in range(999)]
    result = run(**ARGUMENTS)
    assert len(result["report"]["findings"]) == 200
    data = result["ansible_stats"]["data"]
    assert len(data["k3s_connectivity_findings"]) == len(data["k3s_connectivity_failed"]) == 20
    assert len(json.dumps(data)) < 20_000


def test_the_report_is_written_in_all_its_forms_in_check_mode_too(printed, tmp_path):
    directory = tmp_path / "some" / "report"
    umask = os.umask(0o077)
    try:
        run(BAD, **ARGUMENTS, report_dir=str(directory))
    finally:
        os.umask(umask)
    assert sorted(path.name for path in directory.iterdir()) == [
        "report.html",
        "report.json",
        "report.xml",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory.parent)] == [
        0o755,
        0o755,
    ]
    found = json.loads((directory / "report.json").read_text())
    assert (found["ok"], len(found["checks"])) == (False, 4)
    assert ElementTree.parse(directory / "report.xml").findall(".//failure")
    assert "FAILED" in (directory / "report.html").read_text()
    assert f"Report: report.html, report.json, report.xml in {directory}" in printed


def test_jobs_that_share_a_report_directory_do_not_disturb_each_other(printed, tmp_path):
    directory = tmp_path / "report"

    def job():
        for _number in range(20):
            assert "failed" not in run(**ARGUMENTS, report_dir=str(directory))

    # Three files each, so that each of two jobs writes 60 times.
    jobs = [started(job) for _number in range(2)]
    assert [ended(job) for job in jobs] == [0, 0]
    assert sorted(path.name for path in directory.iterdir()) == [
        "report.html",
        "report.json",
        "report.xml",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}


def test_a_directory_that_is_there_keeps_its_mode(printed, tmp_path):
    tmp_path.chmod(0o700)
    run(**ARGUMENTS, report_dir=str(tmp_path))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_home_is_expanded(printed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run(**ARGUMENTS, report_dir="~/report")
    assert (tmp_path / "report" / "report.json").is_file()


def test_a_directory_that_can_not_be_written_is_named_with_its_variable(printed, tmp_path):
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file" / "report")
    result = run(**ARGUMENTS, report_dir=where)
    assert result["failed"] is True
    assert "k3s_connectivity_report_dir" in result["msg"]
    assert where in result["msg"]
    # What was found is printed all the same.
    assert printed


@pytest.mark.parametrize("missing", [*ARGUMENTS])
def test_a_report_needs_all_of_its_arguments(missing):
    with pytest.raises(AnsibleError, match=missing):
        run(**{name: value for name, value in ARGUMENTS.items() if name != missing})


def test_ansible_takes_the_statistics_for_its_own(tmp_path):
    """AWX reads them from there; they must come from a run's own task result, without set_stats."""
    play = {
        "hosts": "server1",
        "gather_facts": False,
        "tasks": [{"edgeops.k3s_network.connectivity_report": ARGUMENTS, "run_once": True}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    (tmp_path / "hosts.yml").write_text(json.dumps({"server": {"hosts": BAD}}))
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "--check"),
            *("-i", "hosts.yml", "play.yml"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(Path(*COLLECTION.parts[:-3])),
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, _head, stats = done.stdout.partition("CUSTOM STATS")
    assert "Connectivity FAILED: 4 checks" in before
    assert "RUN:" in stats
    assert '"k3s_connectivity_ok": false' in stats
    assert "agent1 -> server1 5001/tcp (spegel) is timeout, expected open" in stats
