# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of ansible.cfg change no result. Each test runs ansible-playbook."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.tests.unit.support.answering_cluster import (
    Cluster,
    Run,
)

FAILURE = {"failed": True, "msg": "No such file or directory"}
CALLBACK = """
import json
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "sample_json"

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps({"hosts": sorted(stats.processed)}))
"""
HABITS = {
    "free": {
        "ANSIBLE_STRATEGY": "free",
        "ANSIBLE_FORKS": "100",
        "ANSIBLE_GATHERING": "explicit",
    },
    "host_pinned": {
        "ANSIBLE_STRATEGY": "ansible.builtin.host_pinned",
        "ANSIBLE_FORKS": "1",
        "ANSIBLE_JINJA2_NATIVE": "false",
    },
    "any_errors_fatal": {"ANSIBLE_ANY_ERRORS_FATAL": "true", "ANSIBLE_GATHERING": "implicit"},
    "merge": {"ANSIBLE_HASH_BEHAVIOUR": "merge", "ANSIBLE_JINJA2_NATIVE": "true"},
}
AFTER = re.compile(r"Report: |\w+: \[|TASK |PLAY |\[")


class Results(NamedTuple):
    """What the playbooks report."""

    preflight: list[str]
    validation: dict[str, Any]


def lines_of(text: str, title: str) -> list[str]:
    """Return a printed report, from its title to what Ansible prints after it."""
    lines = [line for line in text.splitlines() if line]
    begin = next(number for number, line in enumerate(lines) if line.startswith(title))
    return list(itertools.takewhile(lambda line: not AFTER.match(line), lines[begin:]))


def check(cluster: Cluster, **habits: str) -> tuple[Run, list[str]]:
    run = cluster.play("edgeops.k3s_network.preflight", settings=habits)
    return run, lines_of(run.output, "Preflight")


def validate(cluster: Cluster, **habits: str) -> tuple[Run, dict[str, Any]]:
    report = cluster.directory / "report" / "report.json"
    report.unlink(missing_ok=True)
    run = cluster.play(
        "edgeops.k3s_network.validate",
        settings=habits,
        variables={"k3s_connectivity_report_dir": str(report.parent)},
    )
    assert report.exists(), run.output
    return run, json.loads(report.read_text())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Return nodes of which one is blocked, one has a fault, and one fails."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    made.change("agent1", "port_probe", blocked=[["server1", "6443"]])
    facts = json.loads((made.directory / "agent2" / "preflight_facts.json").read_text())["facts"]
    made.change("agent2", "preflight_facts", facts={**facts, "read_only": ["/etc"]})
    made.lie("agent3", {"preflight_facts": [("{", "")], "port_probe": [("{", "")]})
    return made


@pytest.fixture(scope="module")
def expected(cluster: Cluster) -> Results:
    """Return the results with the defaults of Ansible."""
    _run, preflight = check(cluster)
    run, validation = validate(cluster)
    assert run.code != 0
    assert "/etc is read-only" in "\n".join(preflight)
    assert validation["summary"]["blocked"] == 1
    assert validation["summary"]["not_determined"] == 6
    return Results(preflight, validation)


@pytest.mark.parametrize("name", HABITS)
def test_validation_is_the_same_with_each_habit(cluster, expected, name):
    run, report = validate(cluster, **HABITS[name])
    assert report == expected.validation
    assert run.code == 2
    assert "run_once" not in run.output


@pytest.mark.parametrize("name", ["free", "any_errors_fatal"])
def test_preflight_is_the_same_with_each_habit(cluster, expected, name):
    run, lines = check(cluster, **HABITS[name])
    assert lines == expected.preflight
    assert run.code == 2


def test_facts_of_a_cache_change_no_result(cluster, expected, tmp_path):
    cache = {
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path),
        "ANSIBLE_GATHERING": "smart",
    }
    assert validate(cluster, **cache)[1] == expected.validation
    assert any(tmp_path.iterdir())
    assert validate(cluster, **cache)[1] == expected.validation


def test_stdout_is_for_the_program_that_reads_it(cluster, expected, tmp_path):
    plugins = tmp_path / "callbacks"
    plugins.mkdir()
    (plugins / "sample_json.py").write_text(CALLBACK)
    habit = {
        "ANSIBLE_CALLBACK_PLUGINS": str(plugins),
        "ANSIBLE_STDOUT_CALLBACK": "sample_json",
        "ANSIBLE_STRATEGY": "free",
    }
    run, lines = check(cluster, **habit)
    assert json.loads(run.stdout) == {"hosts": ["agent1", "agent2", "agent3", "server1"]}
    assert lines == expected.preflight
    run, report = validate(cluster, **habit)
    assert json.loads(run.stdout)["hosts"]
    assert lines_of(run.stderr, "Connectivity FAILED")
    assert report == expected.validation


@pytest.mark.parametrize("strategy", ["ansible.builtin.free", "{{ chosen }}"])
def test_roles_in_a_play_without_lockstep_are_refused(cluster, tmp_path, strategy):
    play = {
        "name": "Mine",
        "hosts": "all",
        "gather_facts": False,
        "strategy": strategy,
        "roles": ["edgeops.k3s_network.k3s_firewall"],
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    run = cluster.play(str(playbook), variables={"chosen": "free"})
    chosen = strategy if strategy[0] != "{" else "free"
    assert run.code != 0
    assert (
        f"No changes were made. 1 problem: the play 'Mine' uses the strategy {chosen}" in run.stdout
    )
    assert "Set strategy: linear on the play" in run.stdout
    assert "Configure firewalld" not in run.stdout


def test_each_playbook_of_the_roles_sets_its_strategy():
    directory = pathlib.Path(__file__).parents[3] / "playbooks"
    for name in ("preflight", "prepare", "validate", "remove"):
        (play,) = yaml.safe_load((directory / f"{name}.yml").read_text())
        assert play["strategy"] == "linear", name
