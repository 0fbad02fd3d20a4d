# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: notes the controller's time around the module of this name."""

from __future__ import annotations

import time
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    NodeAction,
    hide_below_vvv,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import preflight


class ActionModule(NodeAction):
    """Runs the module of this name on the node."""

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Return the module's result with the time before and after."""
        before = time.time()
        result = self.answer(preflight.read, task_vars)
        return hide_below_vvv({**result, "asked": [before, time.time()]})
