# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.tests.mutations.judge import Verdict
from ansible_collections.edgeops.k3s_network.tests.mutations.tally import Tally


def test_counts_by_kind_and_sums_up():
    tally = Tally()
    tally.add("drop", Verdict())
    tally.add("drop", Verdict(missed=["it"]))
    tally.add("removed", Verdict(inexact=["its name"], false_alarms=["another"]))
    assert [line.split() for line in tally.lines()[1:]] == [
        ["drop", "2", "1", "1", "0"],
        ["removed", "1", "1", "0", "1"],
        ["1", "passed,", "2", "failed"],
    ]
    assert tally.failed == 2
