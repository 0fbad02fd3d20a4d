# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the keys of K3s's configuration that matter here, without a library for YAML. Pure.

The nodes have none. What is not read here is refused, never guessed, and no other key is quoted:
the files hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional

from .settings import (
    ALIASES,
    KEYS,
    OFF,
    K3sConfigError,
    Setting,
    address_of,
    setting_of,
)

_BREAKS = "\r\x85\u2028\u2029"
_INDICATORS = ",[]{}#&*!|>'\"%@`"
_KEY = re.compile(r"(?P<key>.+?) *:(?=[ \t]|$)")
_QUOTED = re.compile(r"'(?P<single>(?:[^']|'')*)'|\"(?P<double>[^\"\\]*)\"")
_FLOW_ITEM = re.compile(
    r" *(?P<item>'(?:[^']|'')*'|\"[^\"\\]*\"|[^\s'\",\[\]{}][^,\[\]{}]*?) *(?:,|(?=\]))"
)
_BLOCK_HEADER = re.compile(r"[|>][+-]? *(?: #.*)?")
_NULL = ("~", "null", "Null", "NULL")
# More than YAML takes for something else than text, in any of its versions; quoted, it is text.
_NO_TEXT = re.compile(
    r"(?i:y|n|yes|no|true|false|on|off|=|<<|[-+]?\.(?:inf|nan)|[-+]?\.?[0-9][-+0-9a-f_.:xotz ]*)"
)
# Escapes may spell anything.
_MENTIONED = re.compile(
    rf"{'|'.join(KEYS)}|\\|(?:^|[\s{{,?'\"])[id]\+?['\"]?\s*(?:[:,}}#]|$)", re.MULTILINE
)
_BASE_60 = re.compile(r"[0-9]+(?::[0-9]+)+")


def settings_of_yaml(source: str, text: str) -> list[Setting]:
    """Return what a file of K3s' sets of KEYS, at its top level.

    Raises K3sConfigError for what it can't read with certainty; the text quotes nothing but keys
    of ours, since the files hold secrets.
    """
    # A file without any of them is not looked at any closer.
    if not _MENTIONED.search(text):
        return []
    return list(_Document(source, text).settings())


class _Document:
    """The first document of a YAML text, as far as it is needed to find top-level keys."""

    def __init__(self, source: str, text: str) -> None:
        self._source = source
        self._lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
        self._at = 0
        self._started = False
        for number, line in enumerate(self._lines):
            if set(line) & set(_BREAKS):
                raise self._error("a line break of another kind", number)

    def settings(self) -> Iterator[Setting]:
        """Yield what is set, in the order of the text."""
        indent: Optional[int] = None
        while self._find_line():
            column = self._indent()
            indent = column if indent is None else indent
            if column < indent:
                raise self._error("an indentation that fits nothing before it")
            if column > indent or _is_entry(self._line[column:]):
                self._skip(column)
                continue
            key, behind = self._key(column)
            name = key.removesuffix("+")
            canonical = ALIASES.get(name, name)
            if canonical in KEYS:
                values = self._values(canonical, behind, indent)
                # K3s turns both names into flags, and the flags add up.
                append = name != key or name != canonical
                yield setting_of(self._source, canonical, values, append)
            elif name == "<<":
                raise self._error("a merge key")
            else:
                self._skip(behind, indent)

    @property
    def _line(self) -> str:
        return self._lines[self._at]

    def _indent(self) -> int:
        return len(self._line) - len(self._line.lstrip(" "))

    def _error(self, what: str, number: Optional[int] = None) -> K3sConfigError:
        at = self._at if number is None else number
        return K3sConfigError(
            f"{self._source}, line {at + 1}: {what} can't be read here; write every key on a line "
            f"of its own, as key: value, or set {OFF}"
        )

    def _find_line(self) -> bool:
        """Go to the next line that holds something; return False at the end of the document."""
        while self._at < len(self._lines):
            line = self._line
            marker = line[:3] if line[3:4].strip(" \t") == "" else ""
            if marker == "---" and not self._started:
                if line[3:].strip(" \t")[:1] not in ("", "#"):
                    raise self._error("what follows ---")
                self._started = True
            elif marker in ("---", "..."):
                if not self._started:
                    raise self._error("an end without a beginning")
                self._at = len(self._lines)
                return False
            elif line.strip(" \t")[:1] not in ("", "#"):
                self._started = True
                return True
            self._at += 1
        return False

    def _key(self, column: int) -> tuple[str, int]:
        """Return the key that is in the line at a column, and the column behind its colon."""
        rest = self._line[column:]
        if rest[0] in "'\"":
            quoted = _QUOTED.match(rest)
            colon = re.match(r" *:(?=[ \t]|$)", rest[quoted.end() :]) if quoted else None
            if quoted is None or colon is None:
                raise self._error("a key like this")
            return _unquoted(quoted), column + quoted.end() + colon.end()
        plain = _KEY.match(_uncommented(rest))
        if plain is None or not _is_plain(rest) or "\t" in plain["key"]:
            raise self._error("what is no plain key with its value")
        return plain["key"], column + plain.end()

    # Keys that are asked for: one way of reading them, or none

    def _values(self, key: str, column: int, indent: int) -> list[str]:
        rest = self._line[column:].strip(" ")
        if "\t" in rest:
            raise self._error(f"a tab in {key}")
        if rest[:1] in ("", "#"):
            self._at += 1
            values = self._entries(key, indent) or [""]
        else:
            values = self._flow_list(key, rest) if rest[0] == "[" else [self._scalar(key, rest)]
            self._at += 1
        if self._find_line() and self._indent() > indent:
            raise self._error(f"a value of {key} that goes on here")
        return values

    def _entries(self, key: str, indent: int) -> list[str]:
        values: list[str] = []
        column: Optional[int] = None
        while self._find_line() and self._indent() >= indent:
            rest = self._line.strip(" ")
            if not _is_entry(rest):
                break
            column = self._indent() if column is None else column
            if self._indent() != column or "\t" in rest:
                raise self._error(f"a list of {key} like this")
            item = rest[1:].strip(" ")
            values.append("" if item[:1] in ("", "#") else self._scalar(key, item))
            self._at += 1
        return values

    def _flow_list(self, key: str, rest: str) -> list[str]:
        values: list[str] = []
        at = 1
        while not rest[at:].lstrip(" ").startswith("]"):
            item = _FLOW_ITEM.match(rest, at)
            if item is None or _is_odd_in_flow(item["item"]):
                raise self._error(f"a list of {key} like this")
            values.append(self._scalar(key, item["item"]))
            at = item.end()
        if _uncommented(rest[rest.index("]", at) + 1 :]).strip(" "):
            raise self._error(f"what follows the list of {key}")
        return values

    def _scalar(self, key: str, rest: str) -> str:
        quoted = _QUOTED.match(rest)
        if quoted is not None:
            if _uncommented(rest[quoted.end() :]).strip(" "):
                raise self._error(f"what follows the value of {key}")
            return _unquoted(quoted)
        value = _uncommented(rest).rstrip(" ")
        if value in _NULL:
            return ""
        if not _is_plain(value) or _KEY.match(value):
            raise self._error(f"a value of {key} like this")
        addresses = all(map(address_of, value.split(",")))
        if _BASE_60.fullmatch(value) or (_NO_TEXT.fullmatch(value) and not addresses):
            raise self._error(f"a value of {key} that is no text without quotes")
        return value

    # All else: only where it ends

    def _skip(self, column: int, parent: Optional[int] = None) -> None:
        """Go to the line behind what begins at a column of this one.

        C(parent) is the column of the key or the dash that it belongs to, None where that is in
        another line.
        """
        while True:
            rest = self._line[column:].lstrip(" \t")
            column = len(self._line) - len(rest)
            if rest[:1] in ("", "#"):
                self._at += 1
                return
            if _is_entry(rest):
                parent, column = column, column + 1
            elif rest[0] in "[{":
                self._finish(self._end_of_flow(column))
                return
            elif rest[0] in "'\"":
                opened, behind = self._at, self._end_of_quoted(column)
                colon = re.match(r" *:(?=[ \t]|$)", self._line[behind:])
                if colon is None or self._at != opened:
                    self._finish(behind)
                    return
                parent, column = column, behind + colon.end()
            elif rest[0] in "|>" and parent is not None:
                self._skip_block(rest, parent)
                return
            elif not _is_plain(rest):
                raise self._error("what begins like this")
            else:
                key = _KEY.match(_uncommented(rest))
                if key is None:
                    self._skip_plain(parent)
                    return
                parent, column = column, column + key.end()

    def _finish(self, column: int) -> None:
        if _uncommented(self._line[column:]).strip(" \t"):
            raise self._error("what follows a value")
        self._at += 1

    def _skip_plain(self, parent: Optional[int]) -> None:
        if parent is None:
            raise self._error("a value in a line of its own")
        self._at += 1
        while self._find_line() and self._indent() > parent:
            self._at += 1

    def _skip_block(self, header: str, parent: int) -> None:
        if not _BLOCK_HEADER.fullmatch(header):
            raise self._error("a block like this")
        self._at += 1
        content: Optional[int] = None
        while self._at < len(self._lines):
            if self._line.strip(" "):
                content = self._indent() if content is None else content
                if self._indent() < content or content <= parent:
                    return
            self._at += 1

    def _end_of_quoted(self, column: int) -> int:
        opened, quote = self._at, self._line[column]
        column += 1
        while self._at < len(self._lines):
            line = self._line
            while column < len(line):
                doubled = quote == "'" and line.startswith("''", column)
                if doubled or (quote == '"' and line[column] == "\\"):
                    column += 2
                elif line[column] == quote:
                    return column + 1
                else:
                    column += 1
            self._at, column = self._at + 1, 0
        raise self._error("a quote that nothing closes", opened)

    def _end_of_flow(self, column: int) -> int:
        opened, depth, plain = self._at, 0, False
        while self._at < len(self._lines):
            line = self._line
            character = line[column : column + 1]
            comment = character == "#" and (not plain or line[:column][-1:] in ("", " ", "\t"))
            if comment or not character:
                self._at, column, plain = self._at + 1, 0, plain and not comment
                continue
            if not plain and character in "'\"":
                column = self._end_of_quoted(column)
                continue
            if character == "?" or (not plain and character in "&*!|>%@`"):
                raise self._error("what begins like this")
            column += 1
            if character in ",[]{}":
                plain = False
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
                if depth == 0:
                    return column
            elif character == ":":
                plain = plain and line[column : column + 1] not in ("", *" \t,[]{}")
            elif character not in " \t":
                plain = True
        raise self._error("a bracket that nothing closes", opened)


def _is_entry(text: str) -> bool:
    return text[:1] == "-" and text[1:2] in ("", " ")


def _is_plain(text: str) -> bool:
    return text[0] not in _INDICATORS and (text[0] not in "-?:" or text[1:2].strip() != "")


def _is_odd_in_flow(item: str) -> bool:
    """Tell whether an item's meaning depends on how strictly YAML is read."""
    plain = item[0] not in "'\""
    return plain and ("?" in item or " #" in item or item[0] == ":" or item[-1] == ":")


def _uncommented(text: str) -> str:
    return re.split(r"(?:^|[ \t])#", text, maxsplit=1)[0]


def _unquoted(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return match["double"]
    return match["single"].replace("''", "'")
