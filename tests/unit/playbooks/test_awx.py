# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The surveys of AWX's job templates ask for what the roles' argument specs specify."""

from __future__ import annotations

import pathlib
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
ROLES = {path.name for path in ROOT.glob("roles/*")}
QUESTIONS = [
    pytest.param(question, id=f"{template['playbook']}-{question['variable']}")
    for template in TEMPLATES
    for question in template["survey"]["spec"]
    # A role that is not there yet has no spec to compare with.
    if any(question["variable"].startswith(f"{role}_") for role in ROLES)
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
def test_an_empty_answer_is_possible_only_where_it_is_the_default(question: dict[str, Any]) -> None:
    assert question["required"] is (question["default"] != "")
    if question["type"] == "multiplechoice":
        assert question["default"] in question["choices"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["playbook"])
def test_a_survey_is_what_awx_takes(template: dict[str, Any]) -> None:
    variables = [question["variable"] for question in template["survey"]["spec"]]
    assert len(variables) == len(set(variables))
    for question in template["survey"]["spec"]:
        assert question["question_name"]
        assert question["question_description"]
        assert isinstance(question["default"], (str, int))
        assert ("min" in question) is (question["type"] != "multiplechoice")
