# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of AWX 24.6.1 for surveys, answers and links, as in awx/main/models and awx/api/views."""

from __future__ import annotations

import re
from typing import Any

Row = dict[str, Any]

LINKS = ("success_nodes", "failure_nodes", "always_nodes")
TYPES: dict[str, type] = {
    "text": str,
    "textarea": str,
    "integer": int,
    "multiplechoice": str,
}
# Its lines decide whether AWX offers a YAML file as a playbook, and its folders whether it looks.
PLAYBOOK = re.compile(
    r"^\s*?-?\s*?(?:hosts|(ansible\.builtin\.)?include|(ansible\.builtin\.)?import_playbook):"
)
NOT_SEARCHED = ("roles", "tasks", "group_vars", "host_vars")


def is_offered(path: str, text: str) -> bool:
    """Tell whether AWX offers a file of a project as a playbook."""
    *folders, name = path.split("/")
    if any(folder in NOT_SEARCHED or folder.startswith(".") for folder in folders):
        return False
    return name.endswith((".yml", ".yaml")) and any(map(PLAYBOOK.match, text.splitlines()))


def survey_error(spec: Row) -> str:
    """Return what AWX says against a survey, empty if it takes it."""
    for field, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec.get(field), kind):
            return f"Field '{field}' is missing from survey spec."
    if not spec["spec"]:
        return "'spec' doesn't contain any items."
    seen = set()
    for question in spec["spec"]:
        for field in ("type", "question_name", "variable"):
            if not isinstance(question.get(field), str):
                return f"'{field}' in survey question expected to be string."
        if not isinstance(question.get("required"), bool):
            return "'required' in survey question expected to be boolean."
        if question["variable"] in seen:
            return f"'variable' '{question['variable']}' duplicated in survey question."
        seen.add(question["variable"])
        default = question.get("default", "")
        if default != "" and not isinstance(default, TYPES[question["type"]]):
            return f"Default value {default} expected to be {question['type']}."
        if question["type"] == "multiplechoice" and default not in ("", *question["choices"]):
            return "Default choice must be answered from the choices listed."
    return ""


def answer_error(question: Row, answers: Row) -> str:
    """Return what AWX says against an answer, empty if it takes it."""
    name = question["variable"]
    if name not in answers:
        return f"'{name}' value missing" if question["required"] else ""
    value = answers[name]
    if question["type"] == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            return f"Value {value} for '{name}' expected to be an integer."
        if value < question.get("min", value):
            return f"'{name}' value {value} is too small."
        if value > question.get("max", value):
            return f"'{name}' value {value} is too large."
    elif question["type"] == "multiplechoice":
        if value not in question["choices"]:
            return f"Value {value} for '{name}' expected to be one of {question['choices']}."
    elif not isinstance(value, str):
        return f"Value {value} for '{name}' expected to be a string."
    return ""


def accept_variables(survey: Row, given: Row, ask_variables: bool) -> tuple[Row, Row]:
    """Return the extra variables of a launched job, and the errors that prevent the launch."""
    questions = survey.get("spec", [])
    wrong = [error for one in questions if (error := answer_error(one, given))]
    errors: Row = {"variables_needed_to_start": wrong} if wrong else {}
    others = sorted(set(given) - {one["variable"] for one in questions})
    if others and not ask_variables:
        errors["extra_vars"] = [f"Variables {', '.join(others)} are not allowed on launch."]
    defaults = {
        one["variable"]: one["default"]
        for one in questions
        if "default" in one and not answer_error(one, {one["variable"]: one["default"]})
    }
    return {**defaults, **given}, errors


def wrong_link(nodes: list[Row], parent: Row, link: str, child: int) -> str:
    """Return what AWX says against a link between nodes of a workflow, empty if it takes it."""
    if any(child in parent[other] for other in LINKS if other != link):
        return "Relationship not allowed."
    children = {row["id"]: [one for name in LINKS for one in row[name]] for row in nodes}
    reached, ahead = set(), [child]
    while ahead:
        number = ahead.pop()
        if number not in reached:
            reached.add(number)
            ahead += children.get(number, [])
    return "Cycle detected." if parent["id"] in reached else ""


def workflow_failed(nodes: list[Row], failed: set[int]) -> bool:
    """Tell whether AWX takes a workflow for failed: a failed node has no link that handles it."""
    handled = ("failure_nodes", "always_nodes")
    return any(row["id"] in failed and not any(row[link] for link in handled) for row in nodes)
