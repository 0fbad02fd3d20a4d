# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from importlib import import_module
from unittest.mock import MagicMock

from ansible_collections.edgeops.k3s_network.plugins.action.preflight_facts import ActionModule

TOLD = "the default route leaves by eth1"


def warning():
    """Return a warning as the action plugins of this ansible-core get it."""
    try:
        messages = import_module("ansible.module_utils._internal._messages")
    except ImportError:
        # Before ansible-core 2.19.
        return TOLD
    return messages.WarningSummary(event=messages.Event(msg=TOLD))


def test_what_a_module_would_warn_of_is_text():
    task = MagicMock(check_mode=False, async_val=0, diff=False)
    task.args = {"default_route": {}, "firewalld_state": {}}
    action = ActionModule(task, MagicMock(), MagicMock(), MagicMock(), MagicMock(), MagicMock())
    action._execute_module = lambda **_call: {"changed": True, "warnings": [warning()]}
    result = action.run(task_vars={})
    assert result["predicted"]["default_route"] == {
        "changed": True,
        "refused": "",
        "warnings": [TOLD],
    }
