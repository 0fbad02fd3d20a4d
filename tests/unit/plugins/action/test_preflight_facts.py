# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from unittest.mock import MagicMock

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edgeops.k3s_network.plugins.action.preflight_facts import ActionModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.errors import (
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.modules.preflight_facts import prediction
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import preflight
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import facts

FACTS = facts("server1")
VALIDATOR = ArgumentSpecValidator({"metric": {"type": "int", "default": 5}})


def failing(error):
    def run(_params):
        raise error

    return run


def test_preflight_facts_have_the_time_around_the_module():
    action = ActionModule(MagicMock(check_mode=False, async_val=0, diff=False), *[MagicMock()] * 5)
    action._execute_module = lambda task_vars: preflight(FACTS)
    before = time.time()
    result = action.run(task_vars={})
    assert result["facts"] == FACTS
    assert before <= result["asked"][0] <= result["asked"][1] <= time.time()


def test_prediction_returns_changes_and_warnings():
    found = prediction(VALIDATOR, {}, lambda params: {"changed": params["metric"], "warned": ["w"]})
    assert found == {"changed": True, "refused": "", "warned": ["w"]}


def test_prediction_of_a_refusal_returns_its_text():
    for params, error, text in (
        ({}, FirewalldError("No changes were made. X"), "No changes were made. X"),
        ({}, KeyError("x"), "KeyError: 'x'"),
        ({"metric": "many"}, None, "metric"),
    ):
        found = prediction(VALIDATOR, params, failing(error))
        assert text in found["refused"]
        assert (found["changed"], found["warned"]) == (False, [])
