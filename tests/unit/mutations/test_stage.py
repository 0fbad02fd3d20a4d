# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.tests.mutations.stage import snapshot_lines

BEFORE = """\
k3s-from-nodes (active)
  rich rules:\x20
\trule one
\trule two
k3s-nodes
  entries: 192.0.2.1 192.0.2.2
"""


def test_order_of_rules_and_entries_is_nothing():
    after = BEFORE.replace("one", "x").replace("two", "one").replace("x", "two")
    after = after.replace("192.0.2.1 192.0.2.2", "192.0.2.2 192.0.2.1")
    assert after != BEFORE
    assert snapshot_lines(after) == snapshot_lines(BEFORE)


def test_rule_under_another_heading_is_a_difference():
    after = BEFORE.replace("\trule two\n", "") + "\trule two\n"
    assert snapshot_lines(after) != snapshot_lines(BEFORE)


def test_entry_that_is_gone_is_a_difference():
    lost = snapshot_lines(BEFORE) - snapshot_lines(BEFORE.replace(" 192.0.2.2", ""))
    assert lost == {"k3s-nodes: 192.0.2.2"}
