# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rich rules of firewalld, read into their elements. Pure functions."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from .model import Settings

_FIRST_PRIORITY = -32768


class RichRule(NamedTuple):
    """A rich rule: its elements by name, each with its attributes."""

    text: str
    priority: int
    elements: Mapping[str, Mapping[str, str]]


def rich_rules(settings: Settings) -> list[RichRule]:
    """Return the rich rules of a zone or policy."""
    # The key of zones, and that of policies.
    return [_read(text) for key in ("rules_str", "rich_rules") for text in settings.get(key, ())]


@functools.cache
def _read(text: str) -> RichRule:
    """Read a rich rule in any spelling of firewalld's; without elements where that fails."""
    elements: dict[str, dict[str, str]] = {"rule": {}}
    element = "rule"
    try:
        for token in shlex.split("".join(filter(str.isprintable, text))):
            name, equals, value = token.partition("=")
            if equals:
                # These belong to the rule wherever they stand.
                owner = "rule" if name in ("family", "priority") else element
                elements[owner][name] = value
            elif token in ("not", "NOT"):
                elements[element]["invert"] = "True"
            elif token == "limit":
                elements[element]["limit"] = ""
            else:
                element = token
                elements.setdefault(element, {})
        return RichRule(text, int(elements["rule"].get("priority", "0")), elements)
    except ValueError:
        # Nothing that firewalld accepts; it may do anything, from the beginning.
        return RichRule(text, _FIRST_PRIORITY, {})


def operand_of(attributes: Mapping[str, str]) -> str:
    """Return the source or destination of an element, such as C(ipset:NAME)."""
    if "ipset" in attributes:
        return f"ipset:{attributes['ipset']}"
    return attributes.get("address", attributes.get("mac", ""))


def port_of(attributes: Mapping[str, str]) -> str:
    """Return the port of an element, such as C(22/tcp)."""
    return f"{attributes.get('port', '')}/{attributes.get('protocol', '')}"
