# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.wire import (
    ANSWER_MAX,
    Speaker,
    answer,
    is_stale,
    question,
    read_answer,
    read_reply,
    reply,
)
from hypothesis import given
from hypothesis import strategies as st

TOKENS = st.text("0123456789abcdef", min_size=32, max_size=32)
NONCES = st.text("0123456789abcdef", min_size=16, max_size=16)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60)
PORTS = st.integers(1, 65535)
SIZES = st.integers(ANSWER_MAX, 9000)


# TCP


@given(TOKENS, PORTS, NAMES)
def test_an_answer_is_read_as_it_was_said(token, port, name):
    assert read_answer(answer(token, port, name), token) == Speaker(port, name)


@given(TOKENS, TOKENS, NAMES)
def test_an_answer_of_another_run_is_none(token, other, name):
    assert token == other or read_answer(answer(other, 80, name), token) is None


@given(TOKENS, st.binary(max_size=80))
def test_what_others_say_is_no_answer_and_never_raises(token, data):
    assert read_answer(data, token) is None


@pytest.mark.parametrize(
    "data", [b"", b"token", b"token 80 name", b"token\n", b"token name\n", b"x 80 name\n"]
)
def test_a_part_of_an_answer_is_none(data):
    assert read_answer(data, "token") is None


# UDP


@given(TOKENS, NONCES, PORTS, NAMES, SIZES)
def test_a_question_is_answered_in_as_many_bytes(token, nonce, port, name, size):
    asked = question(token, nonce, size)
    answered = reply(asked, token, port, name)
    assert len(asked) == len(answered) == size
    assert read_reply(answered, asked) == Speaker(port, name)


@given(TOKENS, TOKENS, NONCES, NAMES)
def test_only_a_question_of_this_run_is_answered(token, other, nonce, name):
    assert token == other or reply(question(other, nonce), token, 80, name) is None


@given(TOKENS, st.binary(max_size=80))
def test_what_others_send_is_not_answered_and_never_raises(token, data):
    assert reply(data, token, 80, "server1") is None
    assert reply(f"{token}\n".encode() + data, token, 80, "server1") is None


def test_an_answer_never_is_longer_than_the_question():
    assert reply(b"token ask 00\n", "token", 80, "a-name-of-some-length") is None


@given(TOKENS, NONCES, NAMES)
def test_a_question_that_comes_back_is_no_answer(token, nonce, name):
    asked = question(token, nonce)
    assert read_reply(asked, asked) is None
    assert not is_stale(asked, asked)


@given(TOKENS, NONCES, NONCES, NAMES)
def test_an_answer_to_another_question_is_stale(token, nonce, other, name):
    asked = question(token, nonce)
    late = reply(question(token, other), token, 80, name)
    assert nonce == other or (read_reply(late, asked) is None and is_stale(late, asked))


@given(TOKENS, NONCES, NAMES)
def test_an_answer_of_another_size_is_none(token, nonce, name):
    asked = question(token, nonce, 1000)
    assert read_reply(reply(question(token, nonce, 999), token, 80, name), asked) is None
    assert read_reply(reply(asked, token, 80, name)[:-1] + b"x", asked) is None


@given(TOKENS, NONCES, st.binary(max_size=80))
def test_what_others_answer_is_none_and_never_raises(token, nonce, data):
    asked = question(token, nonce)
    assert read_reply(data, asked) is None
    assert not is_stale(data, asked)
