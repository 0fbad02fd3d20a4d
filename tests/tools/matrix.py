# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests/matrix.yml says: which group of tests runs where.

matrix.py targets STAGE  print the targets of make that a stage consists of
matrix.py core SUITE     print the ansible-core of a suite's scenarios, if tests/cores has it
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any, Optional

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAGES = ("test", "rest", "all", "newest")


def load() -> dict[str, Any]:
    """Return the matrix."""
    content: dict[str, Any] = yaml.safe_load(
        (ROOT / "tests/matrix.yml").read_text(encoding="utf-8")
    )
    return content


def cores() -> list[str]:
    """Return the ansible-cores that have an environment of their own."""
    return sorted(path.stem for path in (ROOT / "tests/cores").glob("*.txt"))


def targets(matrix: dict[str, Any], stage: str) -> list[str]:
    """Return the targets of make of a stage, in the order of the matrix, each of them once."""
    found: dict[str, None] = {}
    for group in matrix["groups"]:
        for place in group.get(stage, ()):
            if "scenario" in group:
                found[f"scenario/{place}/{group['scenario']}"] = None
            else:
                found[f"{group['target']}/{place}" if place in cores() else group["target"]] = None
    return list(found)


def files(
    matrix: dict[str, Any], scenario: str, stage: Optional[str] = None, suite: str = ""
) -> set[str]:
    """Return the test files of a scenario, or those of them that a stage runs on a suite."""
    return {
        name
        for group in matrix["groups"]
        if group.get("scenario") == scenario and (not stage or suite in group.get(stage, ()))
        for name in group["tests"]
    }


def directory(scenario: str) -> pathlib.Path:
    """Return where the tests of a scenario are; it may have those of another one."""
    home = ROOT / "molecule" / scenario
    settings = yaml.safe_load((home / "molecule.yml").read_text(encoding="utf-8"))
    return (home / settings.get("verifier", {}).get("directory", "tests")).resolve()


def main(arguments: list[str]) -> None:
    """Print what was asked for."""
    matrix = load()
    if arguments[0] == "targets" and arguments[1] in STAGES:
        print(" ".join(targets(matrix, arguments[1])))
    elif arguments[0] == "core":
        print(matrix["suites"][arguments[1]].get("ansible_core", ""))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
