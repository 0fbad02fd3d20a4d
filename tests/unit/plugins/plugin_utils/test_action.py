# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    hide_below_vvv,
    without_empty,
)


@pytest.mark.parametrize(("verbosity", "hidden"), [(0, True), (2, True), (3, False), (4, False)])
def test_data_for_later_tasks_are_printed_from_the_third_v_on(monkeypatch, verbosity, hidden):
    monkeypatch.setattr(Display(), "verbosity", verbosity)
    result = hide_below_vvv({"changed": False})
    assert result.get("_ansible_verbose_override", False) is hidden
    assert result["changed"] is False


def test_empty_text_leaves_an_option_to_its_default():
    given = {
        "timeout": "",
        "metric": " ",
        "state": "absent",
        "flag": False,
        "number": 0,
        "list": [],
    }
    kept = {"state": "absent", "flag": False, "number": 0, "list": []}
    assert without_empty({**given, "nested": given}) == {**kept, "nested": kept}
