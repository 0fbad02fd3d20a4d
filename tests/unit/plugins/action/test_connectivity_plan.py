# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.plugins.action import (
    connectivity_plan,
    port_listener,
    port_probe,
)
from ansible_collections.edgeops.k3s_network.plugins.modules import connectivity_plan as docs
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import Plan
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import LISTENERS, PROBES
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    port_rule,
    role_defaults,
    topology,
)

CLUSTER = topology(rules=[port_rule(6443), port_rule(443, source=["external"])])


def action(module, **arguments):
    task = MagicMock(check_mode=False, async_val=0, diff=False, args=arguments)
    made = module.ActionModule(task, *[MagicMock()] * 5)
    made.got = {}

    def execute(module_args, task_vars):
        made.got = module_args
        return LISTENERS if module is port_listener else PROBES

    made._execute_module = execute
    return made


def run(*in_play, first=None, hostvars=None, cluster=CLUSTER, **arguments):
    task_vars = {
        "inventory_hostname": first or in_play[0],
        "ansible_play_hosts_all": list(in_play),
        "ansible_forks": 1,
        "hostvars": hostvars or {},
    }
    arguments.setdefault("seed", "1")
    return action(connectivity_plan, topology=cluster, **arguments).run(task_vars=task_vars)


def part(module, result, name, **arguments):
    """Return what the module of a host gets of a plan."""
    made = action(module, plan=result["plan"], **arguments)
    assert not made.run(task_vars={"inventory_hostname": name}).get("failed")
    return made.got


def test_targets_are_those_of_the_source():
    result = run("server1", "agent1")
    got = part(port_probe, result, "agent1", timeout=2)
    assert got["targets"] == [
        {
            "destination": "server1",
            "address": "192.0.2.11",
            "protocol": "tcp",
            "ports": ["6443"],
            "full_size": True,
        }
    ]
    assert (got["timeout"], set(got)) == (2, {"targets", "token", "timeout"})
    assert part(port_probe, run("agent1"), "agent1")["targets"] == []


def test_listeners_answer_nodes_and_the_controller():
    result = run("server1", "agent1")
    got = part(port_listener, result, "server1")
    assert got["listeners"] == [
        {"address": "192.0.2.11", "protocol": "tcp", "ports": ["6443"], "services": ["6443"]}
    ]
    assert (got["name"], got["listen"], got["lease"]) == ("server1", True, 188)
    assert got["token"] == part(port_probe, result, "agent1")["token"]
    outside = run("server1", probe_from_controller=True)
    assert part(port_listener, outside, "server1")["listeners"][0]["ports"] == ["443", "6443"]
    assert part(port_probe, outside, "server1", source="external")["targets"]


def test_token_is_new_for_each_run():
    tokens = {part(port_listener, run("server1"), "server1")["token"] for _run in range(5)}
    assert len(tokens) == 5
    assert all(len(token) == 32 for token in tokens)


def test_mode_live_holds_no_port():
    assert part(port_listener, run("server1", mode="live"), "server1")["listen"] is False


def test_participants_are_hosts_of_the_play_and_the_topology():
    cluster = {**CLUSTER, "external_clients": ["client1"]}
    result = run("client1", "server1", "stranger", first="server1", cluster=cluster)
    assert result["participants"] == ["client1", "server1"]


def test_variables_of_a_node_count_if_a_client_comes_first():
    cluster = {**CLUSTER, "external_clients": ["client1"]}
    own = {"k3s_connectivity_mode": "live", "k3s_connectivity_probe_from_controller": True}
    result = run("client1", "server1", cluster=cluster, hostvars={"server1": own}, mode="auto")
    plan = Plan.from_text(result["plan"])
    assert plan.settings.mode == "live"
    assert "external" in plan.settings.sources


def test_rounds_share_a_large_plan():
    rules = [
        port_rule(number * 10000, number * 10000 + 9999, name=str(number)) for number in range(1, 6)
    ]
    nodes = [node(f"node{number}", address=f"192.0.2.{number}") for number in range(1, 6)]
    names = [one["name"] for one in nodes]
    cluster = topology(nodes, rules)
    assert run(*names, cluster=cluster)["rounds"] == 1
    # 4 peers with 50,000 ports each.
    made = run(*names, cluster=cluster, range_coverage="full")
    assert made["rounds"] == 2
    destinations = [
        [one["destination"] for one in part(port_probe, made, "node1", round=number)["targets"]]
        for number in (1, 2)
    ]
    assert destinations == [["node2", "node3"], ["node4", "node5"]]


def test_plan_looks_like_no_structure():
    # Older versions of Ansible make one of any text in braces.
    assert run("server1")["plan"][0] not in "{[("


@pytest.mark.parametrize("option", ["full_mesh_max", "sources_per_destination"])
def test_number_that_is_too_small_is_refused(option):
    result = run("server1", **{option: -1})
    assert f"k3s_connectivity_{option} is -1" in result["msg"]


def test_report_directory_that_is_not_writable_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    result = run("server1", report_dir=str(file / "report"))
    assert "k3s_connectivity_report_dir" in result["msg"]
    assert not run("server1", report_dir=str(tmp_path / "a" / "b")).get("failed")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_documented_options_are_those_of_the_action_and_the_role():
    documented = yaml.safe_load(docs.DOCUMENTATION)["options"]
    assert set(documented) == set(connectivity_plan.ARGUMENT_SPEC)
    defaults = role_defaults("k3s_connectivity")
    for name, spec in connectivity_plan.ARGUMENT_SPEC.items():
        assert documented[name]["type"] == spec["type"], name
        assert documented[name].get("choices") == spec.get("choices"), name
        assert documented[name].get("default") == spec.get("default"), name
        assert defaults.get(f"k3s_connectivity_{name}") == spec.get("default"), name
