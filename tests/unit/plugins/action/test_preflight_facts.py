# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from unittest.mock import MagicMock

from ansible_collections.edgeops.k3s_network.plugins.action.preflight_facts import ActionModule

TOLD = "the default route leaves by eth1"


def test_what_a_module_would_warn_of_is_told():
    task = MagicMock(check_mode=False, async_val=0, diff=False)
    task.args = {"default_route": {}, "firewalld_state": {}}
    action = ActionModule(task, MagicMock(), MagicMock(), MagicMock(), MagicMock(), MagicMock())
    action._execute_module = lambda **_call: {
        "changed": True,
        "warned": [TOLD],
        "gathered": {"system": {"hostname": "n1"}},
    }
    result = action.run(task_vars={})
    assert result["facts"] == {"hostname": "n1"}
    assert result["predicted"]["default_route"] == {
        "changed": True,
        "refused": "",
        "warned": [TOLD],
    }
