# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation says about AWX, and the examples that need no node."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
import pytest
from ansible_collections.edgeops.k3s_network.molecule.examples import (
    Command,
    File,
    examples,
    missing,
)
from fake_rules import is_offered

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/docsite/rst/awx.rst"
STEPS = examples(PAGE)
NOTIFY = [one for one in STEPS if isinstance(one, Command) and "notify.yml" in one.line]
BIN = Path(sys.executable).parent


def offered(texts: dict[str, str]) -> list[str]:
    """Return the files that AWX offers as playbooks."""
    return sorted(path for path, text in texts.items() if is_offered(path, text))


def users() -> list[str]:
    """Return the playbooks of the documentation's table."""
    text = PAGE.read_text(encoding="utf-8")
    return sorted(re.findall(r"^``(playbooks/\w+\.yml)``", text, re.MULTILINE))


@pytest.mark.parametrize("command", NOTIFY, ids=range(len(NOTIFY)))
def test_example_of_a_notification_prints_what_the_page_shows(command, tmp_path):
    (file,) = (one for one in STEPS if isinstance(one, File) and one.name == "notify.yml")
    (tmp_path / file.name).write_text(file.text)
    line = f"{BIN}/{command.line}"
    done = subprocess.run(
        ["bash", "-c", line], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not missing(done.stdout, command.output), done.stdout


def test_page_has_an_example_for_each_result_of_a_validation():
    assert len(NOTIFY) == 3


@pytest.mark.parametrize(
    ("artifacts", "expected"),
    [
        (
            {"k3s_connectivity_failed": ["a is blocked", "b is blocked"]},
            "a is blocked; b is blocked",
        ),
        ({"k3s_connectivity_failed": []}, "All checks are ok."),
    ],
)
def test_expression_for_a_notification_body_is_rendered(artifacts: Any, expected: str) -> None:
    """AWX renders it in a sandbox, with undefined names that may be chained."""
    (expression,) = re.findall(r"``({{ job\..+? }})``", PAGE.read_text(encoding="utf-8"))
    sandbox = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.ChainableUndefined)
    assert sandbox.from_string(expression).render(job={"artifacts": artifacts}) == expected


def test_table_of_artifacts_has_those_that_the_jobs_set() -> None:
    sources = (ROOT / "plugins/action").glob("*_report.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    are_set = re.findall(r'^ +"(k3s_\w+)": ', text, re.MULTILINE)
    page = PAGE.read_text(encoding="utf-8")
    table = re.findall(r"^``(k3s_(?:connectivity|preflight)_\w+)``  ", page, re.MULTILINE)
    assert sorted(table) == sorted(are_set)


def test_checkout_offers_besides_only_playbooks_of_tests():
    listed = subprocess.run(
        ["git", "ls-files", "*.yml"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in listed.stdout.splitlines()}
    others = [path for path in offered(texts) if not path.startswith(("molecule/", "tests/"))]
    assert others == users()


def test_artifact_offers_only_the_documented_playbooks(tmp_path):
    build = [f"{BIN}/ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    texts = {}
    with tarfile.open(path) as artifact:
        for member in artifact:
            held = artifact.extractfile(member) if member.name.endswith(".yml") else None
            if held is not None:
                texts[member.name] = held.read().decode()
    assert offered(texts) == users()
