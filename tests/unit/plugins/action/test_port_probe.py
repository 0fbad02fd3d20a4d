# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from unittest.mock import MagicMock

from ansible_collections.edgeops.k3s_network.plugins.action.port_probe import ActionModule


def test_what_the_module_returns_is_handed_on():
    task = MagicMock(check_mode=False, async_val=0, diff=False, args={})
    action = ActionModule(task, *[MagicMock()] * 5)
    action._execute_module = lambda task_vars: {"changed": False, "results": [task_vars["one"]]}
    result = action.run(task_vars={"one": 1})
    assert result["results"] == [1]
