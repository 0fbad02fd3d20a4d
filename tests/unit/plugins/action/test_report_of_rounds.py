# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
from ansible_collections.edgeops.k3s_network.plugins.action.connectivity_report import ActionModule
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    CONTROLLER,
    Plan,
    Settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import (
    LISTENERS,
    PROBES,
    outcome,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    port_rule,
    topology,
)

CLUSTER = topology(rules=[port_rule(6443), port_rule(443, source=["external"])])


def probed(targets, expected):
    """Return what a round of port_probe returns where all is as it should be."""
    results = [
        outcome(target["address"], int(port), expected[port], protocol=target["protocol"])
        for target in targets
        for port in target["ports"]
    ]
    return {**PROBES, "results": results}


def report(plan, hostvars, **args):
    told = {
        "plan": plan.to_text(),
        "listeners_variable": "listeners",
        "probes_variable": "probes",
        **args,
    }
    task = MagicMock(check_mode=False, async_val=0, diff=False, args=told)
    return ActionModule(task, *[MagicMock()] * 5).run(task_vars={"hostvars": hostvars})


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_rounds_of_all_sources_are_judged(rounds):
    plan = Plan(CLUSTER, Settings([CONTROLLER, "server1", "agent1"], "sample", "1", rounds=rounds))

    def looped(source, expected):
        parts = [plan.targets(source, number) for number in range(1, rounds + 1)]
        return {"results": [probed(targets, expected) for targets in parts]}

    hostvars = {
        name: {"probes": looped(name, {"6443": "open"}), "listeners": LISTENERS}
        for name in ("server1", "agent1")
    }
    outside = looped(CONTROLLER, {"6443": "rejected", "443": "open"})
    result = report(plan, hostvars, controller_probes=outside)
    assert result["report"]["ok"], result["report"]
    assert result["report"]["summary"]["expected_open"] == 4
    assert result["report"]["summary"]["expected_closed"] == 2


def test_a_source_that_did_not_report_is_a_failure():
    plan = Plan(CLUSTER, Settings(["server1", "agent1"], "sample", "1"))
    result = report(plan, {"server1": {}, "agent1": {"listeners": LISTENERS}})
    assert not result["report"]["ok"]
    assert result["report"]["summary"]["not_determined"] == 2
    assert any("the source did not report" in line for line in result["table"])
