# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.files import to_json
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    check,
    finding,
    report,
)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_file_holds_the_report_as_it_is(count):
    whole = report(
        [check(f"n{number}", detail='"\n\x1bü') for number in range(count)],
        [finding(cause=f'{number} "ü') for number in range(count)],
    )
    assert json.loads(to_json(whole)) == whole


def test_a_check_is_a_line():
    lines = to_json(report([check("n1"), check("n2", ok=False)])).decode().splitlines()
    (line,) = (line for line in lines if '"ok": false' in line and "n2" in line)
    assert json.loads(line.strip(" ,"))["source"] == "n2"
    assert lines[1] == '  "ok": false,'


def test_finding_is_a_line():
    found = report([check()], [finding("n1"), finding("n2", level="warning")])
    lines = to_json(found).decode().splitlines()
    assert [json.loads(line.strip(" ,")) for line in lines if "remedy" in line] == found["findings"]
