# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns raw variables into values. Pure functions.

A variable may be vaulted, the text of a survey (also as YAML or JSON), an empty text, or a template
that Ansible could not work out. Each function raises ValueError, whose text follows the name of the
variable in a message.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

import yaml
from ansible.module_utils.parsing.convert_bool import boolean

_DEFAULTS = Path(__file__).parents[3] / "roles" / "k3s_topology" / "defaults" / "main.yml"
# What ansible-core before 2.19 puts in place of omit.
_OMIT = "__omit_place_holder__"
_OMITTED = "is omit, which only an option of a task can have; remove the variable or leave it empty"
_LONGEST = 100_000
_DEPTH = 20


def plain(value: Any) -> Any:
    """Return a value in Python's own types, without what Ansible attaches to it."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    # A vaulted text of ansible-core 2.16 is a sequence of characters, but no list.
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value)


def given(value: Any) -> Any:
    """Return a variable in Python's own types, None if it is unset, as an empty text is."""
    value = plain(value)
    if not isinstance(value, str):
        return value
    if _OMIT in value:
        raise ValueError(_OMITTED)
    if "{{" in value or "{%" in value:
        raise ValueError("is a template that cannot be worked out here; write its value")
    return value if value.strip() else None


def unreadable(error: Any) -> str:
    """Return why Ansible cannot work out a variable, and what to do."""
    text = " ".join(str(error).split())
    if "omit" in text.lower():
        return _OMITTED
    remedy = "write its value"
    if any(sign in text for sign in ("ansible_facts", "undefined", "has no attribute")):
        remedy += (
            ", or gather what it needs before: the playbooks of this collection gather no facts of "
            "the module setup"
        )
    return f"can't be read: {text}; {remedy}"


def text(value: Any) -> Optional[str]:
    """Return a text, None if it is unset."""
    value = given(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"is {_kind(value)}, expected a text; write the value in quotes")
    return str(value).strip()


def truth(value: Any) -> Optional[bool]:
    """Return a boolean, also from the text of a survey, None if it is unset."""
    value = given(value)
    if value is None:
        return None
    try:
        return bool(boolean(value.strip() if isinstance(value, str) else value))
    except TypeError:
        raise ValueError(f"is {_shown(value)}; it is true or false") from None


def words(value: Any) -> Optional[list[str]]:
    """Return a list of words, None if it is unset.

    A text may have commas, spaces or lines between them, or be a list as YAML or JSON.
    """
    value = given(value)
    if value is None:
        return None
    if isinstance(value, str) and value.strip().startswith(("[", "- ", "{")):
        value = _parsed(value)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise ValueError(f"is {_kind(value)}, expected a list; give a list of texts")
    if any(isinstance(one, (bool, list, dict)) or one is None for one in value):
        raise ValueError("has an entry that is not a text; give a list of texts")
    return [word for one in value for word in str(one).replace(",", " ").split()]


def entries(value: Any) -> Optional[list[Any]]:
    """Return a list of dictionaries, None if it is unset. A text may be a list as YAML or JSON."""
    value = given(value)
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, list):
        raise ValueError(
            f"is {_kind(value)}, expected a list; give a list of rules with name, port, protocol, "
            "source and destination"
        )
    return value


def alike(one: Any, other: Any) -> bool:
    """Compare values of one variable; INI inventories have only its text."""
    return bool(one == other) or str(one).lower() == str(other).lower()


@functools.cache
def default_ports() -> tuple[Mapping[str, Any], ...]:
    """Return the table of ports that the role ships."""
    defaults = yaml.safe_load(_DEFAULTS.read_text(encoding="utf-8"))
    return tuple(defaults["k3s_topology_ports"])


KINDS: Mapping[str, Callable[[Any], Any]] = {
    "server_group": text,
    "agent_group": text,
    "external_group": text,
    "mode": text,
    "cluster_interface": text,
    "external_interface": text,
    "node_ip": text,
    "external_address": text,
    "pod_cidr": text,
    "service_cidr": text,
    "overlay_interfaces": words,
    "ports": entries,
    "extra_ports": entries,
    "http_redirect": truth,
    "restrict_sources": truth,
    "external_sources": words,
}
"""How the value of each variable of k3s_topology is read, by its name without that prefix."""


def read_all(options: Iterable[str], raw: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the values of options that are set and valid. The others become problems."""
    found = {}
    for option in options:
        try:
            value = KINDS[option](raw.get(option))
        except ValueError as error:
            problems.append(f"k3s_topology_{option} {error}")
            continue
        if value is not None:
            found[option] = value
    return found


def _parsed(value: str) -> Any:
    """Return the data of a text in YAML, of which JSON is a part."""
    if len(value) > _LONGEST:
        raise ValueError(f"is a text of more than {_LONGEST} characters, expected a list")
    try:
        # PyYAML takes long for what is nested deeply.
        data = yaml.safe_load(value) if _depth(value) <= _DEPTH else None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ValueError(
            "is text, expected a list; give a list, or a text that is one in YAML or JSON"
        ) from None
    if not isinstance(data, list):
        raise ValueError(
            "is text, expected a list; give a list, or a text that is one in YAML or JSON"
        )
    return plain(data)


def _depth(value: str) -> int:
    """Return the most brackets that are open at once."""
    depth = most = 0
    for one in value:
        if one in "[{":
            depth += 1
            most = max(most, depth)
        elif one in "]}":
            depth -= 1
    return most


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a number"


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 80 else _kind(value)
