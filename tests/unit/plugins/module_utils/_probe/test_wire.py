# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import hmac

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.wire import (
    ANSWER_MAX,
    QUESTION_BYTES,
    Messages,
    Speaker,
    nonce,
)
from hypothesis import given
from hypothesis import strategies as st

TOKENS = st.text("0123456789abcdef", min_size=32, max_size=32)
NONCES = st.binary(min_size=16, max_size=16)
NAMES = st.text(st.characters(codec="utf-8"), max_size=60)
PORTS = st.integers(1, 65535)
SIZES = st.integers(ANSWER_MAX, 9000)
PROTOCOLS = st.sampled_from(["tcp", "udp"])

TOKEN = "0123456789abcdef0123456789abcdef"
RUN = Messages(TOKEN)
NONCE = bytes(range(16))
QUESTION = {
    "tcp": RUN.question("tcp", 6443, NONCE),
    "udp": RUN.question("udp", 6443, NONCE, ANSWER_MAX),
}


def answered(protocol="udp", port=6443, name="server1", witness=False):
    return RUN.answer(QUESTION[protocol], protocol, port, name, witness)


# Answers


@given(TOKENS, NONCES, PORTS, PORTS, NAMES, st.booleans(), SIZES)
def test_udp_answer_has_the_size_of_the_question(token, nonce, asked, port, name, witness, size):
    run = Messages(token)
    question = run.question("udp", asked, nonce, size)
    answer = run.answer(question, "udp", port, name, witness)
    assert len(question) == len(answer) == size
    assert run.read_answer(answer, question) == Speaker(port, name, witness)


@given(TOKENS, NONCES, PORTS, PORTS, NAMES)
def test_tcp_answer_is_read(token, nonce, asked, port, name):
    run = Messages(token)
    question = run.question("tcp", asked, nonce)
    answer = run.answer(question, "tcp", port, name)
    assert (len(question), len(answer) <= ANSWER_MAX) == (QUESTION_BYTES, True)
    assert run.read_answer(answer, question) == Speaker(port, name)


def test_messages_have_the_macs_that_they_promise():
    """Compute both MACs from the standard, apart from the code that is tested."""

    def mac(*parts):
        return hmac.new(TOKEN.encode(), b"".join(parts), hashlib.sha256).digest()[:16]

    head = mac(b"tag")[:8] + b"Qu" + (6443).to_bytes(2, "big") + NONCE
    question = QUESTION["udp"]
    assert question[:44] == head + mac(b"question", head, (512).to_bytes(4, "big"))
    said = mac(b"tag")[:8] + b"Au" + (9501).to_bytes(2, "big") + b"\1\0\7server1"
    answer = said + mac(b"answer", head, (512).to_bytes(4, "big"), said)
    assert answered(port=9501, witness=True) == answer.ljust(512, b"\0")


# What proves nothing


@given(TOKENS, TOKENS, PROTOCOLS)
def test_answer_of_another_run_is_none(token, other, protocol):
    run, stranger = Messages(token), Messages(other)
    question = run.question(protocol, 80, NONCE, ANSWER_MAX)
    answer = stranger.answer(stranger.question(protocol, 80, NONCE, ANSWER_MAX), protocol, 80, "s")
    assert token == other or run.read_answer(answer, question) is None
    assert token == other or not run.is_of_this_run(answer)


@given(NONCES, PROTOCOLS)
def test_answer_to_another_nonce_is_none(other, protocol):
    size = len(QUESTION[protocol])
    late = RUN.answer(RUN.question(protocol, 6443, other, size), protocol, 6443, "server1")
    assert other == NONCE or RUN.read_answer(late, QUESTION[protocol]) is None
    assert RUN.is_of_this_run(late)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_answer_for_another_port_that_was_asked_is_none(protocol):
    """The same nonce is not asked twice, but a MAC must not depend on that."""
    other = RUN.question(protocol, 6444, NONCE, len(QUESTION[protocol]))
    answer = RUN.answer(other, protocol, 6443, "server1")
    assert RUN.read_answer(answer, other) is not None
    assert RUN.read_answer(answer, QUESTION[protocol]) is None


def test_answer_over_the_other_protocol_is_none():
    over_tcp = RUN.question("tcp", 6443, NONCE, ANSWER_MAX)
    over_udp = RUN.question("udp", 6443, NONCE, ANSWER_MAX)
    assert RUN.answer(over_tcp, "udp", 6443, "server1") is None
    assert RUN.answer(over_udp, "tcp", 6443, "server1") is None
    assert RUN.read_answer(RUN.answer(over_tcp, "tcp", 6443, "s"), over_udp) is None


@given(st.sampled_from(["tcp", "udp"]), st.integers(0, 53), st.integers(1, 255))
def test_changed_answer_is_none(protocol, position, bits):
    """Neither name, port, witness nor MAC of an answer can be changed on the path."""
    answer = bytearray(answered(protocol, witness=True))
    position %= len(bytes(answer).rstrip(b"\0"))
    answer[position] ^= bits
    assert RUN.read_answer(bytes(answer), QUESTION[protocol]) is None


@given(st.integers(0, 43), st.integers(1, 255))
def test_changed_question_is_not_answered(position, bits):
    question = bytearray(QUESTION["tcp"])
    question[position] ^= bits
    assert RUN.answer(bytes(question), "tcp", 6443, "server1") is None


@given(TOKENS, TOKENS, NONCES, PROTOCOLS)
def test_question_of_another_run_is_not_answered(token, other, nonce, protocol):
    question = Messages(other).question(protocol, 80, nonce, ANSWER_MAX)
    assert token == other or Messages(token).answer(question, protocol, 80, "server1") is None


@given(SIZES, SIZES)
def test_question_of_another_size_is_not_answered(size, other):
    """A packet that was cut or padded on the path does not prove the path for its size."""
    question = RUN.question("udp", 6443, NONCE, size)
    changed = question[:other].ljust(other, b"\0")
    assert size == other or RUN.answer(changed, "udp", 6443, "server1") is None


def test_answer_of_another_size_is_none():
    question = RUN.question("udp", 6443, NONCE, 1000)
    shorter = RUN.question("udp", 6443, NONCE, 999)
    assert RUN.read_answer(RUN.answer(shorter, "udp", 6443, "s") + b"\0", question) is None
    answer = RUN.answer(question, "udp", 6443, "s")
    assert RUN.read_answer(answer[:-1], question) is None
    assert RUN.read_answer(answer[:-1] + b"x", question) is None


@given(PROTOCOLS, st.binary(max_size=80))
def test_what_others_send_is_nothing_and_never_raises(protocol, data):
    for received in (data, RUN.tag + data, RUN.greeting + data, RUN.tag + b"A" + data):
        assert RUN.answer(received, protocol, 80, "server1") is None
        assert RUN.read_answer(received, QUESTION[protocol]) is None


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_question_that_comes_back_is_not_an_answer(protocol):
    assert RUN.read_answer(QUESTION[protocol], QUESTION[protocol]) is None


@given(st.integers(0, 1000))
def test_part_of_an_answer_is_none(length):
    whole = answered("tcp")
    assert (RUN.read_answer(whole[:length], QUESTION["tcp"]) is None) == (length < len(whole))


def test_answer_is_never_longer_than_the_question():
    short = RUN.question("udp", 80, NONCE)
    assert RUN.answer(short, "udp", 80, "a-name-of-some-length") is None
    assert RUN.answer(QUESTION["tcp"], "tcp", 80, "x" * ANSWER_MAX) is None


def test_nonces_differ():
    assert len({nonce() for _number in range(1000)}) == 1000
