# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages between a prober and a listener. Pure functions, apart from the random nonce.

The token of the run is the key of an HMAC and never crosses the network. A question has a random
nonce and a MAC, so that only a holder of the token can ask. The answer has a MAC over that
question, the port of the listener and the inventory name of its node, so that an answer to another
question proves nothing. Both MACs cover the size of the question: an answer proves that a packet of
this size has passed.

Over UDP an answer has as many bytes as its question, never more, so that it cannot amplify a flood.
Over TCP the listener sends a greeting first. It proves nothing: it keeps the prober from writing to
a service that holds the port.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from typing import NamedTuple, Optional

ANSWER_MAX = 512
"""Bytes of the longest answer over TCP, and of a question over UDP if its size does not matter."""
TAG_BYTES = 8

_NONCE_BYTES = 16
_MAC_BYTES = 16
"""RFC 4868 truncates HMAC-SHA-256 to as many."""
_GREETING, _QUESTION, _ANSWER = b"G", b"Q", b"A"
_PROTOCOLS = {"tcp": b"t", "udp": b"u"}
# Tag, kind, protocol, port that is probed, nonce.
_ASKED = struct.Struct(f"!{TAG_BYTES}s1s1sH{_NONCE_BYTES}s")
# Tag, kind, protocol, port of the listener, whether it is a witness, bytes of the name.
_SAID = struct.Struct(f"!{TAG_BYTES}s1s1sH?H")
_SIZE = struct.Struct("!I")
QUESTION_BYTES = _ASKED.size + _MAC_BYTES
"""Bytes of the shortest question, and of each question over TCP."""


class Speaker(NamedTuple):
    """A listener that has answered: its own port and the name of its node."""

    port: int
    name: str
    witness: bool = False


def nonce() -> bytes:
    """Return a new nonce."""
    return secrets.token_bytes(_NONCE_BYTES)


class Messages:
    """Makes and verifies the messages of one run."""

    def __init__(self, token: str) -> None:
        # A copy of it takes less time than hmac.digest(), which begins with the key each time.
        self._keyed = hmac.new(token.encode(), digestmod="sha256")
        self.tag = self._mac(b"tag")[:TAG_BYTES]
        """What each message of the run begins with. It is not a secret and tells runs apart."""
        self.greeting = self.tag + _GREETING
        """What a listener sends first over TCP."""

    def question(self, protocol: str, port: int, nonce: bytes, size: int = QUESTION_BYTES) -> bytes:
        """Return the question to a port, in C(size) bytes."""
        asked = _ASKED.pack(self.tag, _QUESTION, _PROTOCOLS[protocol], port, nonce)
        return (asked + self._mac(b"question", asked, _SIZE.pack(size))).ljust(size, b"\0")

    def answer(
        self, question: bytes, protocol: str, port: int, name: str, witness: bool = False
    ) -> Optional[bytes]:
        """Return what a listener answers; None if it is not a question of this run.

        An answer over UDP has the size of the question. It is None if the name does not fit.
        """
        if not self._is_question(question, protocol):
            return None
        said = name.encode()
        head = _SAID.pack(self.tag, _ANSWER, _PROTOCOLS[protocol], port, witness, len(said)) + said
        whole = head + self._mac_of_answer(question, head)
        if protocol == "tcp":
            return whole if len(whole) <= ANSWER_MAX else None
        return whole.ljust(len(question), b"\0") if len(whole) <= len(question) else None

    def read_answer(self, data: bytes, question: bytes) -> Optional[Speaker]:
        """Return who answered this very question; None if it is not a valid answer to it."""
        if len(data) < _SAID.size:
            return None
        tag, kind, protocol, port, witness, length = _SAID.unpack_from(data)
        end = _SAID.size + length
        whole = end + _MAC_BYTES
        if protocol == _PROTOCOLS["udp"] and len(data) != len(question):
            return None
        if (tag, kind) != (self.tag, _ANSWER) or len(data) < whole or data[whole:].strip(b"\0"):
            return None
        head = data[:end]
        if protocol != _protocol(question) or not hmac.compare_digest(
            data[end:whole], self._mac_of_answer(question, head)
        ):
            return None
        return Speaker(port, head[_SAID.size :].decode(errors="replace"), witness)

    def is_of_this_run(self, data: bytes) -> bool:
        """Return whether data begins as the messages of this run do. It proves nothing."""
        return data.startswith(self.tag)

    def _is_question(self, data: bytes, protocol: str) -> bool:
        asked, mac = data[: _ASKED.size], data[_ASKED.size : QUESTION_BYTES]
        return (
            len(mac) == _MAC_BYTES
            and asked.startswith(self.tag + _QUESTION + _PROTOCOLS[protocol])
            and hmac.compare_digest(mac, self._mac(b"question", asked, _SIZE.pack(len(data))))
        )

    def _mac_of_answer(self, question: bytes, head: bytes) -> bytes:
        asked = question[: _ASKED.size] + _SIZE.pack(len(question))
        return self._mac(b"answer", asked, head)

    def _mac(self, *parts: bytes) -> bytes:
        # Each label has its own first letter and each part a fixed length, apart from the last one.
        mac = self._keyed.copy()
        mac.update(b"".join(parts))
        return mac.digest()[:_MAC_BYTES]


def _protocol(question: bytes) -> bytes:
    return question[TAG_BYTES + 1 : TAG_BYTES + 2]
