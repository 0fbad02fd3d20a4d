# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listener and a prober say to each other.

A listener answers a TCP connection at once with one line: the token of the run, its port and the
inventory name of its node, so that neither another host nor another port passes for it. Over UDP it
answers only a question with that token, by token, the question's nonce, port and name, in as many
bytes as it was asked with: never more, so that nobody can have it flood a third. A question is none
of its own answers, so what merely echoes proves nothing. A witness, which answers beside a process
that holds the port, says that it is one.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

ANSWER_MAX = 512
"""Bytes of the longest answer over TCP, and of a question over UDP where size does not matter."""

_ASK = b"ask"
_PORT_DIGITS = 5
_WITNESS = b"*"


class Speaker(NamedTuple):
    """A listener that has answered: its own port and the name of its node."""

    port: int
    name: str
    witness: bool = False


def answer(token: str, port: int, name: str) -> bytes:
    """Return what a listener says over TCP."""
    return b"%s %d %s\n" % (token.encode(), port, name.encode())


def read_answer(data: bytes, token: str) -> Optional[Speaker]:
    """Return who answered over TCP, None where it is no answer of this run."""
    said, _space, rest = data.partition(b" ")
    if said != token.encode() or not rest.endswith(b"\n"):
        return None
    return _speaker(rest[:-1])


def question(token: str, nonce: str, size: int = ANSWER_MAX) -> bytes:
    """Return what a prober sends over UDP, in so many bytes; C(nonce) is hexadecimal."""
    return (b"%s %s %s\n" % (token.encode(), _ASK, nonce.encode())).ljust(size, b"\0")


def reply(data: bytes, token: str, port: int, name: str, witness: bool = False) -> Optional[bytes]:
    """Return what a listener answers to a datagram; None where it is no question of this run."""
    words = data.partition(b"\n")[0].split(b" ")
    if len(words) != 3 or words[:2] != [token.encode(), _ASK]:
        return None
    mark = _WITNESS if witness else b""
    said = b"%s %s %d%s %s\n" % (words[0], words[2], port, mark, name.encode())
    return said.ljust(len(data), b"\0") if len(said) <= len(data) else None


def read_reply(data: bytes, question: bytes) -> Optional[Speaker]:
    """Return who answered this very question, None where nobody did."""
    token, _ask, nonce = question.partition(b"\n")[0].split(b" ")
    said, newline, padding = data.partition(b"\n")
    start = b"%s %s " % (token, nonce)
    if not said.startswith(start) or not newline or padding.strip(b"\0"):
        return None
    return _speaker(said[len(start) :]) if len(data) == len(question) else None


def is_stale(data: bytes, question: bytes) -> bool:
    """Tell whether this answers another question of the run."""
    token = question.partition(b" ")[0]
    return data.startswith(token + b" ") and not data.startswith(b"%s %s " % (token, _ASK))


def _speaker(said: bytes) -> Optional[Speaker]:
    word, _space, name = said.partition(b" ")
    witness = word.endswith(_WITNESS)
    port = word[: -len(_WITNESS)] if witness else word
    if not port.isdigit() or len(port) > _PORT_DIGITS:
        return None
    return Speaker(int(port), name.decode(errors="replace"), witness)
