# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.action import (
    cluster_inventory,
    connectivity_plan,
    preflight_report,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils import _action
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    hide_below_vvv,
    without_empty,
)


@pytest.mark.parametrize(("verbosity", "hidden"), [(0, True), (2, True), (3, False), (4, False)])
def test_data_for_later_tasks_are_printed_from_the_third_v_on(monkeypatch, verbosity, hidden):
    monkeypatch.setattr(Display(), "verbosity", verbosity)
    result = hide_below_vvv({"changed": False})
    assert result.get("_ansible_verbose_override", False) is hidden
    assert result["changed"] is False


def test_empty_text_leaves_an_option_to_its_default():
    given = {
        "timeout": "",
        "metric": " ",
        "state": "absent",
        "flag": False,
        "number": 0,
        "list": [],
    }
    kept = {"state": "absent", "flag": False, "number": 0, "list": []}
    assert without_empty({**given, "nested": given}) == {**kept, "nested": kept}


@pytest.mark.parametrize(
    "strategy",
    ["free", "host_pinned", "ansible.builtin.free", "mitogen_free", "mitogen_host_pinned"],
)
def test_strategy_without_lockstep_is_a_problem(strategy):
    text = strategy_problem(strategy)
    assert text.startswith(f"the play 'Mine' uses the strategy {strategy}, with which hosts do not")
    assert "Set strategy: linear" in text


@pytest.mark.parametrize(
    "strategy", ["linear", "ansible.builtin.linear", "debug", "mitogen_linear", "mine.free.linear"]
)
def test_strategy_with_lockstep_is_no_problem(strategy):
    assert strategy_problem(strategy) == ""


@pytest.mark.parametrize("module", [cluster_inventory, connectivity_plan, preflight_report])
def test_tasks_that_need_lockstep_are_refused_without_it(module):
    action = with_strategy(module.ActionModule, "free")
    result = action.run(task_vars={"inventory_hostname": "server1", "hostvars": {"server1": {}}})
    assert result["failed"] is True
    assert "uses the strategy free" in result["msg"]


def test_members_of_a_cluster_are_found_with_any_strategy():
    action = with_strategy(cluster_inventory.ActionModule, "free", members_only=True)
    result = action.run(
        task_vars={
            "groups": {"server": ["server1"]},
            "hostvars": {"server1": {}},
            "inventory_hostname": "server1",
        }
    )
    assert result["members"] == {"server1": "server"}


def with_strategy(action, strategy, **arguments):
    play = SimpleNamespace(strategy="{{ strategy }}", get_name=lambda: "Mine")
    task = MagicMock(check_mode=False, async_val=0, diff=False, args=arguments)
    task.get_play = lambda: play
    made = action(task, *[MagicMock()] * 5)
    made._templar.template = {"{{ strategy }}": strategy}.get
    return made


def strategy_problem(strategy):
    return with_strategy(connectivity_plan.ActionModule, strategy).strategy_problem()


@pytest.mark.parametrize("callback", ["json", "ansible.posix.json", "ansible.posix.jsonl"])
def test_report_is_printed_on_stderr_for_callbacks_of_programs(monkeypatch, capfd, callback):
    monkeypatch.setattr(_action.constants, "DEFAULT_STDOUT_CALLBACK", callback)
    _action.print_lines(["Preflight ok"], "Preflight ok", ())
    printed = capfd.readouterr()
    assert (printed.out, "Preflight ok" in printed.err) == ("", True)


@pytest.mark.parametrize(
    "callback",
    [
        "default",
        "minimal",
        "oneline",
        "community.general.yaml",
        "awx_display",
        "ansible.json.dense",
    ],
)
def test_report_is_printed_on_stdout_for_callbacks_of_people(monkeypatch, capfd, callback):
    monkeypatch.setattr(_action.constants, "DEFAULT_STDOUT_CALLBACK", callback)
    _action.print_lines(["Preflight ok"], "Preflight ok", ())
    printed = capfd.readouterr()
    assert ("Preflight ok" in printed.out, printed.err) == (True, "")
