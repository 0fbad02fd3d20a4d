# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.iproute import ask, objects


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("[]\n", []),
        ('[{"a": 1}]\n[{"a": 2},{},{"a": 3}]\n', [{"a": 1}, {"a": 2}, {"a": 3}]),
        ("Command line is not complete", []),
        ('[{"a": 1}] cut [', [{"a": 1}]),
        ('{"a": 1}', []),
    ],
)
def test_the_objects_of_lists_that_follow_each_other(text, found):
    assert objects(text) == found


def test_a_command_that_is_not_there_knows_nothing():
    assert ask(["no-such-command"], "") == []


def test_the_loopback_interface_is_known():
    assert [one["ifname"] for one in ask(["ip", "-json", "link", "show", "dev", "lo"])] == ["lo"]
