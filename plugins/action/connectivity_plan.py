# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: plans the probes of a run, once for all hosts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    ControllerAction,
    hide_below_vvv,
    without_empty,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    CONTROLLER,
    Plan,
    Settings,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import directory
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.raw_values import plain

ARGUMENT_SPEC = {
    "topology": {"type": "dict", "required": True},
    "mode": {"type": "str", "choices": ["auto", "listen", "live"], "default": "auto"},
    "range_coverage": {"type": "str", "choices": ["sample", "full"], "default": "sample"},
    "seed": {"type": "str"},
    "full_mesh_max": {"type": "int", "default": Settings.full_mesh_max},
    "sources_per_destination": {"type": "int", "default": Settings.sources_per_destination},
    "probe_from_controller": {"type": "bool", "default": False},
    "report_dir": {"type": "path"},
}
_SEEDS = 1_000_000


class ActionModule(ControllerAction):
    """Runs on the controller only."""

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        problem = self.strategy_problem()
        if problem:
            result.update(failed=True, msg=problem)
            return result
        topology = plain(self._task.args["topology"])
        members = [node["name"] for node in topology["nodes"]]
        if variables["inventory_hostname"] not in members:
            # What is done once is done by the first host of the play. If that is an external
            # client, the variables of the cluster's groups do not apply to it.
            self._task.args = {**self._task.args, **_of_member(variables, members[0])}
        self._task.args = without_empty(self._task.args)
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        report_dir = arguments["report_dir"] or ""
        if report_dir:
            try:
                directory.make_directory(report_dir)
            except OSError as error:
                result.update(failed=True, msg=directory.unwritable(report_dir, error))
                return result
        names = {*members, *topology["external_clients"]}
        participants = [name for name in variables["ansible_play_hosts_all"] if name in names]
        outside = [CONTROLLER] if arguments["probe_from_controller"] else []
        try:
            settings = Settings(
                sources=[*map(str, participants), *outside],
                coverage=arguments["range_coverage"],
                seed=arguments["seed"] or str(secrets.randbelow(_SEEDS)),
                full_mesh_max=arguments["full_mesh_max"],
                sources_per_destination=arguments["sources_per_destination"],
                mode=arguments["mode"],
                token=secrets.token_hex(16),
                forks=int(variables.get("ansible_forks", Settings.forks)),
            )
        except ValueError as error:
            result.update(failed=True, msg=str(error))
            return result
        plan = Plan(topology, settings).in_rounds()
        result.update(
            changed=False,
            plan=plan.to_text(),
            rounds=plan.settings.rounds,
            participants=participants,
            from_controller=arguments["probe_from_controller"],
            report_dir=report_dir,
        )
        return hide_below_vvv(result)


def _of_member(variables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options that a node's variables give."""
    member = variables["hostvars"][name]
    values = {option: member.get(f"k3s_connectivity_{option}") for option in ARGUMENT_SPEC}
    return {option: value for option, value in values.items() if value is not None}
