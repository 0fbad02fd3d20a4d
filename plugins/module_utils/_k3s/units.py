# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads options of K3s from systemd units and their environment files. Pure functions.

Command lines hold tokens, so that only plain values of the options that are asked for are returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

ALIASES = {"i": "node-ip", "d": "data-dir", "c": "config"}
VARIABLES = {
    "K3S_CONFIG_FILE": "config",
    "K3S_DATA_DIR": "data-dir",
    "K3S_NODE_NAME": "node-name",
}
"""From the environment, of pkg/cli/cmds/agent.go and root.go of K3s."""
# Anything else is a variable, an escape, the next option or not a value of these options at all.
PLAIN = re.compile(r"[0-9A-Za-z/][0-9A-Za-z.:,/=@_-]{0,199}")


class Option(NamedTuple):
    """An option as a unit sets it; C(value) is None if it is not plain text."""

    source: str
    key: str
    value: Optional[str]


def options_of_unit(
    files: Sequence[tuple[str, str]], keys: Iterable[str]
) -> tuple[list[Option], str]:
    """Return what the command line of a unit sets, and why it is not readable, if so.

    C(files) holds the path and the text of the unit and of its drop-ins, in systemd's order.
    """
    command = ("", "")
    for path, name, value in _assignments(files):
        if name == "ExecStart":
            command = (path, value)
    source = f"the command line in {command[0]}"
    words = _words(command[1])
    start = next((at for at, word in enumerate(words) if word in ("server", "agent")), None)
    if start is None:
        # A script, say; K3s itself needs one of the two words.
        named = sorted(key for key in keys if f"-{key}" in command[1])
        return [], f"{source} sets {', '.join(named)} within a script" if named else ""
    found = []
    arguments = iter(words[start + 1 :])
    for argument in arguments:
        name, equals, value = argument.partition("=")
        key = name.lstrip("-")
        key = ALIASES.get(key, key)
        if not name.startswith("-"):
            continue
        # The word after --kubelet-arg and its like is an option of another program.
        if not equals and (key in keys or key.endswith("-arg")):
            value = next(arguments, "")
        if key in keys:
            found.append(_option(source, key, value))
    return found, ""


def environment_of_unit(files: Sequence[tuple[str, str]]) -> list[Option]:
    """Return what the variables in a unit set; C(files) is that of options_of_unit()."""
    found: list[Option] = []
    for path, name, value in _assignments(files):
        if name == "Environment":
            found = [*found, *_variables(path, _words(value))] if value else []
    return found


def environment_of_file(path: str, text: str) -> list[Option]:
    """Return what the variables in a unit's EnvironmentFile set."""
    return _variables(path, (" ".join(_words(line)) for line in text.splitlines()))


def _variables(path: str, assignments: Iterable[str]) -> list[Option]:
    found = []
    for assignment in assignments:
        variable, _equals, value = assignment.strip().partition("=")
        if variable in VARIABLES and value:
            found.append(_option(f"{variable} in {path}", VARIABLES[variable], value))
    return found


def _option(source: str, key: str, value: str) -> Option:
    return Option(source, key, value if PLAIN.fullmatch(value) else None)


def _assignments(files: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield path, name and value of what is in the section [Service]."""
    for path, text in files:
        section, logical = "", ""
        for line in text.splitlines():
            if line.lstrip()[:1] in ("#", ";"):
                # Even within a line that is continued, which goes on behind it.
                continue
            continued = len(line) - len(line.rstrip("\\")) & 1
            if continued:
                logical += f"{line[:-1]} "
                continue
            logical, stripped = "", (logical + line).strip()
            if stripped.startswith("["):
                section = stripped
            elif section == "[Service]" and "=" in stripped:
                name, _equals, value = stripped.partition("=")
                yield path, name.rstrip(), value.lstrip()


def _words(text: str) -> list[str]:
    """Split a line as systemd does. Escapes that stand for another character stay as they are."""
    words: list[str] = []
    word: Optional[str] = None
    quote = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            word = (word or "") + (escaped if escaped in " '\"\\" else f"\\{escaped}")
        elif character == quote:
            quote = ""
        elif quote or not (character.isspace() or character in "'\""):
            word = (word or "") + character
        elif character in "'\"":
            quote, word = character, word or ""
        elif word is not None:
            words.append(word)
            word = None
    return words if word is None else [*words, word]
