# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints the findings of the preflight for a terminal and for AWX. Pure functions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from .._answers.values import clean
from .finding import (
    ERROR,
    SEVERITIES,
    WARNING,
    Finding,
)

_WIDTH = 110
_FINDINGS = 40
_NAMES = 6
_WORST = 5
# AWX shows the first 1024 bytes of an event.
_MESSAGE = 800

FAIL_ON = {"error": (ERROR,), "warning": (ERROR, WARNING), "never": ()}


def is_ok(findings: Sequence[Finding], fail_on: str) -> bool:
    """Tell whether nothing was found that is to fail the play."""
    return not any(one.severity in FAIL_ON[fail_on] for one in findings)


def headline(findings: Sequence[Finding], ok: bool) -> str:
    """Return the outcome in a line."""
    counts = [(sum(one.severity == kind for one in findings), kind) for kind in SEVERITIES]
    told = ", ".join(f"{n} of severity {kind}" for n, kind in counts if n) or "nothing found"
    return f"Preflight {'ok' if ok else 'FAILED'}: {told}"


def sentence(finding: Finding) -> str:
    """Return a finding in a line."""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return clean(f"{finding.severity}: {_names(finding)}: {finding.problem}{remedy}")


def message(findings: Sequence[Finding], ok: bool) -> str:
    """Return the outcome in a text that names the first findings."""
    text = headline(findings, ok)
    for one in findings[:_WORST]:
        if len(text) + len(sentence(one)) > _MESSAGE:
            break
        text += f". {sentence(one)}"
    return text


def table(findings: Sequence[Finding], changes: Sequence[str], ok: bool) -> list[str]:
    """Return the lines to print. C(changes) say what prepare would change."""
    lines = [headline(findings, ok)]
    for one in findings[:_FINDINGS]:
        lines.append("")
        lines += _wrapped(f"{one.severity.upper():8}", f"{_names(one)}: {one.problem}")
        if one.remedy:
            lines += _wrapped(" " * 8, f"-> {one.remedy}")
    if len(findings) > _FINDINGS:
        lines += ["", f"and {len(findings) - _FINDINGS} more"]
    return [*lines, "", *changes]


def _names(finding: Finding) -> str:
    more = len(finding.nodes) - _NAMES
    return ", ".join(finding.nodes[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        clean(" ".join(text.split())),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
