# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: evaluates the results of all hosts and prints the report."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    ControllerAction,
    hide_below_vvv,
    print_lines,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.registered import (
    read_listeners,
    read_probes,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    CONTROLLER,
    Plan,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import (
    causes,
    directory,
    evaluate,
    findings,
    firewall_findings,
    terminal,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.firewalls import (
    read as read_firewall,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.seen import Seen

ARGUMENT_SPEC = {
    "plan": {"type": "str", "required": True},
    "listeners_variable": {"type": "str", "required": True},
    "probes_variable": {"type": "str", "required": True},
    "controller_probes": {"type": "dict"},
    "report_dir": {"type": "path"},
}
# Ansible prints, and AWX stores, what a task returns; the files have everything.
_FAILED = 200
_NAMED = 20


class ActionModule(ControllerAction):
    """Runs on the controller only."""

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        plan = Plan.from_text(arguments["plan"])
        report = evaluated(plan, arguments, (task_vars or {})["hostvars"])
        result.update(changed=False, **_told(report, terminal.table(report, plan.topology)))
        _print(["", *result["table"], ""])
        report_dir = arguments["report_dir"]
        if report_dir:
            try:
                names = _write(report_dir, report, plan)
            except OSError as error:
                result.update(failed=True, msg=directory.unwritable(report_dir, error))
            else:
                _print([f"Report: {', '.join(names)} in {report_dir}", ""])
        # The table was printed.
        return hide_below_vvv(result)


def evaluated(plan: Plan, arguments: Mapping[str, Any], hostvars: Any) -> evaluate.Report:
    """Return the report of a run. C(hostvars) has what hosts returned under the names given."""
    nodes = {node["name"] for node in plan.topology["nodes"]}

    def registered(name: str, variable: str) -> Any:
        return hostvars[name].get(arguments[variable])

    sources = plan.sources()
    probes, listeners = {}, {}
    problems: list[findings.Finding] = []
    for name in sources:
        if name == CONTROLLER:
            probes[name] = read_probes(arguments["controller_probes"])
        else:
            probes[name] = read_probes(registered(name, "probes_variable"))
    for name in sorted(nodes):
        listeners[name] = read_listeners(registered(name, "listeners_variable"))
    for answers in (probes, listeners):
        problems += [
            findings.invalid_answer(name, one.problem)
            for name, one in answers.items()
            if one.problem
        ]
    firewalls = {}
    for name, one in listeners.items():
        firewall = read_firewall(one.value)
        if firewall is not None:
            firewalls[name] = firewall
    seen = Seen(
        {name: one.value for name, one in probes.items()},
        {name: listeners[name].value for name in sources if name in nodes},
        plan.settings.mode,
        firewalls,
    )
    expectations = (one for name in sources for one in plan.expectations(name))
    found = [*problems, *firewall_findings.findings(plan.topology, firewalls)]
    return evaluate.build(plan.topology, expectations, seen, found)


def _write(report_dir: str, report: evaluate.Report, plan: Plan) -> list[str]:
    # Ansible compiles a collection's files in each run, so these are left out if they can be.
    from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import (  # noqa: PLC0415
        files,
    )

    now = datetime.datetime.now(datetime.timezone.utc)
    return files.write(report_dir, report, plan.topology, now)


def _print(lines: list[str]) -> None:
    print_lines(
        lines, "Connectivity ok", ("Connectivity FAILED", "FAILED", "ERROR  "), ("WARNING  ",)
    )


def _told(report: evaluate.Report, lines: list[str]) -> dict[str, Any]:
    failed = causes.failed(report["checks"])
    return {
        "report": {
            "ok": report["ok"],
            "summary": report["summary"],
            "failed": failed[:_FAILED],
            # evaluate.build() returns at most 200.
            "findings": report["findings"],
        },
        "table": lines,
        "message": terminal.message(report),
        # What ansible.builtin.set_stats would return, and AWX hands to the next job of a workflow.
        "ansible_stats": {
            "data": {
                "k3s_connectivity_ok": report["ok"],
                "k3s_connectivity_summary": report["summary"],
                "k3s_connectivity_failed": terminal.sentences(report, _NAMED),
                "k3s_connectivity_findings": [
                    findings.sentence(one) for one in report["findings"][:_NAMED]
                ],
            },
            "aggregate": False,
            "per_host": False,
        },
    }
