# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: starts a node's listeners of a plan; stops them with a shell, which is quicker."""

from __future__ import annotations

import re
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.processes import (
    processes_spec,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    NodeAction,
    hide_below_vvv,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import listeners
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.values import line
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import part_of

_STOPPED = "stopped"
_COUNT = re.compile(r"[0-9]{1,9}")
# A process number that is in new hands by now is spared: the start time is another.
_COMMAND = """count=0
for process in {processes}; do
  status=$(cat "/proc/${{process%:*}}/stat" 2>/dev/null) || continue
  set -- ${{status##*) }}
  [ "$1" != Z ] && [ "${{20}}" = "${{process#*:}}" ] && kill -KILL "${{process%:*}}" &&
    count=$((count + 1))
done
echo "$count\""""


class ActionModule(NodeAction):
    """Takes the node's part of the plan and leaves the start of listeners to the module."""

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        if self._task.args.get("state") != _STOPPED:
            return hide_below_vvv(
                self.answer(listeners.read, task_vars, module_args=self._module_args(task_vars))
            )
        _validated, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": [_STOPPED], "required": True},
                "processes": {**processes_spec(), "required": True},
            }
        )
        processes = [f"{one['pid']}:{one['started']}" for one in arguments["processes"]]
        answer = self._low_level_execute_command(_COMMAND.format(processes=" ".join(processes)))
        # On a terminal, sudo may have said something before.
        said = str(answer["stdout"]).strip().rpartition("\n")[2]
        if answer["rc"] != 0 or not _COUNT.fullmatch(said):
            reason = line(str(answer["stderr"]).strip() or said or str(answer["rc"]), "stderr")
            return {"failed": True, "msg": f"The listeners cannot be stopped: {reason}"}
        return {"changed": False, "stopped": int(said)}

    def _module_args(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        arguments = dict(self._task.args)
        text = arguments.pop("plan", None)
        if text is None:
            return arguments
        name = str((task_vars or {})["inventory_hostname"])
        part = part_of(text, name)
        return {
            "listeners": part["listeners"],
            "token": part["token"],
            "name": name,
            "listen": part["listen"],
            "lease": part["lease"],
            **arguments,
        }
