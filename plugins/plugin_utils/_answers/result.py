# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes a module's result apart: only what is valid of it becomes the result of the task.

Ansible acts on keys of a result, such as C(add_host), C(ansible_facts) and C(ansible_stats). None
of those that a node returns is kept. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import values

Reader = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Returns what is valid of a result. Raises ValueError if something is not."""

MESSAGE = 4000
"""The most characters of a message of a module."""
_MOST_WARNINGS = 100
_OUTPUT = 20_000
_OUTPUTS = ("module_stdout", "module_stderr")


def checked(result: Any, read: Reader, subject: str) -> dict[str, Any]:
    """Return what is valid of a module's result, or a failure that says what is not.

    Args:
        result: What the module returned.
        read: Validates the result of a module that succeeded.
        subject: Whose result it is, such as C(host server1: the result of port_probe).
    """
    if not isinstance(result, Mapping):
        return invalid(subject, "it is not a dictionary")
    if result.get("failed"):
        return _failure(result)
    try:
        found = {**_common(result), **read(result)}
    except ValueError as error:
        return invalid(subject, str(error))
    return found


def invalid(subject: str, reason: str) -> dict[str, Any]:
    """Return the failure of a node whose result is not valid."""
    return {
        "failed": True,
        "changed": False,
        "msg": f"{subject} is not valid ({reason}), so it does not count; check what runs as "
        "Ansible's Python and shell there",
    }


def paragraph(value: Any, longest: int = MESSAGE) -> str:
    """Return a clean text of several lines, empty if it is not a text."""
    return values.clean_lines(value[:longest]) if isinstance(value, str) else ""


def diff(value: Any) -> Any:
    """Return a module's differences for C(--diff), clean."""
    return values.tidy(value, "diff") if isinstance(value, (Mapping, list)) else {}


def _failure(result: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "failed": True,
        "changed": result.get("changed") is True,
        "msg": paragraph(result.get("msg")) or "the module failed without a message",
    }
    found.update(_texts(result))
    found.update(
        {key: paragraph(result[key], _OUTPUT) for key in _OUTPUTS if result.get(key) is not None}
    )
    trace = _traceback(result.get("exception"))
    if trace:
        found["exception"] = trace
    code = result.get("rc")
    if isinstance(code, int):
        found["rc"] = int(code)
    return found


def _common(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each result may have."""
    changed = result.get("changed", False)
    return {"changed": values.boolean(changed, "changed"), **_texts(result)}


def _texts(result: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(result.get("warnings"), (list, tuple)):
        given = (_text(one) for one in result["warnings"][:_MOST_WARNINGS])
        found["warnings"] = [one for one in given if one]
    if isinstance(result.get("invocation"), Mapping):
        try:
            found["invocation"] = values.tidy(result["invocation"], "invocation")
        except ValueError:
            found["invocation"] = {}
    return {key: value for key, value in found.items() if value}


def _text(value: Any) -> str:
    """Return a warning. ansible-core 2.19 and later have an object for it."""
    if not isinstance(value, str):
        value = getattr(getattr(value, "event", None), "msg", None)
    return values.line(value, "warnings", MESSAGE) if isinstance(value, str) else ""


def _traceback(value: Any) -> str:
    """Return a traceback. ansible-core 2.19 and later have an object for it."""
    if not isinstance(value, str):
        value = getattr(getattr(value, "event", None), "formatted_traceback", None)
    return paragraph(value, _OUTPUT)
