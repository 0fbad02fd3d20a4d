# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints a report for a terminal: findings and failures first, and only these in detail.

Pure functions.

However many nodes there are, it is no longer than a person reads: AWX cuts long output, and the
files have everything.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports

from .._answers.values import clean
from .._probe_plan.plan import CLOSED, OPEN
from .._topology.model import Topology
from .causes import (
    Cause,
    causes,
    failed,
)
from .evaluate import Check, Report
from .findings import CLUSTER, ERROR, INFO, Finding, counted, has_errors, sentence
from .text import clip, plural
from .words import Describer, Order

WIDTH = 110
LINES = 120
# Of findings and failures together; findings have half of them if there are failures.
_FAILURE_LINES = 56
_FINDING_LINES = 28
_CAUSES = 8
_SCOPES = 4
_TEXT_LINES = 6
_RULES = 30
_MATRIX_NODES = 12
_WORST = 5
_CELL = 30
# AWX shows the first 1024 bytes of an event, and what Ansible puts around the message counts.
_MESSAGE = 800


def headline(report: Report) -> str:
    """Return the outcome in a line."""
    summary = report["summary"]
    problems = [one for one in report["findings"] if one["level"] != INFO]
    found = f", findings: {counted(problems)}" if problems else ""
    if not report["checks"]:
        return (
            f"Connectivity {'ok' if report['ok'] else 'FAILED'}: nothing was probed, since "
            f"{unprobed_reason(report)}{found}"
        )
    return (
        f"Connectivity {'ok' if report['ok'] else 'FAILED'}: {len(report['checks'])} checks, "
        f"{summary['open']} of {summary['expected_open']} open as they should be, "
        f"{summary['closed']} of {summary['expected_closed']} closed as they should be"
        + (f", {summary['not_determined']} not determined" if summary["not_determined"] else "")
        + found
    )


def unprobed_reason(report: Report) -> str:
    """Return why a report has no check."""
    if report["ok"]:
        return "the cluster is a single node and the inventory has no external client"
    reason = "the play has no two hosts that a rule concerns"
    # Such a report of a single node is ok, unless a finding makes it not ok.
    if has_errors(report["findings"]):
        return f"{reason} (if --limit excludes hosts, run it without --limit)"
    return f"{reason}; run it without --limit"


def sentences(report: Report, limit: int) -> list[str]:
    """Return a sentence for each finding of level error and each failed check, up to a limit.

    If there are too many failed checks, one of each cause stands for the others.
    """
    failures = failed(report["checks"])
    errors = [finding for finding in report["findings"] if finding["level"] == ERROR]
    texts = [sentence(one) for one in errors[: max(limit - len(failures), limit // 2)]]
    room = limit - len(texts)
    if len(failures) <= room:
        return texts + [_sentence(check) for check in failures]
    for cause in causes(failures)[:room]:
        more = len(cause.checks) - 1
        texts.append(_sentence(cause.checks[0]) + (f" (and {more} alike)" if more else ""))
    return texts


def message(report: Report) -> str:
    """Return the outcome in a text that names the first findings and failures."""
    text = headline(report)
    told = sentences(report, _WORST)
    for one in told:
        if len(text) + len(one) > _MESSAGE:
            break
        text = f"{text}; {one}"
    return f"{text}; the table above tells what to do" if told else text


def table(report: Report, topology: Topology) -> list[str]:
    """Return the report as at most LINES lines, hardly one of them wider than WIDTH."""
    checks = report["checks"]
    failures = failed(checks)
    lines = _wrap(headline(report))
    sources = list(dict.fromkeys(check["source"] for check in checks))
    destinations = sorted({check["destination"] for check in checks}, key=Order(topology))
    matrix = _matrix_lines(checks, sources, destinations)
    found = _finding_lines(
        report["findings"], topology, _FINDING_LINES if failures else _FAILURE_LINES
    )
    if found:
        lines += ["", *found]
    if failures:
        lines += ["", *_failure_lines(checks, topology, _FAILURE_LINES - len(found))]
    lines += ["", *_rule_lines(checks, topology)]
    if not set(sources) - {node["name"] for node in topology["nodes"]}:
        lines += _wrap(
            "Access from outside was not probed: no host of the group of external clients took "
            "part, and k3s_connectivity_probe_from_controller is false"
        )
    if matrix:
        lines += ["", *matrix]
    elif failures:
        lines += ["", *_worst_lines(failures)]
    return lines


def _sentence(check: Check) -> str:
    return clean(
        f"{check['source']} -> {check['destination']} {check['port']}/{check['protocol']} "
        f"({check['rule']}) is {check['observed']}, expected {check['expected']}"
    )


def _finding_lines(findings: Sequence[Finding], topology: Topology, limit: int) -> list[str]:
    """Return the findings in about C(limit) lines, with an empty line between two of them."""
    describe = Describer([], topology)
    lines: list[str] = []
    for number, finding in enumerate(findings):
        who = describe.hosts(finding["hosts"]) or CLUSTER
        block = [
            *_wrap(f"{finding['level'].upper()}  {who}"),
            *_wrap(finding["cause"], "  ", _TEXT_LINES),
            *_wrap(f"=> {finding['remedy']}", "  ", _TEXT_LINES),
        ]
        if lines and len(lines) + 1 + len(block) > limit:
            more = plural(len(findings) - number, "more finding")
            hint = "the report has them all (k3s_connectivity_report_dir)"
            return [*lines, "", f"and {more}; {hint}"]
        lines += ["", *block] if lines else block
    return lines


def _failure_lines(checks: Sequence[Check], topology: Topology, limit: int) -> list[str]:
    describe = Describer(checks, topology)
    found = causes(failed(checks))
    lines: list[str] = []
    told = 0
    for cause in found[:_CAUSES]:
        block = [*_cause_lines(cause, describe), ""]
        if lines and len(lines) + len(block) > limit:
            break
        lines += block
        told += 1
    rest = found[told:]
    if rest:
        count = sum(len(cause.checks) for cause in rest)
        lines += _wrap(
            f"and {plural(count, 'more failed check')} of {plural(len(rest), 'other cause')}; "
            "the report has them all (k3s_connectivity_report_dir)"
        )
    elif lines:
        lines.pop()
    return lines


def _cause_lines(cause: Cause, describe: Describer) -> list[str]:
    expected = f"expected {cause.expected}" if cause.expected else "so nothing is proved"
    lines = [
        f"FAILED  {plural(len(cause.checks), 'check')}: {cause.observed.replace('_', ' ')}, "
        f"{expected}"
    ]
    for who, what in describe.cause(cause, _SCOPES):
        lines += _wrap(f"{who}: {what}", "  ", 4)
    return lines + _wrap(f"=> {cause.text or 'see the observation'}", "  ", _TEXT_LINES)


def _rule_lines(checks: Iterable[Check], topology: Topology) -> list[str]:
    counts = Counter((check["rule"], check["expected"], check["ok"]) for check in checks)

    def is_bad(name: str) -> bool:
        return bool(counts[name, OPEN, False] or counts[name, CLOSED, False])

    rules = topology["rules"]
    if len(rules) > _RULES:
        rules = sorted(rules, key=lambda rule: not is_bad(rule["name"]))
    rows = []
    for rule in rules[:_RULES]:
        name = rule["name"]
        rows.append(
            [
                name,
                f"{_ports.format_port((rule['first'], rule['last']))}/{rule['protocol']}",
                _fraction(counts[name, OPEN, True], counts[name, OPEN, False]),
                _fraction(counts[name, CLOSED, True], counts[name, CLOSED, False]),
                rule["purpose"],
            ]
        )
    lines = [
        clip(line, WIDTH) for line in _columns(["rule", "port", "open", "closed", "purpose"], rows)
    ]
    rest = rules[_RULES:]
    if rest:
        bad = sum(is_bad(rule["name"]) for rule in rest)
        lines.append(f"and {plural(len(rest), 'more rule')}, {bad} of them with failures")
    return lines


def _matrix_lines(
    checks: Sequence[Check], sources: Sequence[str], destinations: Sequence[str]
) -> list[str]:
    """Return a line for each source, nothing where that is no longer easy to read."""
    if not sources or len(sources) > _MATRIX_NODES:
        return []
    counts = Counter((check["source"], check["destination"], check["ok"]) for check in checks)
    rows = [
        [
            source,
            *(
                _fraction(counts[source, one, True], counts[source, one, False])
                for one in destinations
            ),
        ]
        for source in sources
    ]
    lines = _columns(["from \\ to", *destinations], rows)
    return lines if max(map(len, lines)) <= WIDTH else []


def _worst_lines(failures: Iterable[Check]) -> list[str]:
    """Return which nodes fail most, as destination and as source."""
    failures = list(failures)
    lines = []
    for word, counts in (
        ("to", Counter(check["destination"] for check in failures)),
        ("from", Counter(check["source"] for check in failures)),
    ):
        most = [f"{name} {count}" for name, count in counts.most_common(_WORST)]
        more = f", and {len(counts) - _WORST} more hosts" if len(counts) > _WORST else ""
        lines += _wrap(f"Failed checks {word:4}  {', '.join(most)}{more}")
    return lines


def _fraction(good: int, bad: int) -> str:
    if not good and not bad:
        return "-"
    return f"{good}/{good + bad}" + (" !" if bad else "")


def _wrap(text: str, indent: str = "", lines: int = 2) -> list[str]:
    return textwrap.wrap(
        clean(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}   " if indent else "",
        break_on_hyphens=False,
        max_lines=lines,
        placeholder=" ...",
    )


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[clean(cell) for cell in line] for line in [head, *rows]]
    # The last column is the one that may be long.
    lines = [[*(clip(cell, _CELL) for cell in line[:-1]), line[-1]] for line in lines]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    ]
