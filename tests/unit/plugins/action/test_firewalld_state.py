# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase
from ansible_collections.edgeops.k3s_network.plugins.action import firewalld_state
from ansible_collections.edgeops.k3s_network.plugins.action.firewalld_state import ActionModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.checkpoint import (
    confirm_command,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import FIREWALLD_STATE

IDENTITY = "00c0ffee00c0ffee"
CONFIRM = confirm_command(IDENTITY)
IS_BACK = "test ! -e /var/lib/k3s-network/checkpoint.json"
CHANGED = {**FIREWALLD_STATE, "changed": True, "reloaded": True}
AWAITS = {**CHANGED, "confirm": IDENTITY}

YES = {"rc": 0, "stdout": "", "stderr": ""}
NO = {"rc": 1, "stdout": "", "stderr": ""}
EXPIRED = {"rc": 1, "stdout": "", "stderr": "mv: cannot stat 'awaiting-': No such file\n"}
CUT_OFF = AnsibleConnectionFailure("Connection timed out")


class Ssh:
    """A connection that stays open, as that of ssh does; C(failures) come of its resets."""

    _shell = MagicMock()

    def __init__(self, said) -> None:
        self._said = said
        self.failures = []

    def reset(self):
        self._said.append("reset")
        if self.failures:
            raise self.failures.pop()


class Local:
    """A connection that is new each time, and so has no reset of its own."""

    _shell = MagicMock()

    def __init__(self, said) -> None:
        """Have nothing to say."""


class Controller:
    """Runs the action against a node that answers as told; no second really passes.

    C(answers) holds what comes of each command, the last one over and over. C(said) holds what came
    to the node, and C(now) the seconds since the start.
    """

    def __init__(self, monkeypatch, connection=Ssh) -> None:
        self.now = 0.0
        self.said = []
        self.answers = [YES]
        self.connection = connection(self.said)
        monkeypatch.setattr(firewalld_state, "time", self)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def run(self, result, in_force=False, **arguments):
        task = MagicMock(check_mode=False, async_val=0, diff=False, args=arguments)
        rest = [MagicMock() for _number in range(4)]
        action = ActionModule(task, self.connection, *rest)
        action._execute_module = lambda **_how: (
            {**FIREWALLD_STATE, "changed": not in_force}
            if action._task.check_mode is True
            else dict(result)
        )
        action._low_level_execute_command = self._answer
        return action.run(task_vars={})

    def _answer(self, command):
        self.said.append(command)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        # Raises what is an exception.
        return MagicMock(side_effect=[answer])()


@pytest.fixture
def controller(monkeypatch):
    return Controller(monkeypatch)


@pytest.mark.parametrize(
    "result", [CHANGED, FIREWALLD_STATE, {"failed": True, "msg": "Nothing was changed."}]
)
def test_without_anything_to_confirm_the_result_is_the_modules(controller, result):
    found = controller.run(result)
    assert {key: found[key] for key in result} == result
    assert "confirmed" not in found
    assert controller.said == []


def test_the_module_is_the_one_of_this_name(controller):
    asked = []
    action = ActionModule(
        MagicMock(check_mode=True, async_val=0, diff=False, args={}), *[MagicMock()] * 5
    )
    action._execute_module = lambda **how: asked.append(how) or CHANGED
    action.run(task_vars={"some": "variable"})
    assert asked == [
        {"module_name": "edgeops.k3s_network.firewalld_state", "task_vars": {"some": "variable"}}
    ]


def test_a_change_is_confirmed_over_a_new_connection(controller):
    found = controller.run(AWAITS)
    assert controller.said == ["reset", CONFIRM]
    assert found["confirmed"] is True
    assert "confirm" not in found
    assert "failed" not in found
    assert {key: found[key] for key in CHANGED} == CHANGED
    assert controller.now == 0


def test_a_connection_that_is_new_each_time_is_not_reset(monkeypatch):
    def warn(_connection):
        raise AssertionError("Ansible warns of this for each node")

    monkeypatch.setattr(ConnectionBase, "reset", warn)
    monkeypatch.setattr(Local, "reset", warn, raising=False)
    controller = Controller(monkeypatch, Local)
    assert controller.run(AWAITS)["confirmed"] is True
    assert controller.said == [CONFIRM]


def test_each_try_is_over_a_connection_of_its_own(controller):
    controller.answers = [CUT_OFF, AnsibleAuthenticationFailure("not yet"), YES]
    assert controller.run(AWAITS)["confirmed"] is True
    assert controller.said == ["reset", CONFIRM] * 3
    assert controller.now == pytest.approx(2, abs=1)


def test_a_reset_that_fails_is_a_connection_that_fails(controller):
    controller.connection.failures = [CUT_OFF, CUT_OFF]
    assert controller.run(AWAITS)["confirmed"] is True
    assert controller.said == ["reset", "reset", "reset", CONFIRM]


def assert_failed(found, *texts):
    assert found["failed"] is True
    assert (found["changed"], found["confirmed"]) == (False, False)
    assert "confirm" not in found
    assert found["msg"].startswith("The firewall was changed, but that could not be confirmed")
    for text in texts:
        assert text in found["msg"]


def test_a_change_that_the_node_has_taken_back_by_then_is_a_failure_at_once(controller):
    controller.answers = [EXPIRED, YES]
    found = controller.run(AWAITS)
    assert_failed(found, "mv: cannot stat", "has rolled it back by itself and answers again")
    assert controller.said == ["reset", CONFIRM, "reset", IS_BACK]


def test_the_failure_waits_until_the_node_has_taken_the_change_back(controller):
    controller.answers = [EXPIRED, NO, CUT_OFF, NO, YES]
    assert_failed(controller.run(AWAITS), "has rolled it back by itself")
    assert controller.said[2:] == ["reset", IS_BACK] * 4


def test_a_controller_that_is_locked_out_tries_as_long_as_the_node_waits(controller):
    controller.answers = [*[CUT_OFF] * 5, YES]
    found = controller.run(AWAITS, confirm_timeout=5)
    assert controller.said == [*["reset", CONFIRM] * 5, "reset", IS_BACK]
    assert_failed(found, "Connection timed out", "k3s_topology_cluster_interface")


def test_without_a_timeout_of_its_own_a_task_tries_for_a_minute(controller):
    controller.answers = [CUT_OFF]
    controller.run(AWAITS)
    assert controller.said.count(CONFIRM) == 60


def test_a_node_that_stays_away_is_to_be_looked_at_from_its_console(controller):
    controller.answers = [CUT_OFF]
    found = controller.run(AWAITS, confirm_timeout="10")
    assert_failed(found, "Connection timed out", "from its console")
    assert "journalctl -u 'k3s-network-guardian-*'" in found["msg"]
    assert "answers again" not in found["msg"]
    assert controller.now == pytest.approx(70, abs=2)


def test_a_connection_that_takes_longer_than_the_node_waits_is_tried_once(controller):
    def slow(command):
        controller.said.append(command)
        controller.now += 100
        raise CUT_OFF

    controller._answer = slow
    found = controller.run(AWAITS, confirm_timeout=30)
    assert controller.said == ["reset", CONFIRM, "reset", IS_BACK]
    assert_failed(found, "from its console")


def test_an_answer_that_was_lost_may_have_been_that_of_a_confirmation(controller):
    controller.answers = [CUT_OFF, EXPIRED]
    assert controller.run(AWAITS, in_force=True)["confirmed"] is True


def test_after_a_lost_answer_the_node_may_have_taken_the_change_back(controller):
    controller.answers = [CUT_OFF, EXPIRED, YES]
    found = controller.run(AWAITS, in_force=False)
    assert found["failed"] and "has rolled it back" in found["msg"]


def test_a_node_is_waited_for_as_long_as_it_waits_itself(controller):
    def answer(command):
        if command == CONFIRM:
            return {"rc": 1, "stdout": "", "stderr": "sudo: account validation failure"}
        return YES if controller.now > 300 else NO

    controller._answer = answer
    assert "has rolled it back" in controller.run(AWAITS, confirm_timeout=300)["msg"]
