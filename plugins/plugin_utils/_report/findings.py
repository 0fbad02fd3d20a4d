# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings: what the validation saw besides probes. Pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, TypedDict

from .._answers.values import clean
from .text import clip, plural, some

Level = Literal["error", "warning", "info"]
ERROR: Level = "error"
WARNING: Level = "warning"
INFO: Level = "info"
LEVELS: tuple[Level, ...] = (ERROR, WARNING, INFO)
"""Worst first."""

# A node can return any number of texts of any size, and AWX stores what a task returns.
_FINDINGS = 200
_TEXT = 1000
_SENTENCE = 400
_HOSTS = 4
CLUSTER = "cluster"
"""Stands for the hosts of a finding that names none."""


class Finding(TypedDict):
    """A problem that the validation saw besides probes."""

    level: Level
    """One of C(error) makes the report not ok."""
    hosts: list[str]
    """Inventory names, sorted."""
    cause: str
    remedy: str


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Return each problem once with all of its hosts, worst first and then by hosts.

    Texts are cleaned and shortened. Of more than 200 problems the last finding counts those that
    are left out. Each list of hosts keeps its first problem of a level before any of them keeps a
    second one, so that a node with many problems does not displace those of other nodes.
    """
    hosts: dict[tuple[Level, str, str], set[str]] = defaultdict(set)
    for one in findings:
        hosts[one["level"], _line(one["cause"]), _line(one["remedy"])].update(one["hosts"])
    found = [
        Finding(level=level, hosts=sorted(names), cause=cause, remedy=remedy)
        for (level, cause, remedy), names in hosts.items()
    ]
    found.sort(key=_order)
    if len(found) <= _FINDINGS:
        return found
    return _bounded(found)


def _bounded(found: Sequence[Finding]) -> list[Finding]:
    earlier: Counter[tuple[Level, tuple[str, ...]]] = Counter()
    ranked = []
    for one in found:
        key = one["level"], tuple(one["hosts"])
        ranked.append((LEVELS.index(one["level"]), earlier[key], one))
        earlier[key] += 1
    ranked.sort(key=lambda entry: entry[:2])
    kept, rest = ranked[: _FINDINGS - 1], ranked[_FINDINGS - 1 :]
    return [
        *sorted((one for _level, _rank, one in kept), key=_order),
        Finding(
            level=rest[0][2]["level"],
            hosts=sorted({name for _level, _rank, one in rest for name in one["hosts"]}),
            cause=f"{len(rest)} more findings are not listed",
            remedy="fix the other findings and validate again",
        ),
    ]


def invalid_answer(name: str, problem: str) -> Finding:
    """Return the finding of a host whose answer is not valid."""
    return Finding(
        level=ERROR,
        hosts=[name],
        cause=f"{problem}, so nothing that this host returned there counts",
        remedy="check what runs as Ansible's Python on the host, and validate again",
    )


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether a finding makes the report not ok."""
    return any(one["level"] == ERROR for one in findings)


def counted(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each level, such as C(1 error, 2 warnings)."""
    counts = Counter(one["level"] for one in findings)
    return ", ".join(
        f"{counts[level]} info" if level == INFO else plural(counts[level], level)
        for level in LEVELS
        if counts[level]
    )


def sentence(finding: Finding) -> str:
    """Return a finding as a sentence of at most 400 characters."""
    return clip(
        clean(
            f"{finding['level']}: {some(finding['hosts'], _HOSTS) or CLUSTER}: {finding['cause']}; "
            f"{finding['remedy']}"
        ),
        _SENTENCE,
    )


def _line(text: str) -> str:
    return clip(clean(" ".join(text.split())), _TEXT)


def _order(finding: Finding) -> tuple[int, list[str], str, str]:
    return LEVELS.index(finding["level"]), finding["hosts"], finding["cause"], finding["remedy"]
