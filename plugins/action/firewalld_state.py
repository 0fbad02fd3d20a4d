# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: has the node change its firewall, and confirms that over a new connection."""

from __future__ import annotations

import time
from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.checkpoint import (
    DIRECTORY,
    confirm_command,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import NodeAction
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.changes import (
    read_firewall,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.values import line

_MODULE = "edgeops.k3s_network.firewalld_state"
_PAUSE = 1.0
# Time for the rollback, and for a new connection after it.
_ROLLBACK_SECONDS = 60.0


class ActionModule(NodeAction):
    """Runs the module of this name on the node."""

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result = self.answer(read_firewall, task_vars, module_name=_MODULE)
        identity = result.pop("confirm", None)
        if identity is not None:
            timeout = float(self._task.args.get("confirm_timeout", 60))
            result.update(self._confirm(identity, time.monotonic() + timeout, task_vars))
        return result

    def _confirm(
        self, identity: str, deadline: float, task_vars: Optional[dict[str, Any]]
    ) -> dict[str, Any]:
        """Confirm the change; connections that were open before would not show a lock-out."""
        trouble = ""
        was_cut_off = False
        while time.monotonic() < deadline:
            try:
                self._reconnect()
                answer = self._low_level_execute_command(confirm_command(identity))
            except AnsibleConnectionFailure as error:
                trouble = line(str(error), "error")
                was_cut_off = True
                time.sleep(_PAUSE)
                continue
            # An answer that was lost may have been that of a confirmation.
            if answer["rc"] == 0 or (was_cut_off and self._is_in_force(task_vars)):
                return {"confirmed": True}
            trouble = line(f"{answer['stderr'] or answer['stdout']}", "stderr")
            break
        return {
            "failed": True,
            "changed": False,
            "confirmed": False,
            "msg": self._give_up(trouble, deadline),
        }

    def _is_in_force(self, task_vars: Optional[dict[str, Any]]) -> bool:
        """Return whether the node is as wanted, by a run in check mode."""
        result = self.predict(read_firewall, task_vars, module_name=_MODULE)
        return not result.get("failed") and not result.get("changed")

    def _give_up(self, trouble: str, deadline: float) -> str:
        """Wait for the node to roll the change back, and return how it went."""
        text = (
            "The firewall was changed, but that could not be confirmed over a new connection: "
            f"{trouble or 'there was no answer in time'}. "
        )
        until = max(deadline, time.monotonic()) + _ROLLBACK_SECONDS
        while time.monotonic() < until:
            try:
                self._reconnect()
                answer = self._low_level_execute_command(f"test ! -e {DIRECTORY}/checkpoint.json")
            except AnsibleConnectionFailure:
                answer = {"rc": 1}
            if answer["rc"] == 0:
                return (
                    text + "The node has rolled it back by itself and answers again, as before "
                    "this run. Check what rejects new connections: your own rules that name the "
                    "controller's address or the interface, or a wrong "
                    "k3s_topology_cluster_interface or k3s_topology_external_interface"
                )
            time.sleep(_PAUSE)
        return (
            text + "The node rolls it back by itself, but does not answer yet. "
            "Check it from its console: journalctl -u 'k3s-network-guardian-*'"
        )

    def _reconnect(self) -> None:
        # A connection that has no such thing as being open is new each time.
        if type(self._connection).reset is not ConnectionBase.reset:
            self._connection.reset()
