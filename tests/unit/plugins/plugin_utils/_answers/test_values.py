# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import values
from ansible_collections.edgeops.k3s_network.tests.unit.support.lies import (
    ESCAPES,
    LIES,
    assert_clean,
    nested,
)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x1b[31m\x00b\nü", "a?[31m?b?ü"),
        ("\ud800\u202e\u2028\ufffe\x9b", "?????"),
        ("plain", "plain"),
    ],
)
def test_clean_replaces_what_terminals_interpret(text, cleaned):
    assert values.clean(text) == cleaned


def test_clean_lines_keeps_lines_and_tabs():
    assert values.clean_lines("a\tb\r\n\x1bc\rd\n") == "a\tb\n?c?d\n"


def test_line_is_one_clean_line_of_limited_length():
    assert values.line(" a\n\x1b b ", "key") == "a ? b"
    long = values.line("x" * 10_000_000, "key", 10)
    assert long == "xxxxxxx..."
    assert values.line(long, "key", 10) == long
    assert_clean(values.line(ESCAPES, "key"))


@pytest.mark.parametrize(
    ("function", "arguments", "sound"),
    [
        (values.line, (), "text"),
        (values.name, (5,), "name"),
        (values.word, (("tcp", "udp"),), "tcp"),
        (values.boolean, (), True),
        (values.integer, (1, 9), 9),
        (values.number, (0, 9), 0.5),
        (values.port, (), 65535),
        (values.address, (), "2001:db8::1"),
        (values.network, (), "192.0.2.1/24"),
        (values.mac, (), "02:00:00:00:00:01"),
    ],
)
def test_value_is_accepted_or_named(function, arguments, sound):
    assert function(sound, "key", *arguments) == sound
    refused = 0
    for lie in LIES:
        try:
            assert_clean(function(lie, "key", *arguments))
        except ValueError as error:
            refused += 1
            assert str(error).startswith("key is not ")
            assert str(error).isprintable() and len(str(error)) < 200
    assert refused > len(LIES) / 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 10, True, "1"])
def test_number_is_finite_and_in_its_range(value):
    with pytest.raises(ValueError, match="key is not a number from 0 to 9"):
        values.number(value, "key", 0, 9)


def test_lists_and_mappings_have_limits():
    data = {"key": [{}, {}], "map": {"a": 1}, "bad": {1: 1}}
    assert values.items(data, "key", 2) == [{}, {}]
    assert values.mappings(data, "key", 2) == [{}, {}]
    assert values.mapping(data, "map", 1) == {"a": 1}
    for function, key, most, named in (
        (values.items, "key", 1, "at most 1 entries"),
        (values.items, "map", 9, "not a list"),
        (values.items, "absent", 9, "not a list"),
        (values.mappings, "absent", 9, "not a list"),
        (values.mapping, "map", 0, "at most 0 keys"),
        (values.mapping, "bad", 9, "a key that is not a text"),
        (values.mapping, "key", 9, "not a dictionary"),
    ):
        with pytest.raises(ValueError, match=f"{key} .*{named}"):
            function(data, key, most)
    with pytest.raises(ValueError, match="not a dictionary"):
        values.mappings({"key": [7]}, "key", 9)


def test_tidy_returns_clean_values_of_any_form():
    given = {ESCAPES: [ESCAPES, math.nan, 1.5, 10**400, True, None, object()], 7: "a\nb"}
    found = values.tidy(given, "key")
    assert_clean(found)
    (texts,) = (one for one in found.values() if isinstance(one, list))
    assert texts[1:] == [None, 1.5, None, True, None, None]
    assert found["7"] == "a\nb"
    assert values.tidy(found, "key") == found


@pytest.mark.parametrize("given", [nested(5000), ["x"] * 300_000])
def test_tidy_refuses_what_is_too_large(given):
    with pytest.raises(ValueError, match="key is too large or too deeply nested"):
        values.tidy(given, "key")
