# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: hides the results of the probes, which the report prints."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    NodeAction,
    hide_below_vvv,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import probes
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import part_of


class ActionModule(NodeAction):
    """Takes a source's part of the plan and runs the module of this name there."""

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Return the module's result, which connectivity_report prints."""
        arguments = dict(self._task.args)
        text = arguments.pop("plan", None)
        source = arguments.pop("source", None) or (task_vars or {})["inventory_hostname"]
        number = int(arguments.pop("round", 1))
        if text is not None:
            part = part_of(text, str(source))
            arguments["token"] = part["token"]
            arguments["targets"] = part["targets"][number - 1]
        return hide_below_vvv(self.answer(probes.read, task_vars, module_args=arguments))
