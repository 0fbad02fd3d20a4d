# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages of the documentation keep to the code, and each of their examples can be tested."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.molecule.examples import Command, File, examples

ROOT = Path(__file__).resolve().parents[3]
RST = ROOT / "docs" / "docsite" / "rst"
PAGES = [ROOT / "README.md", *sorted(RST.glob("*.rst"))]
VARIABLE = re.compile(
    r"\bk3s_(?:topology|default_route|firewall|connectivity|preflight)_[a-z_0-9]+\b"
)
# Read by Ansible without being named.
WITHOUT_MENTION = ("group_vars/", "host_vars/")


def texts_of(source: str) -> list[str]:
    """Return the texts of a Python file, what is computed in them as a line break."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = (one.value if isinstance(one, ast.Constant) else "\n" for one in node.values)
            found.append("".join(parts))
    return found


def messages() -> list[str]:
    """Return the messages of the troubleshooting page: the terms of its definition lists."""
    page = (RST / "troubleshooting.rst").read_text(encoding="utf-8")
    return re.findall(r"^``(.+)``\n  \S", page, re.MULTILINE)


@pytest.fixture(scope="module")
def said():
    paths = sorted(ROOT.glob("plugins/**/*.py"))
    return [text for path in paths for text in texts_of(path.read_text(encoding="utf-8"))]


def test_the_troubleshooting_page_has_messages():
    assert len(messages()) > 20


@pytest.mark.parametrize("message", messages())
def test_each_message_is_in_the_code(said, message):
    parts = (re.escape(part.strip()) for part in message.split("…") if part.strip())
    pattern = re.compile(".*".join(parts), re.DOTALL)
    assert any(map(pattern.search, said)), message


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_block_can_be_tested_and_each_file_is_used(page):
    steps = examples(page)
    commands = [step.line for step in steps if isinstance(step, Command)]
    for step in steps:
        if isinstance(step, File):
            assert yaml.safe_load(step.text), step.name
            used = any(step.name in line.split() for line in commands)
            assert used or step.name.startswith(WITHOUT_MENTION), step.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_variables_that_a_page_names_exist(page):
    roles = [path.name for path in ROOT.glob("roles/*")]
    known = set(roles)
    for role in roles:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
        for spec in specs["argument_specs"].values():
            known.update(spec["options"])
    # The artifacts of validate and preflight.
    known.update(f"k3s_connectivity_{name}" for name in ("ok", "summary", "failed", "findings"))
    known.update(f"k3s_preflight_{name}" for name in ("ok", "findings"))
    named = VARIABLE.findall(page.read_text(encoding="utf-8"))
    assert {name for name in named if not name.endswith(("_role", "_"))} <= known


def test_the_index_names_each_page_once():
    index = yaml.safe_load((ROOT / "docs" / "docsite" / "extra-docs.yml").read_text())
    listed = [page for section in index["sections"] for page in section["toctree"]]
    assert sorted(listed) == sorted(page.stem for page in RST.glob("*.rst"))


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_each_picture_has_a_text(page):
    text = page.read_text(encoding="utf-8")
    assert text.count(".. image::") == text.count(":alt:")
    for name in re.findall(r"\.\. image:: (\S+)", text):
        assert (RST / name).is_file()
