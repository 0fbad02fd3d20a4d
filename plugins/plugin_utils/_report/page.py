# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packs a report for report.html. Pure functions.

A full mesh of 200 nodes has 40,000 pairs that mostly saw the same; the page holds each distinct
check and each distinct list of checks once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from .._answers.values import clean
from .._topology.model import Topology
from .causes import causes, failed
from .evaluate import Check, Report
from .findings import CLUSTER, Finding, counted
from .terminal import unprobed_reason
from .words import Describer

# Stand for what differs from pair to pair; clean() leaves no such character in a text.
SOURCE, DESTINATION, ADDRESS = "\x01", "\x02", "\x03"
_KEYS = ("address", "port", "protocol", "rule", "expected", "observed", "ok", "detail")
_CAUSES = 50
_SCOPES = 12
_CHECKS = 500
_FINDINGS = 12


class ShownCause(TypedDict):
    """A cause of failures, as the page shows it without its script."""

    expected: str
    observed: str
    text: str
    count: int
    scopes: list[tuple[str, str]]
    """From whom to whom, and which rules."""
    common: dict[str, str]
    """What all of its checks have in common, for the map's filter."""
    checks: list[Check]
    """Some of its checks."""


class ShownFinding(TypedDict):
    """A finding with its hosts as a reader knows them."""

    finding: Finding
    who: str
    """A short text for the hosts."""
    names: str
    """All hosts, if the text does not name them all."""


class Page(TypedDict):
    """What report.html.j2 needs beside the report itself."""

    data: str
    """JSON for the page's script; safe inside of a script element."""
    findings: list[ShownFinding]
    """Those that are always visible."""
    folded: list[ShownFinding]
    """Those that the reader unfolds."""
    counted: str
    """How many findings there are of each level."""
    unprobed: str
    """Why there is no check, if there is none."""
    causes: list[ShownCause]
    """Those with most checks."""
    rest: int
    """How many failed checks have another cause."""


def page(report: Report, topology: Topology) -> Page:
    """Return what the page shows of a report."""
    checks = report["checks"]
    describe = Describer(checks, topology)
    findings = [_shown(finding, describe) for finding in report["findings"]]
    found = causes(failed(checks))
    shown = found[:_CAUSES]
    # As many of each as there is room for.
    room = _CHECKS // max(1, len(shown))
    addresses = {node["name"]: node["address"] for node in topology["nodes"]}
    data = {**pack(checks, addresses), "nodes": topology["nodes"], "rules": topology["rules"]}
    return Page(
        # "</script" would end the element.
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        findings=findings[:_FINDINGS],
        folded=findings[_FINDINGS:],
        counted=counted(report["findings"]),
        unprobed=unprobed_reason(report),
        causes=[
            ShownCause(
                expected=cause.expected,
                observed=cause.observed,
                text=cause.text,
                count=len(cause.checks),
                scopes=describe.cause(cause, _SCOPES),
                common=_common(cause.checks),
                checks=cause.checks[:room],
            )
            for cause in shown
        ],
        rest=sum(len(cause.checks) for cause in found[_CAUSES:]),
    )


def _shown(finding: Finding, describe: Describer) -> ShownFinding:
    who = describe.hosts(finding["hosts"]) or CLUSTER
    hosts = finding["hosts"]
    is_whole = not hosts or set(who.split(", ")) == set(hosts)
    return ShownFinding(finding=finding, who=who, names="" if is_whole else ", ".join(hosts))


def _common(checks: list[Check]) -> dict[str, str]:
    found = {}
    for key in ("source", "destination", "rule", "observed"):
        values = {str(dict(check)[key]) for check in checks}
        if len(values) == 1:
            found[key] = values.pop()
    return found


def pack(checks: list[Check], addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return C(names), distinct C(checks), distinct C(lists) of their numbers, and C(pairs).

    A pair is [number of the source's name, number of the destination's, number of the list].
    C(addresses) are the nodes' own; a check by another address keeps it.
    """
    names: dict[str, int] = {}
    packed: dict[tuple[Any, ...], int] = {}
    pairs: dict[tuple[int, int], list[int]] = {}
    for check in checks:
        source, destination = check["source"], check["destination"]
        pair = (names.setdefault(source, len(names)), names.setdefault(destination, len(names)))
        own = addresses.get(destination, "")
        # In the order of _KEYS.
        general = (
            _general(check["address"], source, destination, own),
            check["port"],
            check["protocol"],
            check["rule"],
            check["expected"],
            check["observed"],
            check["ok"],
            _general(check["detail"], source, destination, own),
        )
        pairs.setdefault(pair, []).append(packed.setdefault(general, len(packed)))
    lists: dict[tuple[int, ...], int] = {}
    numbered = [
        [source, destination, lists.setdefault(tuple(numbers), len(lists))]
        for (source, destination), numbers in pairs.items()
    ]
    return {
        "names": list(names),
        "checks": [dict(zip(_KEYS, general)) for general in packed],
        "lists": [list(numbers) for numbers in lists],
        "pairs": numbered,
    }


def _general(text: str, source: str, destination: str, address: str) -> str:
    """Return a text with marks for what is its pair's own."""
    if not text:
        return text
    text = clean(text)
    # A detail speaks of the destination above all, and may hold the source's name as part of its.
    for own, mark in ((destination, DESTINATION), (source, SOURCE), (address, ADDRESS)):
        if own:
            text = text.replace(own, mark)
    return text
