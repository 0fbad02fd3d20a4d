# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.output import cleaned
from hypothesis import given
from hypothesis import strategies as st

# Lone surrogates, control characters and backslashes in any neighbourhood.
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from('\\\x1b\x9b\u202e\ud800\udc00"u01b/')))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)),
)


def each(value):
    """Yield the texts of a structure."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from each(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from each(inner)


def expected(text):
    return "".join(c if c.isprintable() or c in "\n\r\t" else "?" for c in text)


@given(VALUES, st.booleans())
def test_json_stays_json_and_has_no_control_character(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    parsed = json.loads(cleaned(text))
    if ascii_only:
        # A pair of lone surrogates is one character in JSON.
        value = json.loads(text)
    found, wanted = list(each(parsed)), list(map(expected, each(value)))
    # Keys that are the same once they are clean are one.
    assert set(found) <= set(wanted)
    if len(found) == len(wanted):
        assert found == wanted


@given(TEXTS)
def test_any_output_is_clean(text):
    assert cleaned(text).replace("\n", "").replace("\r", "").replace("\t", "").isprintable()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "line\\nnext\\t\\"x\\" \\\\u001b C:\\\\u202e"}',
        "Gerät ✓ 😀\r\n",
        '"\\ud83d\\ude00 \\u00e9"',
    ],
)
def test_text_that_is_sound_stays(text):
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\x1b]0;owned\x07{", "?]0;owned?{"),
        ('"\\u001b[31m\\u009b"', '"?[31m?"'),
        ('"\\ud800"', '"?"'),
        ('"\\u0041\\udc00"', '"\\u0041?"'),
        ('"\\u202e"', '"?"'),
        ('"\\b\\f"', '"??"'),
        ("tail\\", "tail\\"),
        ("\\\x1b[31m", "\\?[31m"),
    ],
)
def test_characters_for_a_terminal_are_replaced(text, found):
    assert cleaned(text) == found
