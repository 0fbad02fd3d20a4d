# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listener and a prober say to each other.

A listener answers a TCP connection at once with one line: the token of the run and the inventory
name of its node. Over UDP it answers only a question with that token, by token, the question's
nonce and the name, in as many bytes as it was asked with: never more, so that nobody can have it
flood a third. A question is none of its own answers, so what merely echoes proves nothing.
"""

from __future__ import annotations

from typing import Optional

ANSWER_MAX = 512
"""Bytes of the longest answer over TCP, and of a question over UDP where size does not matter."""

_ASK = b"ask"


def answer(token: str, name: str) -> bytes:
    """Return what a listener says over TCP."""
    return f"{token} {name}\n".encode()


def read_answer(data: bytes, token: str) -> Optional[str]:
    """Return the name of the node that answered over TCP, None for no answer of this run."""
    said, _space, name = data.partition(b" ")
    if said != token.encode() or not name.endswith(b"\n"):
        return None
    return name[:-1].decode(errors="replace")


def question(token: str, nonce: str, size: int = ANSWER_MAX) -> bytes:
    """Return what a prober sends over UDP, in so many bytes; C(nonce) is hexadecimal."""
    return (b"%s %s %s\n" % (token.encode(), _ASK, nonce.encode())).ljust(size, b"\0")


def reply(data: bytes, token: str, name: str) -> Optional[bytes]:
    """Return what a listener answers to a datagram; None where it is no question of this run."""
    words = data.partition(b"\n")[0].split(b" ")
    if len(words) != 3 or words[:2] != [token.encode(), _ASK]:
        return None
    said = b"%s %s %s\n" % (words[0], words[2], name.encode())
    return said.ljust(len(data), b"\0") if len(said) <= len(data) else None


def read_reply(data: bytes, question: bytes) -> Optional[str]:
    """Return the name of the node that answered this very question, None where nobody did."""
    token, _ask, nonce = question.partition(b"\n")[0].split(b" ")
    said, newline, padding = data.partition(b"\n")
    start = b"%s %s " % (token, nonce)
    if not said.startswith(start) or not newline or padding.strip(b"\0"):
        return None
    return said[len(start) :].decode(errors="replace") if len(data) == len(question) else None


def is_stale(data: bytes, question: bytes) -> bool:
    """Tell whether this answers another question of the run."""
    token = question.partition(b" ")[0]
    return data.startswith(token + b" ") and not data.startswith(b"%s %s " % (token, _ASK))
