# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A compromised node returns false results: the run evaluates the others as before.

Each lie passes through the action plugin that runs the module, and then through the report.
"""

from __future__ import annotations

import json
import math
from unittest.mock import MagicMock
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.edgeops.k3s_network.plugins.action import (
    connectivity_report,
    default_route,
    firewalld_state,
    node_facts,
    port_listener,
    port_probe,
    preflight_facts,
    preflight_report,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import TRACES
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils import _action
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    Plan,
    Settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support import answers
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    port_rule,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.lies import (
    ESCAPES,
    INJECTED,
    LIES,
    assert_clean,
    lying,
    replaced,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import facts
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

LIAR = "agent1"
CLUSTER = topology(
    [
        node(),
        node("agent1", "agent", "192.0.2.21"),
        node("agent2", "agent", "192.0.2.22"),
        node("agent3", "agent", "192.0.2.23"),
    ],
    [port_rule(6443, name="api"), port_rule(53, protocol="udp", name="dns")],
)
NAMES = [one["name"] for one in CLUSTER["nodes"]]
PLAN = Plan(CLUSTER, Settings(NAMES, "sample", "1", token="0" * 32))
FUZZ = settings(
    deadline=None,
    max_examples=20,
    # What is nested deeply and long takes too long to shrink.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHANGERS = {
    default_route: answers.DEFAULT_ROUTE,
    firewalld_state: answers.FIREWALLD_STATE,
    port_listener: {**answers.LISTENERS, "firewall": answers.FIREWALL},
    port_probe: answers.PROBES,
    preflight_facts: answers.preflight(facts("agent1")),
}


@pytest.fixture
def printed(monkeypatch):
    """Return the lines that actions print."""
    lines = []
    monkeypatch.setattr(_action.Display, "display", lambda _self, line, **_how: lines.append(line))
    monkeypatch.setattr(_action.Display, "warning", lambda _self, line, **_how: lines.append(line))
    return lines


def act(module, answer, name=LIAR, **arguments):
    """Return what the action of a module returns if the node returns this."""
    task = MagicMock(check_mode=False, async_val=0, diff=False, args=arguments, delegate_to=None)
    task.action = f"edgeops.k3s_network.{module.__name__.rpartition('.')[2]}"
    action = module.ActionModule(task, *[MagicMock()] * 5)
    action._execute_module = lambda **_how: answer
    return action.run(task_vars={"inventory_hostname": name})


def probed(name, **others):
    """Return what a source returns; agent2 does not reach the port 6443 of server1."""
    results = []
    for target in PLAN.targets(name, 1):
        for port in target["ports"]:
            blocked = (name, target["destination"], port) == ("agent2", "server1", "6443")
            results.append(
                answers.outcome(
                    target["address"],
                    int(port),
                    "timeout" if blocked else "open",
                    protocol=target["protocol"],
                )
            )
    return {
        **answers.PROBES,
        "results": results,
        "sources": {one["address"]: address_of(name) for one in CLUSTER["nodes"]},
        **others,
    }


def address_of(name):
    return next(one["address"] for one in CLUSTER["nodes"] if one["name"] == name)


def listening(**others):
    return {**answers.LISTENERS, "firewall": answers.FIREWALL, **others}


PROBED = probed(LIAR, duplicates={"192.0.2.21": []})
LISTENING = listening(
    busy=[{"address": "192.0.2.21", "protocol": "tcp", "port": 6443}],
    errors=[{"address": "192.0.2.21", "protocol": "udp", "first": 1, "last": 2, "detail": "x"}],
)


def validated(directory=None, probes=None, listeners=None):
    """Return the report of a run in which a node returns this."""
    hostvars = {}
    for name in NAMES:
        source, destination = probed(name), listening()
        if name == LIAR:
            source, destination = probes or PROBED, listeners or LISTENING
        hostvars[name] = {
            "listeners": act(port_listener, destination, name),
            "probes": {"results": [act(port_probe, source, name)]},
        }
    return reported(hostvars, directory)


def reported(hostvars, directory=None):
    task = MagicMock(check_mode=False, async_val=0, diff=False)
    task.args = {
        "plan": PLAN.to_text(),
        "listeners_variable": "listeners",
        "probes_variable": "probes",
        "report_dir": str(directory) if directory else None,
    }
    action = connectivity_report.ActionModule(task, *[MagicMock()] * 5)
    whole = []
    evaluate = connectivity_report.evaluated

    def keep(*arguments):
        whole.append(evaluate(*arguments))
        return whole[0]

    connectivity_report.evaluated = keep
    try:
        result = action.run(task_vars={"hostvars": hostvars})
    finally:
        connectivity_report.evaluated = evaluate
    assert_clean(result)
    return whole[0]


def of_others(report):
    """Return what a report says of the nodes that do not lie."""
    findings = [
        {**one, "hosts": [name for name in one["hosts"] if name != LIAR]}
        for one in report["findings"]
    ]
    return (
        [one for one in report["checks"] if LIAR not in (one["source"], one["destination"])],
        [one for one in findings if one["hosts"]],
    )


def refuse_constant(name):
    raise AssertionError(f"{name} is not JSON")


def assert_files_are_safe(directory):
    """Assert that each file of a report can be parsed and has no escape sequence."""
    for path in directory.iterdir():
        text = path.read_bytes().decode()
        assert_clean(text)
        assert len(text) < 1_000_000
    ElementTree.parse(directory / "report.xml")
    json.loads((directory / "report.json").read_text(), parse_constant=refuse_constant)
    assert "<script>&" not in (directory / "report.html").read_text()


def test_sound_nodes_have_only_the_fault_of_the_network(printed, tmp_path):
    checks, findings = of_others(validated(tmp_path))
    assert [(one["source"], one["rule"]) for one in checks if not one["ok"]] == [("agent2", "api")]
    assert findings == []
    assert len(checks) == 12
    assert_files_are_safe(tmp_path)


@FUZZ
@given(probes=lying(PROBED), listeners=lying(LISTENING))
def test_lies_about_probes_change_nothing_for_others(printed, tmp_path, probes, listeners):
    sound = of_others(validated())
    printed.clear()
    assert of_others(validated(tmp_path, probes, listeners)) == sound
    assert_clean(printed)
    assert_files_are_safe(tmp_path)


@pytest.mark.parametrize("lie", LIES, ids=map(str, range(len(LIES))))
def test_lie_as_a_whole_result_changes_nothing_for_others(printed, tmp_path, lie):
    sound = of_others(validated())
    assert of_others(validated(tmp_path, lie, lie)) == sound
    assert_clean(printed)
    assert_files_are_safe(tmp_path)


@FUZZ
@given(probes=lying(PROBED), listeners=lying(LISTENING))
def test_facts_with_names_of_results_change_nothing_for_others(printed, probes, listeners):
    # A fact of that name did not pass through an action of this collection.
    hostvars = {
        name: {"listeners": listening(), "probes": {"results": [probed(name)]}} for name in NAMES
    }
    sound = of_others(reported(hostvars))
    hostvars[LIAR] = {"listeners": listeners, "probes": {"results": [probes]}}
    assert of_others(reported(hostvars)) == sound
    hostvars[LIAR] = {"listeners": probes, "probes": probes}
    assert of_others(reported(hostvars)) == sound
    assert_clean(printed)


def test_result_that_is_not_valid_is_named(printed):
    false = replaced(PROBED, ("results", 0, "observed"), ESCAPES)
    result = act(port_probe, false)
    assert result["failed"] is True
    assert result["msg"].startswith("host agent1: the result of port_probe is not valid (observed")
    report = validated(probes=false)
    details = {one["detail"] for one in report["checks"] if one["source"] == LIAR}
    assert details == {"the source did not report; see its own failure above"}


def test_fact_in_place_of_a_result_is_a_finding(printed):
    hostvars = {
        name: {"listeners": listening(), "probes": {"results": [probed(name)]}} for name in NAMES
    }
    hostvars[LIAR]["listeners"] = {"processes": math.nan}
    (found,) = reported(hostvars)["findings"]
    assert (found["level"], found["hosts"]) == ("error", [LIAR])
    assert "the result of port_listener is not valid (processes is not a list" in found["cause"]


@pytest.mark.parametrize("module", CHANGERS, ids=lambda one: one.__name__.rpartition(".")[2])
@FUZZ
@given(data=st.data())
def test_no_action_passes_on_what_is_not_valid(printed, module, data):
    sound = CHANGERS[module]
    result = act(module, data.draw(lying(sound)))
    result.pop("asked", None)
    assert_clean(result)
    allowed = {*sound, "invocation", "warnings", "failed", "msg", "exception", "confirmed", "diff"}
    allowed |= {"_ansible_verbose_override", "rc", "module_stdout", "module_stderr"}
    assert set(result) <= allowed
    if result.get("failed"):
        assert result["msg"]


@pytest.mark.parametrize("module", CHANGERS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_injected_keys_are_dropped_from_a_sound_result(printed, module):
    sound = CHANGERS[module]
    injected = {key: value for key, value in INJECTED.items() if key not in sound}
    injected["diff"] = {"before": ESCAPES}
    result = act(module, {**injected, **sound})
    assert not result.get("failed")
    for key in ("add_host", "add_group", "ansible_facts", "ansible_stats", "unreachable"):
        assert key not in result
    assert "_ansible_notify" not in result and "_ansible_no_log" not in result
    assert {key: result[key] for key in sound} == sound


@pytest.mark.parametrize("module", CHANGERS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_result_that_cannot_be_parsed_fails_its_node(printed, module):
    task = MagicMock(check_mode=False, async_val=0, diff=False, args={}, delegate_to="agent9")
    action = module.ActionModule(task, *[MagicMock()] * 5)
    action._execute_module = MagicMock(side_effect=RecursionError(ESCAPES))
    result = action.run(task_vars={"inventory_hostname": LIAR})
    assert result["failed"] is True
    assert "host agent9: " in result["msg"] and "RecursionError" in result["msg"]
    assert_clean(result)


@pytest.mark.parametrize("module", CHANGERS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_python_that_is_too_old_is_named_by_each_action(printed, module):
    task = MagicMock(check_mode=False, async_val=0, diff=False, args={}, delegate_to=None)
    action = module.ActionModule(task, *[MagicMock()] * 5)
    action._used_interpreter = "#!/usr/bin/python3"
    asked = []

    def ask(command):
        asked.append(command)
        return {"rc": 0, "stdout": f"{ESCAPES}python 3.8\n", "stderr": ""}

    action._low_level_execute_command = ask
    error = {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "TypeError: 'type' object"}
    action._execute_module = lambda **_how: error
    result = action.run(task_vars={"inventory_hostname": LIAR})
    assert (
        "host agent1: the modules need Python 3.9 or newer, and /usr/bin/python3 is 3.8."
        in (result["msg"])
    )
    assert "module_stderr" not in result
    assert len(asked) == 1
    assert_clean(result)
    action._low_level_execute_command = MagicMock(side_effect=AnsibleConnectionFailure("gone"))
    assert action.run(task_vars={"inventory_hostname": LIAR})["msg"] == "MODULE FAILURE"


def checked(answer):
    """Return the findings of the preflight if a node returns this; agent2's clock is late."""
    hostvars = {}
    for number, name in enumerate(NAMES):
        sound = answers.preflight(
            {
                **facts("agent1"),
                "hostname": name,
                "machine_id": f"{number:032x}",
                "interfaces": {
                    "eth0": {
                        "mtu": 1500,
                        "mac": f"02:00:00:00:00:{number:02x}",
                        "addresses": [address_of(name)],
                        "dynamic": [],
                    }
                },
                "clock": 1000.0 if name != "agent2" else 900.0,
                "clock_at_the_end": 1000.0 if name != "agent2" else 900.0,
                "read_only": ["/etc"] if name == "agent3" else [],
            }
        )
        result = act(
            preflight_facts, answer if name == LIAR and answer is not None else sound, name
        )
        result["asked"] = [999.9, 1000.1]
        hostvars[name] = {"seen": result}
    task = MagicMock(check_mode=False, async_val=0, diff=False)
    task.args = {"topology": CLUSTER, "facts_variable": "seen"}
    action = preflight_report.ActionModule(task, *[MagicMock()] * 5)
    result = action.run(task_vars={"hostvars": hostvars, "ansible_play_hosts_all": NAMES})
    assert_clean(result)
    return result["findings"]


SOUND_FACTS = answers.preflight({**facts("agent1"), "clock": 1000.0})


def faults(findings):
    """Return what is found of the nodes that do not lie, and whether agent2's clock is late."""
    clock = [one for one in findings if "clock" in one["problem"] and "agent2" in one["nodes"]]
    return [one for one in findings if LIAR not in one["nodes"] and one not in clock], bool(clock)


def test_preflight_of_sound_nodes_has_two_faults(printed):
    found, is_late = faults(checked(None))
    assert ([one["nodes"] for one in found], is_late) == ([["agent3"]], True)


@FUZZ
@given(answer=lying(SOUND_FACTS))
def test_lies_about_facts_change_nothing_for_others(printed, answer):
    sound = faults(checked(None))
    printed.clear()
    assert faults(checked(answer)) == sound
    assert_clean(printed)


@pytest.mark.parametrize("clock", [0, 2e10, 905, math.nan, -math.inf])
def test_forged_clock_does_not_hide_a_skew(printed, clock):
    lie = answers.preflight({**facts("agent1"), "clock": clock, "clock_at_the_end": clock})
    assert faults(checked(lie)) == faults(checked(None))


def read(stdout, k3s=None):
    task = MagicMock(check_mode=False, async_val=0, diff=False, args={}, delegate_to=None)
    task.action = "edgeops.k3s_network.node_facts"
    action = node_facts.ActionModule(task, MagicMock(transport="ssh"), *[MagicMock()] * 4)
    action._low_level_execute_command = lambda _command: {"rc": 0, "stdout": stdout, "stderr": ""}
    action._execute_module = lambda **_how: k3s
    return action.run(task_vars={"inventory_hostname": LIAR})


LINKS = [
    {
        "ifname": "eth0",
        "flags": ["UP"],
        "linkinfo": {"info_kind": "dummy"},
        "addr_info": [{"local": "192.0.2.21", "prefixlen": 24, "scope": "global"}],
    }
]
ROUTES = [{"dst": "default", "dev": "eth0", "gateway": "192.0.2.1"}]
TABLE = "Iface\n" + "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"


@FUZZ
@given(links=lying({"links": LINKS, "routes": ROUTES}), k3s=lying({"k3s": answers.K3S}))
def test_lies_about_the_network_are_refused_or_clean(printed, links, k3s):
    given_links = links if isinstance(links, dict) else {}
    try:
        parts = [json.dumps(given_links.get(key)) for key in ("links", "routes")]
    except (RecursionError, ValueError):
        parts = ["[" * 100_000, "[]"]
    connection = "198.51.100.9 5 192.0.2.21 22"
    stdout = f"\n{node_facts._BETWEEN}\n".join(["", *parts, connection, TRACES[0], TABLE, ""])
    result = read(stdout, k3s)
    assert_clean(result)
    facts_ = result.get("ansible_facts", {"k3s_network": {}})
    assert set(facts_) == {"k3s_network"}
    if result.get("failed"):
        assert result["msg"]


def test_output_of_any_size_is_bounded(printed, monkeypatch):
    monkeypatch.setattr(node_facts, "_LARGEST", 100)
    result = read("x" * 101)
    assert result["failed"] is True
    assert "host agent1: the result of node_facts is not valid (it has more than" in result["msg"]
