# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._wire import (
    answer,
    is_question,
    question,
    read_answer,
)
from hypothesis import given
from hypothesis import strategies as st

TOKENS = st.text("0123456789abcdef", min_size=32, max_size=32)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60)


@given(TOKENS, NAMES)
def test_an_answer_is_read_as_it_was_said(token, name):
    assert read_answer(answer(token, name), token) == name


@given(TOKENS, TOKENS, NAMES)
def test_an_answer_of_another_run_is_none(token, other, name):
    assert token == other or read_answer(answer(other, name), token) is None


@given(TOKENS, st.binary(max_size=80))
def test_what_others_say_is_no_answer_and_never_raises(token, data):
    assert read_answer(data, token) is None


@given(TOKENS, TOKENS)
def test_only_the_question_of_this_run_is_one(token, other):
    assert is_question(question(token), token)
    assert token == other or not is_question(question(other), token)


@pytest.mark.parametrize("data", [b"", b"token", b"token name", b"token\n", b"x token name\n"])
def test_a_part_of_an_answer_is_none(data):
    assert read_answer(data, "token") is None


def test_a_question_that_comes_back_is_no_answer():
    assert read_answer(question("token"), "token") is None
