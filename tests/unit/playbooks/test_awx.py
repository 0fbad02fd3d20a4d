# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The surveys of AWX's job templates ask for what the roles' argument specs specify."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
TYPES = {
    "str": ("text", "textarea", "multiplechoice"),
    "bool": ("multiplechoice",),
    "int": ("integer",),
    "list": ("textarea",),
}


def _read(path: pathlib.Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


TEMPLATES = _read(ROOT / "playbooks/vars/awx.yml")["k3s_awx_job_templates"]
SPECS: dict[str, dict[str, Any]] = {
    name: option
    for path in ROOT.glob("roles/*/meta/argument_specs.yml")
    for name, option in _read(path)["argument_specs"]["main"]["options"].items()
}
QUESTIONS = [
    pytest.param(question, id=f"{step}-{question['variable']}")
    for step, template in TEMPLATES.items()
    for question in template["survey"]
    # The others are of the playbook for AWX, which reads none of them.
    if question["variable"] != "k3s_awx_confirm_remove"
]


def answer(value: Any) -> Any:
    """Return a default of a spec as a survey says it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value or ""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_agrees_with_the_argument_spec(question: dict[str, Any]) -> None:
    spec = SPECS[question["variable"]]
    assert question["type"] in TYPES[spec["type"]]
    assert question["default"] == answer(spec.get("default"))
    if spec["type"] == "bool":
        assert sorted(question["choices"]) == ["false", "true"]
    elif "choices" in spec:
        assert question["choices"] == spec["choices"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_with_a_default_is_not_required(question: dict[str, Any]) -> None:
    """AWX starts a job through its API without answers only if no question is required."""
    assert question["required"] is False
    if question["type"] == "multiplechoice":
        assert question["default"] in question["choices"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_default_has_the_type_of_the_question(question: dict[str, Any]) -> None:
    """AWX rejects an integer that is text."""
    assert isinstance(question["default"], int if question["type"] == "integer" else str)
    assert not isinstance(question["default"], bool)


@pytest.mark.parametrize("step", TEMPLATES)
def test_a_survey_is_what_awx_takes(step: str) -> None:
    questions = TEMPLATES[step]["survey"]
    variables = [question["variable"] for question in questions]
    assert len(variables) == len(set(variables))
    for question in questions:
        assert question["question_name"]
        assert question["question_description"]
        assert ("min" in question) is (question["type"] == "integer")


def test_surveys_of_the_workflow_have_no_variable_twice() -> None:
    both = [
        one["variable"] for step in ("prepare", "validate") for one in TEMPLATES[step]["survey"]
    ]
    assert len(both) == len(set(both))


def test_removal_needs_a_confirmation() -> None:
    (question,) = (one for one in TEMPLATES["remove"]["survey"] if one["required"])
    assert question["variable"] == "k3s_awx_confirm_remove"
    assert "default" not in question


@pytest.mark.parametrize("step", TEMPLATES)
def test_each_template_has_a_playbook(step: str) -> None:
    assert (ROOT / "playbooks" / f"{step}.yml").is_file()


def test_variables_of_the_playbook_are_documented() -> None:
    files = [*ROOT.glob("playbooks/tasks/awx_*.yml"), ROOT / "playbooks/vars/awx.yml"]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    # What a user may set is read with a default.
    read = set(re.findall(r"\b(k3s_awx_\w+) \| default\(", text)) - {"k3s_awx_listed"}
    page = (ROOT / "docs/docsite/rst/awx.rst").read_text(encoding="utf-8")
    documented = set(re.findall(r"^``(k3s_awx_\w+)``  ", page, re.MULTILINE))
    assert read == documented
