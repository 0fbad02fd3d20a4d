# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preflight finds. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ERROR = "error"
WARNING = "warning"
INFO = "info"
SEVERITIES = (ERROR, WARNING, INFO)

Facts = Mapping[str, Any]


class Finding(NamedTuple):
    """Something that would go wrong on these nodes, and what to do."""

    severity: str
    nodes: tuple[str, ...]
    problem: str
    remedy: str


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Return each problem once, with all nodes that have it, the worst first."""
    names: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for severity, nodes, problem, remedy in findings:
        names[severity, problem, remedy].update(nodes)
    merged = [
        Finding(severity, tuple(sorted(nodes)), problem, remedy)
        for (severity, problem, remedy), nodes in names.items()
    ]
    return sorted(merged, key=lambda one: (SEVERITIES.index(one.severity), one.nodes))
