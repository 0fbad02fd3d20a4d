# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that the playbook has prepared boots again.

On the other backends the power is cut after a run of the module: test_power_cut.py.
"""

from __future__ import annotations

from result import assert_the_guides_result


def test_route_after_a_reboot(node, bare, playbook):
    first = playbook("prepare")
    assert first.returncode == 0, first.output
    node.reboot()
    assert_the_guides_result(node)
    again = playbook("prepare")
    assert again.returncode == 0, again.output
    assert again.changed("node1") == 0
