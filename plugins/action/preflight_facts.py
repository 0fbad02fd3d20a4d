# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: asks a node for its facts, and notes when, to compare the nodes' clocks."""

from __future__ import annotations

import time
from typing import Any, Optional

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module of this name on the node."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset()

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        before = time.time()
        result.update(
            self._execute_module(
                module_name="edgeops.k3s_network.preflight_facts", task_vars=task_vars
            )
        )
        result["asked"] = [before, time.time()]
        return result
