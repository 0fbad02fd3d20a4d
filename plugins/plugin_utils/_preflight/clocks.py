# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the clocks of nodes. Pure functions.

A node with a wrong or forged time does not hide the skew of the others: the clock that is farthest
from the median is named first, and the others are compared without it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .finding import ERROR, WARNING, Finding

SKEW_WARNING = 1.0
SKEW_ERROR = 30.0
_NAMED = 4
_REMEDY = "let chrony or systemd-timesyncd set the clocks of all nodes"
_HARM = "etcd warns, and certificates that one node makes are not valid yet for the other"


class _Skew(NamedTuple):
    """A clock that differs from another; C(is_ahead) tells in which direction."""

    name: str
    other: str
    is_ahead: bool
    seconds: float


def skews(offsets: Mapping[str, tuple[float, float]]) -> Iterator[Finding]:
    """Compare clocks: only what the time that the question took can't explain is a skew.

    Args:
        offsets: The least and the most seconds by which a node's clock can be ahead of the
            controller's.
    """
    groups: dict[tuple[str, str, bool, int], list[_Skew]] = defaultdict(list)
    for one in _skews(offsets):
        severity = ERROR if one.seconds > SKEW_ERROR else WARNING
        # Only skews of a similar size are one finding.
        groups[severity, one.other, one.is_ahead, int(math.log2(one.seconds))].append(one)
    for (severity, other, is_ahead, _size), found in groups.items():
        names = [one.name for one in found]
        ahead, behind = (names, [other]) if is_ahead else ([other], names)
        seconds = min(one.seconds for one in found)
        plural = "s" if len(ahead) > 1 else ""
        yield Finding(
            severity,
            (*ahead, *behind),
            f"the clock{plural} of {_few(ahead)} {'are' if plural else 'is'} at least "
            f"{seconds:.0f} s ahead of that of {_few(behind)}: {_HARM}",
            _REMEDY,
        )


def _skews(offsets: Mapping[str, tuple[float, float]]) -> Iterator[_Skew]:
    middles = sorted(sum(one) / 2 for one in offsets.values())
    median = middles[len(middles) // 2] if middles else 0.0
    by_least = sorted(offsets, key=lambda name: offsets[name][0])
    by_most = sorted(offsets, key=lambda name: offsets[name][1], reverse=True)
    gone: set[str] = set()
    while by_least and by_most:
        ahead, behind = by_least[-1], by_most[-1]
        if ahead in gone:
            by_least.pop()
            continue
        if behind in gone:
            by_most.pop()
            continue
        seconds = offsets[ahead][0] - offsets[behind][1]
        if seconds <= SKEW_WARNING:
            return
        is_ahead = offsets[ahead][0] - median >= median - offsets[behind][1]
        name, other = (ahead, behind) if is_ahead else (behind, ahead)
        gone.add(name)
        yield _Skew(name, other, is_ahead, seconds)


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
