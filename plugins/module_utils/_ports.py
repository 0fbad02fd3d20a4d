# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port ranges as closed intervals: parse, print, union and difference. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Union

Interval = tuple[int, int]

_RANGE = re.compile(r"(0|[1-9][0-9]{0,9})(?: *- *(0|[1-9][0-9]{0,9}))?")
PORT_MIN = 1
PORT_MAX = 65535


def parse_port(value: Union[int, str]) -> Interval:
    """Turn C(6443) or C("2379-2380") into (first, last).

    Raises ValueError, with a text that names the value, where it is no port or range
    within 1 to 65535.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no port")
    # int() would take a sign, underscores and digits of other scripts.
    found = _RANGE.fullmatch(str(value).strip())
    if not found:
        raise ValueError(f"{value!r} is neither a port nor a range such as '2379-2380'")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if not PORT_MIN <= first <= PORT_MAX or not PORT_MIN <= last <= PORT_MAX:
        raise ValueError(f"{value!r} is outside {PORT_MIN} to {PORT_MAX}")
    if first > last:
        raise ValueError(f"{value!r} ends before it begins")
    return first, last


def format_port(interval: Interval) -> str:
    """Print an interval as firewalld does: C(6443) or C(2379-2380)."""
    first, last = interval
    return str(first) if first == last else f"{first}-{last}"


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union as sorted intervals that neither overlap nor touch.

    This is the form that firewalld keeps a zone's ports in: it coalesces overlapping and
    adjacent ranges (firewalld#807), so two sets of ports are the same only in this form.
    """
    merged: list[Interval] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def subtract(intervals: Iterable[Interval], holes: Iterable[Interval]) -> list[Interval]:
    """Return what is in C(intervals) and not in C(holes), in the form of merge()."""
    rest = merge(intervals)
    for hole_first, hole_last in merge(holes):
        remaining: list[Interval] = []
        for first, last in rest:
            if hole_last < first or hole_first > last:
                remaining.append((first, last))
                continue
            if first < hole_first:
                remaining.append((first, hole_first - 1))
            if last > hole_last:
                remaining.append((hole_last + 1, last))
        rest = remaining
    return rest


def size(intervals: Iterable[Interval]) -> int:
    """Return the number of ports in intervals that do not overlap."""
    return sum(last - first + 1 for first, last in intervals)
