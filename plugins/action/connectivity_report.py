# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: hands the results of all hosts to the pure functions of _report."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.module_utils import (
    _probe_plan,
    _report,
    _report_page,
)

ARGUMENT_SPEC = {
    "topology": {"type": "dict", "required": True},
    "participants": {"type": "list", "elements": "str", "required": True},
    "coverage": {"type": "str", "choices": ["sample", "full"], "default": "sample"},
    "seed": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["auto", "listen", "live"], "default": "auto"},
    "listeners_variable": {"type": "str", "required": True},
    "probes_variable": {"type": "str", "required": True},
    "controller_probes": {"type": "dict"},
}


class ActionModule(ActionBase):
    """Runs on the controller only."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        hostvars = (task_vars or {})["hostvars"]
        topology = arguments["topology"]
        participants = arguments["participants"]
        nodes = [node["name"] for node in topology["nodes"] if node["name"] in participants]
        sources = nodes + [name for name in topology["external_clients"] if name in participants]

        def registered(name: str, variable: str) -> Any:
            return hostvars[name].get(arguments[variable])

        probes = {name: registered(name, "probes_variable") for name in sources}
        # A skipped task registers a result as well.
        if "results" in (arguments["controller_probes"] or {}):
            sources.append(_probe_plan.CONTROLLER)
            probes[_probe_plan.CONTROLLER] = arguments["controller_probes"]
        seen = _report.Seen(
            probes,
            {name: registered(name, "listeners_variable") for name in nodes},
            arguments["mode"],
        )
        expectations = (
            one
            for source in sources
            for one in _probe_plan.expectations(
                topology, source, nodes, arguments["coverage"], arguments["seed"]
            )
        )
        report = _report.build(topology, expectations, seen)
        lines = _report.table(report, topology)
        display = Display()
        for line in ("", *lines, ""):
            display.display(line)
        result.update(
            changed=False,
            report=report,
            table=lines,
            message=_report.message(report),
            page=_report_page.page(report, topology),
        )
        return result
