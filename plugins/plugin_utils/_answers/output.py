# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleans what a node prints, before Ansible parses it. Pure functions.

Ansible itself prints parts of a module's result while it parses it: keys that it removes, what
stands before and after the JSON, and with ansible-core 2.21 the warnings.
"""

from __future__ import annotations

import re

_REPLACEMENT = "?"
_KEPT = "\n\r\t"
# Backspace and form feed.
_SHORT = ("\\b", "\\f")
# An escape of JSON as a whole, so that a backslash that is escaped itself begins none.
_SUSPECT = re.compile(
    r"\\(?:u(?P<first>[0-9a-fA-F]{4})(?:\\u(?P<second>[dD][c-fC-F][0-9a-fA-F]{2}))?|.)"
    r"|[^\x20-\x7e\n\r\t]",
    re.DOTALL,
)


def cleaned(text: str) -> str:
    """Replace characters that a terminal would interpret, as they are or as escapes of JSON.

    Lone surrogates count among them. What was JSON still is.
    """
    return _SUSPECT.sub(_replace, text)


def _replace(match: re.Match[str]) -> str:
    first, second = match["first"], match["second"]
    if match[0] in _SHORT:
        return _REPLACEMENT
    if first is None:
        # The last character of another escape of JSON, or the only one.
        return match[0][:-1] + _kept(match[0][-1], match[0][-1])
    if second is None:
        return _kept(chr(int(first, 16)), match[0])
    high, low = int(first, 16), int(second, 16)
    if 0xD800 <= high < 0xDC00:
        return _kept(chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), match[0])
    return _kept(chr(high), f"\\u{first}") + _REPLACEMENT


def _kept(character: str, text: str) -> str:
    return text if character.isprintable() or character in _KEPT else _REPLACEMENT
