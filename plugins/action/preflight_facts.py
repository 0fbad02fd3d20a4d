# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: reads a node's facts and predicts what prepare would do there."""

from __future__ import annotations

import time
from typing import Any, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import hide_below_vvv

_COLLECTION = "edgeops.k3s_network"
# Run in check mode, to see what each would change or refuse.
PREDICTED = ("default_route", "firewalld_state")
ARGUMENT_SPEC = {name: {"type": "dict", "required": True} for name in PREDICTED}


class ActionModule(ActionBase):
    """Runs three modules on the node, two of them in check mode."""

    TRANSFERS_FILES = False

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        before = time.time()
        answer = self._execute_module(
            module_name=f"{_COLLECTION}.node_facts",
            module_args={"gather": ["system"]},
            task_vars=task_vars,
        )
        # The time before and after, to compare the nodes' clocks.
        result.update(answer, asked=[before, time.time()])
        if not result.get("failed"):
            result["facts"] = result.pop("gathered")["system"]
            result["predicted"] = {
                name: self._predict(name, arguments[name], task_vars) for name in PREDICTED
            }
        return hide_below_vvv(result)

    def _predict(
        self, name: str, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]
    ) -> dict[str, Any]:
        task = self._task
        self._task = task.copy()
        self._task.check_mode = True
        self._task.diff = False
        try:
            answer = self._execute_module(
                module_name=f"{_COLLECTION}.{name}", module_args=arguments, task_vars=task_vars
            )
        finally:
            self._task = task
        refused = bool(answer.get("failed"))
        return {
            "changed": bool(answer.get("changed")) and not refused,
            "refused": str(answer.get("msg", "")).strip() if refused else "",
            # Ansible takes what is called "warnings" away and shows it, from ansible-core 2.19 on.
            "warned": answer.get("warned", []),
        }
