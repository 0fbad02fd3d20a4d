# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cuts the settings of a few keys out of a K3s configuration file. Pure functions.

The files hold tokens, so that only these blocks may leave the node; the controller parses them as
YAML. A file is cut only if each of its lines shows by itself what it belongs to. Anything else is
unreadable, with a reason that quotes nothing of the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

# What YAML takes for a line break or refuses, besides the line feed.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_TOP = re.compile(r"""(?P<key>[\w./-]+\+?|"[\w./-]+\+?"|'[\w./-]+\+?') *:(?= |$)""", re.ASCII)
_DASH_OR_KEY = re.compile(
    r"""-(?: +|$)|(?:[^\s"'\[\]{}#&*!|>%@`,?:-][^"'\[\]{}#:]*|"[^"\\]*"|'[^']*'):(?: +|$)"""
)
# In the middle of what looks like a plain value, such a mark may begin another one.
_LATER = re.compile(r"""(?:: |- |\? ) *["'\[{!]""")
_BLOCK_SCALAR = re.compile(r"(?:^|- |: ) *[|>]")
_ITEM = re.compile(r" *-(?: +|$)(?P<value>.*)")
_KEY_IN_PLAIN = re.compile(r"""[^"'\[].*:(?: |$)""")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_MOST_CHARACTERS = 4096


class UnreadableError(Exception):
    """A file cannot be cut safely; the text says why."""


class Block(NamedTuple):
    """One of the keys with its value, as valid YAML without comments."""

    key: str
    append: bool
    """Whether the key ends with C(+), so that it adds to what was set before."""
    text: str
    """C(value: VALUE), in several lines if VALUE is a list."""


def cut(text: str, keys: Collection[str]) -> list[Block]:
    """Return the blocks of these keys, in the order of the file. Raises UnreadableError."""
    text = text.replace("\r\n", "\n")
    if _ODD.search(text):
        raise UnreadableError("it has control characters or a byte order mark")
    blocks: list[tuple[str, list[str]]] = []
    started = False
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip(" ").startswith("#"):
            continue
        if not line.strip(" "):
            if blocks:
                blocks[-1][1].append("")
            continue
        if not started and re.fullmatch(r"--- *(#.*)?", line):
            started = True
            continue
        started = True
        try:
            line = _checked(line)
        except UnreadableError as error:
            raise UnreadableError(f"line {number} {error}") from error
        top = _TOP.match(line)
        if top is not None:
            blocks.append((top["key"].strip("\"'"), [line[top.end() :]]))
        elif blocks and (line.startswith((" ", "- ")) or line == "-"):
            blocks[-1][1].append(line)
        else:
            raise UnreadableError(f"line {number} is not 'key: value'")
    return [
        Block(key.rstrip("+"), key.endswith("+"), _value(key, lines))
        for key, lines in blocks
        if key.rstrip("+") in keys
    ]


def _checked(line: str) -> str:
    """Return a line without its comment. Raises UnreadableError if it needs other lines."""
    if line.startswith(("---", "...", "%")):
        raise UnreadableError("begins another document or a directive")
    start = _start_of_value(line)
    rest = line[start:]
    if rest[:1] in ("&", "*"):
        raise UnreadableError("has an anchor or an alias")
    end = 0
    if rest[:1] in ('"', "'"):
        quoted = _QUOTED.match(rest)
        end = quoted.end() if quoted else -1
    elif rest[:1] in ("[", "{"):
        end = _end_of_flow(rest)
    elif rest[:1] in ("!", "?"):
        raise UnreadableError("has a tag or a complex key")
    behind = rest[end:] if end >= 0 else ""
    comment = re.search(r" #" if end else r"(?:^| )#", behind)
    behind = (behind[: comment.start()] if comment else behind).rstrip(" ")
    if end < 0 or (end and behind) or _LATER.search(behind):
        raise UnreadableError("has a quote or a bracket that is not closed on that line")
    checked = line[: start + end] + behind
    if "\t" in checked:
        raise UnreadableError("has a tab")
    return checked


def _start_of_value(line: str) -> int:
    """Return where the value in a line begins, behind dashes and keys."""
    start = 0
    while True:
        start += len(line[start:]) - len(line[start:].lstrip(" "))
        found = _DASH_OR_KEY.match(line, start)
        if found is None:
            return start
        start = found.end()


def _end_of_flow(text: str) -> int:
    """Return where the bracket at the beginning is closed, -1 if that is not on this line."""
    depth = at = 0
    # Whether a value may begin here: within a plain one, a quote is a letter like any other.
    fresh = True
    while at < len(text):
        character = text[at]
        if character in "\"'" and fresh:
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                return -1
            # A colon that follows needs no space.
            at, fresh = quoted.end(), False
            if text[at : at + 1] == ":":
                at, fresh = at + 1, True
            continue
        if fresh and character in "&*!":
            return -1
        if character == "#" and (fresh or text[at - 1] == " "):
            return -1
        if character in "\"'" and text[at - 1] == ":":
            return -1
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
        if character in "[{," or (character == ":" and text[at + 1 : at + 2] in ("", " ")):
            fresh = True
        elif character != " ":
            fresh = False
        at += 1
        if depth == 0:
            return at
    return -1


def _has_keys(value: str) -> bool:
    return (
        value.startswith("{")
        or _start_of_value(value) > 0
        or _KEY_IN_PLAIN.match(value) is not None
    )


def _value(key: str, lines: list[str]) -> str:
    if any(_BLOCK_SCALAR.search(line) for line in lines):
        raise UnreadableError(f"the value of {key} is a block of text")
    first, *others = lines
    items = [_ITEM.match(line) for line in others if line]
    values = [first.strip(" "), *(item["value"] for item in items if item)]
    # After a wrong indentation, another key with its token looks like a part of this value.
    if not all(items) or (items and values[0]) or any(map(_has_keys, values)):
        raise UnreadableError(f"the value of {key} is neither one line nor a list of such values")
    text = "\n".join([f"value:{first}", *others]).rstrip("\n")
    if len(text) > _MOST_CHARACTERS:
        raise UnreadableError(f"the value of {key} has more than {_MOST_CHARACTERS} characters")
    return text
