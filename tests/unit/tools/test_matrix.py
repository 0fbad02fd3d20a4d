# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tests/matrix.yml names every test of a machine, and nothing that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.edgeops.k3s_network.tests.tools import matrix

ROOT = Path(__file__).resolve().parents[3]
MATRIX = matrix.load()
LEVELS = ("function", "module", "playbook")
REQUIREMENTS = (ROOT / "requirements-dev.txt").read_text()
OWN = re.search(r"^ansible-core==(\d+\.\d+)", REQUIREMENTS, re.MULTILINE)


SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_file_that_a_group_names_exists(scenario):
    named = matrix.files(MATRIX, scenario)
    assert named
    assert named <= {path.name for path in matrix.directory(scenario).glob("test_*.py")}


@pytest.mark.parametrize("path", sorted(ROOT.glob("molecule/*/tests/test_*.py")), ids=str)
def test_file_is_in_a_group(path):
    scenarios = [name for name in SCENARIOS if matrix.directory(name) == path.parent]
    assert any(path.name in matrix.files(MATRIX, name) for name in scenarios)


@pytest.mark.parametrize("group", MATRIX["groups"], ids=lambda group: group["name"])
def test_group_is_complete(group):
    assert group["level"] in LEVELS
    assert ("scenario" in group) != ("target" in group)
    places = {place for stage in matrix.STAGES for place in group.get(stage, ())}
    assert places
    known = set(MATRIX["suites"]) if "scenario" in group else {*matrix.cores(), OWN[1]}
    assert places <= known


def test_make_test_runs_no_group_again_in_the_rest():
    for group in MATRIX["groups"]:
        stages = [set(group.get(stage, ())) for stage in ("test", "rest", "all")]
        assert sum(map(len, stages)) == len(set.union(*stages))
