# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tests/matrix.yml names every test of a machine, and nothing that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.tests.tools import matrix

ROOT = Path(__file__).resolve().parents[3]
MATRIX = matrix.load()
LEVELS = ("function", "module", "playbook")
REQUIREMENTS = (ROOT / "requirements-dev.txt").read_text()
OWN = re.search(r"^ansible-core==(\d+\.\d+)", REQUIREMENTS, re.MULTILINE)


def files_of(scenario: str) -> set[str]:
    """Return the names of the test files of a scenario, which may be those of another one."""
    directory = ROOT / "molecule" / scenario
    settings = yaml.safe_load((directory / "molecule.yml").read_text())
    where = directory / settings.get("verifier", {}).get("directory", "tests")
    return {path.name for path in where.glob("test_*.py")}


@pytest.mark.parametrize("path", sorted(ROOT.glob("molecule/*/molecule.yml")), ids=str)
def test_each_test_file_of_a_scenario_is_in_a_group(path):
    scenario = path.parent.name
    named = {
        name
        for group in MATRIX["groups"]
        if group.get("scenario") == scenario
        for name in group["tests"]
    }
    shared = {group["scenario"] for group in MATRIX["groups"] if "scenario" in group}
    assert scenario in shared
    assert named <= files_of(scenario)
    # A scenario that has the tests of another one may leave some to that one.
    if (path.parent / "tests").is_dir():
        assert named == files_of(scenario)


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


def test_targets_are_those_of_the_stage_in_order():
    groups = [
        {"scenario": "guard", "tests": ["a"], "rest": ["trixie"]},
        {"scenario": "guard", "tests": ["b"], "rest": ["trixie"], "test": ["bookworm"]},
        {"target": "unit", "test": ["2.19"], "rest": ["2.16"]},
    ]
    assert matrix.targets({"groups": groups}, "rest") == ["scenario/trixie/guard", "unit/2.16"]
    assert matrix.targets({"groups": groups}, "test") == ["scenario/bookworm/guard", "unit"]
    assert matrix.files({"groups": groups}, "rest", "guard", "trixie") == {"a", "b"}
    assert matrix.files({"groups": groups}, "test", "guard", "trixie") == set()
