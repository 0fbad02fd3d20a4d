# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listener and a prober say to each other.

A listener answers a TCP connection at once, and a UDP datagram that begins with the token of the
run, with one line: the token and the inventory name of its node.
"""

from __future__ import annotations

from typing import Optional

ANSWER_MAX = 512


def answer(token: str, name: str) -> bytes:
    """Return what a listener says."""
    return f"{token} {name}\n".encode()


def question(token: str) -> bytes:
    """Return what a prober sends over UDP."""
    return f"{token}\n".encode()


def is_question(data: bytes, token: str) -> bool:
    """Tell whether a datagram is a question of this run."""
    return data == question(token)


def read_answer(data: bytes, token: str) -> Optional[str]:
    """Return the name of the node that answered, None where it is no answer of this run."""
    said, _space, name = data.partition(b" ")
    if said != token.encode() or not name.endswith(b"\n"):
        return None
    return name[:-1].decode(errors="replace")
