# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates single values that a node returned. Pure functions.

Each raises ValueError, whose text names the key and holds nothing that the node returned.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

LINE = 500
"""The most characters of a text that people read."""
NAME = 255
PORT_MAX = 65535
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
# Of a structure that is cleaned as a whole.
_DEPTH = 16
_VALUES = 200_000
_TEXT = 100_000
_INTEGER = 2**64


def clean(text: str) -> str:
    """Replace characters that a terminal or an XML parser would interpret.

    These are control characters, among them line breaks, lone surrogates, and those that change the
    direction of the text.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def clean_lines(text: str) -> str:
    """Return a text of several lines with each line cleaned. A tab stays."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(clean, line.split("\t"))) for line in lines)


def line(value: Any, key: str, longest: int = LINE) -> str:
    """Return a text that people read as one clean line, cut if it is too long."""
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    found = clean(" ".join(value[: 2 * longest].split()))
    return found if len(found) <= longest else f"{found[: longest - 3]}..."


def name(value: Any, key: str, longest: int = NAME) -> str:
    """Return a text that names something, which counts only as a whole."""
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise ValueError(f"{key} is not a printable text of at most {longest} characters")
    return value


def word(value: Any, key: str, known: Collection[str]) -> str:
    """Return one of the known words."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{key} is not one of: {', '.join(known)}")
    return value


def boolean(value: Any, key: str) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise ValueError(f"{key} is not a boolean")
    return value


def integer(value: Any, key: str, least: int, most: int) -> int:
    """Return an integer within a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{key} is not an integer from {least} to {most}")
    return value


def number(value: Any, key: str, least: float, most: float) -> float:
    """Return a finite number within a range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"{key} is not a number from {least:.0f} to {most:.0f}")
    return float(value)


def port(value: Any, key: str) -> int:
    """Return a port number."""
    return integer(value, key, 1, PORT_MAX)


def address(value: Any, key: str) -> str:
    """Return the text of an IP address without a zone."""
    try:
        # It takes numbers as well.
        ipaddress.ip_address(value if isinstance(value, str) and "%" not in value else "")
    except ValueError:
        raise ValueError(f"{key} is not an IP address") from None
    return str(value)


def network(value: Any, key: str) -> str:
    """Return the text of an IP network or address."""
    try:
        ipaddress.ip_network(value if isinstance(value, str) and "%" not in value else "", False)
    except ValueError:
        raise ValueError(f"{key} is not an IP network") from None
    return str(value)


def mac(value: Any, key: str) -> str:
    """Return a MAC address."""
    if not isinstance(value, str) or not _MAC.fullmatch(value.lower()):
        raise ValueError(f"{key} is not a MAC address")
    return value.lower()


def items(data: Mapping[str, Any], key: str, most: int) -> list[Any]:
    """Return the list of that key."""
    value = data.get(key)
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise ValueError(f"{key} is not a list of at most {most} entries")
    return list(value)


def mappings(data: Mapping[str, Any], key: str, most: int) -> list[Mapping[str, Any]]:
    """Return the list of dictionaries of that key."""
    found = items(data, key, most)
    if not all(isinstance(one, Mapping) for one in found):
        raise ValueError(f"{key} has an entry that is not a dictionary")
    return found


def mapping(data: Mapping[str, Any], key: str, most: int) -> dict[str, Any]:
    """Return the dictionary of that key."""
    value = data.get(key)
    if not isinstance(value, Mapping) or len(value) > most:
        raise ValueError(f"{key} is not a dictionary of at most {most} keys")
    if not all(isinstance(one, str) for one in value):
        raise ValueError(f"{key} has a key that is not a text")
    return dict(value)


def tidy(value: Any, key: str) -> Any:
    """Return a structure of any form with clean texts and finite numbers, if it is not too large.

    Who uses it validates the types.
    """
    left = [_VALUES]

    def tidied(one: Any, depth: int) -> Any:
        left[0] -= 1
        if depth > _DEPTH or left[0] < 0:
            raise ValueError(f"{key} is too large or too deeply nested")
        if isinstance(one, str):
            return clean_lines(one[:_TEXT])
        if one is None or isinstance(one, bool):
            return one
        if isinstance(one, int):
            return one if abs(one) < _INTEGER else None
        if isinstance(one, float):
            return one if math.isfinite(one) else None
        if isinstance(one, Mapping):
            return {
                clean(str(name_)[:NAME]): tidied(inner, depth + 1) for name_, inner in one.items()
            }
        if isinstance(one, (list, tuple)):
            return [tidied(inner, depth + 1) for inner in one]
        return None

    return tidied(value, 0)
