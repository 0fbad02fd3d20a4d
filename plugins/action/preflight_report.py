# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: hands what was registered of all nodes to the pure functions of checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    ControllerAction,
    print_lines,
    without_empty,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.registered import (
    failure,
    read_preflight,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._preflight import (
    checks,
    finding,
    table,
)

ARGUMENT_SPEC = {
    "topology": {"type": "dict", "required": True},
    "facts_variable": {"type": "str", "required": True},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}
_PREDICTED = {"default_route": "default route", "firewalld_state": "firewall"}
# What AWX stores of a task and hands to the next job.
_NAMED = 20


class ActionModule(ControllerAction):
    """Runs on the controller only."""

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        problem = self.strategy_problem()
        if problem:
            result.update(failed=True, msg=problem)
            return result
        self._task.args = without_empty(self._task.args)
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        variables = task_vars or {}
        findings, changes = collect(
            arguments, variables["hostvars"], variables["ansible_play_hosts_all"]
        )
        ok = table.is_ok(findings, arguments["fail_on"])
        lines = table.table(findings, changes, ok)
        print_lines(["", *lines, ""], "Preflight ok", ("Preflight FAILED", "ERROR"), ("WARNING",))
        result.update(
            changed=False,
            ok=ok,
            findings=[{**one._asdict(), "nodes": list(one.nodes)} for one in findings],
            message=table.message(findings, ok),
            # What ansible.builtin.set_stats would return.
            ansible_stats={
                "data": {
                    "k3s_preflight_ok": ok,
                    "k3s_preflight_findings": [table.sentence(one) for one in findings[:_NAMED]],
                },
                "aggregate": False,
                "per_host": False,
            },
        )
        return result


def collect(
    arguments: Mapping[str, Any], hostvars: Any, played: list[str]
) -> tuple[list[finding.Finding], list[str]]:
    """Return the findings of all nodes, and a line for each role that would change some."""
    answers = {}
    others: list[finding.Finding] = []
    invalid = set()
    changing: dict[str, list[str]] = {what: [] for what in _PREDICTED.values()}
    for node in arguments["topology"]["nodes"]:
        name = node["name"]
        registered = hostvars[name].get(arguments["facts_variable"]) if name in hostvars else None
        answer = read_preflight(registered)
        message = failure(registered, name)
        if answer.problem:
            invalid.add(name)
            others.append(checks.invalid_answer(name, answer.problem))
        elif message:
            invalid.add(name)
            others.append(checks.failed(name, message))
        if answer.value is None:
            continue
        seen = answer.value
        answers[name] = checks.Answer(seen["facts"], *seen["asked"])
        for module, what in _PREDICTED.items():
            predicted = seen["predicted"][module]
            others += checks.predicted(name, what, predicted["refused"], predicted["warned"])
            if predicted["changed"]:
                changing[what].append(name)
    findings = checks.evaluate(arguments["topology"], answers, played, invalid)
    lines = [
        f"prepare would change the {what} of {len(names)}: {', '.join(names[:_NAMED])}"
        for what, names in changing.items()
        if names
    ]
    return finding.grouped([*findings, *others]), lines
