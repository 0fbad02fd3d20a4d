# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cuts the work of a source into rounds. Pure functions.

After each round of a long run the user sees progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports

Key = TypeVar("Key")
# Some ten seconds.
_PROBES = 100_000


def rounds(probes: int) -> int:
    """Return in how many rounds a source with so many probes goes; at least one."""
    return max(1, -(-probes // _PROBES))


def part(
    work: Sequence[tuple[Key, Sequence[_ports.Interval]]], number: int, count: int
) -> list[tuple[Key, list[_ports.Interval]]]:
    """Return the share of round C(number), from 1 to C(count), in the order of C(work).

    The shares differ by one port at most, and each port is in one of them.
    """
    total = sum(_ports.size(intervals) for _key, intervals in work)
    begin, end = total * (number - 1) // count, total * number // count
    result = []
    passed = 0
    for key, intervals in work:
        share: list[_ports.Interval] = []
        for first, last in intervals:
            low = first + max(0, begin - passed)
            high = min(last, first + end - passed - 1)
            if low <= high:
                share.append((low, high))
            passed += last - first + 1
        if share:
            result.append((key, share))
    return result
