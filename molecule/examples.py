# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of the documentation: files and console sessions, in the order of a page.

A page is reStructuredText or Markdown. A file is a block of YAML with a name: the ``:caption:`` of
a code-block, or in Markdown the last name in back quotes before the block. A console block has
commands after ``$``, each followed by what it prints, abridged by ``...``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

_DIRECTIVE = re.compile(r"(?P<indent> *)\.\. code-block:: *(?P<language>\S*)$")
_LITERAL = re.compile(r"(?P<indent> *)(?!\.\. )\S?.*::$")
_OPTION = re.compile(r" +:(?P<name>[\w-]+): *(?P<value>.*)$")
_FENCE = re.compile(r"```(?P<language>\w*)$")
_NAME = re.compile(r"`([\w./-]+\.yml)`[^`]*$")
ABRIDGED = "..."


class ExampleError(Exception):
    """A block that is neither a file nor a console session."""


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """What the reader types, and the lines that are shown of its output."""

    line: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class _Block:
    where: str
    language: str
    name: str
    text: str


Example = Union[File, Command]


def examples(path: Path) -> list[Example]:
    """Return a page's examples. Raises ExampleError where a block is none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    blocks = _fenced(lines) if path.suffix == ".md" else _directives(lines)
    found: list[Example] = []
    for block in blocks:
        where = f"{path.name}:{block.where}"
        if block.language in ("yaml", "ini") and block.name:
            found.append(File(block.name, block.text))
        elif block.language in ("console", "sh") and block.text:
            found += _commands(block.text, where)
        else:
            raise ExampleError(
                f"{where}: a block in '{block.language}' without a file's name can't be tested"
            )
    return found


def missing(output: str, shown: tuple[str, ...]) -> str:
    """Return the first shown line that is not in the output, after those before it.

    White space is not compared, and ``...`` within a line stands for anything.
    """
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for line in shown:
        parts = [re.escape(" ".join(part.split())) for part in line.split(ABRIDGED)]
        wanted = re.compile(" ?.*".join(parts))
        if line.strip() != ABRIDGED and not any(map(wanted.fullmatch, lines)):
            return line
    return ""


def _commands(text: str, where: str) -> list[Example]:
    commands: list[Example] = []
    # A line that ends in a backslash goes on.
    for part in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        line, _newline, output = part.partition("\n")
        commands.append(Command(line, tuple(filter(str.strip, output.splitlines()))))
    if not text.startswith("$ "):
        raise ExampleError(f"{where}: a console block begins with '$ '")
    return commands


def _directives(lines: list[str]) -> Iterator[_Block]:
    for number, line in enumerate(lines):
        match = _DIRECTIVE.match(line)
        if match is None:
            if _LITERAL.match(line):
                yield _Block(str(number + 1), "", "", "")
            continue
        body = _indented(lines[number + 1 :], len(match["indent"]))
        options = {}
        while body and (option := _OPTION.match(body[0])):
            options[option["name"]] = option["value"]
            body.pop(0)
        yield _Block(str(number + 1), match["language"], options.get("caption", ""), _text(body))


def _indented(lines: list[str], indent: int) -> list[str]:
    found = []
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        found.append(line)
    return found


def _text(lines: list[str]) -> str:
    filled = [line for line in lines if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    return "\n".join(line[indent:] for line in lines).strip("\n") + "\n"


def _fenced(lines: list[str]) -> Iterator[_Block]:
    begin, language, name = -1, "", ""
    for number, line in enumerate(lines):
        if begin < 0 and line.startswith("```"):
            match = _FENCE.match(line)
            begin, language = number, match["language"] if match else ""
            name = _named(lines[:number])
        elif begin >= 0 and line == "```":
            text = "\n".join(lines[begin + 1 : number]) + "\n"
            yield _Block(str(begin + 1), language, name if language == "yaml" else "", text)
            begin = -1


def _named(before: list[str]) -> str:
    """Return the file's name that the paragraph before a block ends with."""
    text = next((line for line in reversed(before) if line.strip()), "")
    match = _NAME.search(text)
    return match[1] if match and text.endswith(":") else ""
