# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: hands the results of all hosts to the pure functions of evaluate, and tells."""

from __future__ import annotations

import datetime
from typing import Any, Optional

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import hide_below_vvv
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan import (
    plan as probe_plan_plan,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan import rounds
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import (
    causes,
    evaluate,
    files,
    terminal,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.seen import Seen

ARGUMENT_SPEC = {
    "stage": {"type": "str", "choices": ["directory", "report"], "default": "report"},
    "topology": {"type": "dict"},
    "plan": {"type": "str"},
    "mode": {"type": "str", "choices": ["auto", "listen", "live"], "default": "auto"},
    "listeners_variable": {"type": "str"},
    "probes_variable": {"type": "str"},
    "controller_probes": {"type": "dict"},
    "report_dir": {"type": "path"},
}
REQUIRED_IF = [
    ("stage", "directory", ("report_dir",)),
    ("stage", "report", ("topology", "plan", "listeners_variable", "probes_variable")),
]
# Ansible prints, and AWX stores, what a task returns; the files have everything.
_FAILED = 200
_NAMED = 20


class ActionModule(ActionBase):
    """Runs on the controller only."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(
            argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF
        )
        result["changed"] = False
        directory = arguments["report_dir"]
        try:
            if arguments["stage"] == "directory":
                files.make_directory(directory)
                return result
            topology = arguments["topology"]
            report = self._judge(arguments, (task_vars or {})["hostvars"])
            result.update(_told(report, terminal.table(report, topology)))
            self._show(["", *result["table"], ""])
            if directory:
                now = datetime.datetime.now(datetime.timezone.utc)
                names = files.write(directory, report, topology, now)
                self._show([f"Report: {', '.join(names)} in {directory}", ""])
        except OSError as error:
            result.update(failed=True, msg=_unwritable(directory, error))
        # The table was printed.
        return hide_below_vvv(result)

    def _judge(self, arguments: dict[str, Any], hostvars: Any) -> evaluate.Report:
        topology = arguments["topology"]
        plan = probe_plan_plan.Plan.from_text(arguments["plan"])
        nodes = {node["name"] for node in topology["nodes"]}

        def registered(name: str, variable: str) -> Any:
            return hostvars[name].get(arguments[variable])

        seen = Seen(
            {
                name: rounds.joined(
                    arguments["controller_probes"]
                    if name == probe_plan_plan.CONTROLLER
                    else registered(name, "probes_variable")
                )
                for name in plan.sources()
            },
            {
                name: registered(name, "listeners_variable")
                for name in plan.sources()
                if name in nodes
            },
            arguments["mode"],
        )
        expectations = (one for name in plan.sources() for one in plan.expectations(name))
        return evaluate.build(topology, expectations, seen)

    def _show(self, lines: list[str]) -> None:
        display = Display()
        # Each by itself, since AWX cuts a long event.
        for line in lines:
            display.display(line, color=_colour(line))


def _colour(line: str) -> Optional[str]:
    if line.startswith(("Connectivity FAILED", "FAILED")):
        return str(constants.COLOR_ERROR)
    return str(constants.COLOR_OK) if line.startswith("Connectivity ok") else None


def _told(report: evaluate.Report, lines: list[str]) -> dict[str, Any]:
    failed = causes.failed(report["checks"])
    return {
        "report": {
            "ok": report["ok"],
            "summary": report["summary"],
            "failed": failed[:_FAILED],
        },
        "table": lines,
        "message": terminal.message(report),
        # What ansible.builtin.set_stats would return, and AWX hands to the next job of a workflow.
        "ansible_stats": {
            "data": {
                "k3s_connectivity_ok": report["ok"],
                "k3s_connectivity_summary": report["summary"],
                "k3s_connectivity_failed": terminal.sentences(report, _NAMED),
            },
            "aggregate": False,
            "per_host": False,
        },
    }


def _unwritable(directory: str, error: OSError) -> str:
    return (
        f"k3s_connectivity_report_dir: the controller can't write the report to {directory} "
        f"({error.strerror or error}). Let it name a directory that the user who runs Ansible may "
        "write, or leave it out"
    )
