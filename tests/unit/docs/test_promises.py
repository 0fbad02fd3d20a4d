# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each promise names tests, and the named tests exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from promises import ROOT, functions, groups

PROMISES = [promise for group in groups() for promise in group["promises"]]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise["promise"])
def test_promise_names_tests_that_exist(promise):
    assert promise["tests"]
    for test in promise["tests"]:
        path, _separator, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions(ROOT / path), test


def test_promises_differ():
    sentences = [promise["promise"] for promise in PROMISES]
    assert sorted(set(sentences)) == sorted(sentences)
