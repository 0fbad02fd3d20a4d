# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: validates what the module of this name returns."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import NodeAction
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.changes import read_route


class ActionModule(NodeAction):
    """Runs the module of this name on the node."""

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        return self.answer(read_route, task_vars)
