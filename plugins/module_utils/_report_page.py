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

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _prober
from ansible_collections.edgeops.k3s_network.plugins.module_utils._report import Check, Report
from ansible_collections.edgeops.k3s_network.plugins.module_utils._topology import Topology

# Stand for what differs from pair to pair; no name, address or detail has control characters.
SOURCE, DESTINATION, ADDRESS = "\x01", "\x02", "\x03"
_PLAIN_FAILURES = 500


class Page(TypedDict):
    """What report.html.j2 needs beside the report itself."""

    data: str
    """JSON for the page's script; safe inside of a script element."""
    failures: list[Check]
    """Failed checks for those who read the page without its script, a limited number."""
    unproved: int
    """How many failed checks are no verdict on the network, since the probe did not work."""


def page(report: Report, topology: Topology) -> Page:
    """Return what the page shows of a report."""
    failed = [check for check in report["checks"] if not check["ok"]]
    addresses = {node["name"]: node["address"] for node in topology["nodes"]}
    data = {
        **pack(report["checks"], addresses),
        "nodes": topology["nodes"],
        "rows": topology["rows"],
    }
    return Page(
        # "</script" would end the element.
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        failures=failed[:_PLAIN_FAILURES],
        unproved=sum(check["observed"] == _prober.ERROR for check in failed),
    )


def pack(checks: list[Check], addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return C(names), distinct C(checks), distinct C(lists) of their numbers, and C(pairs).

    A pair is [number of the source's name, number of the destination's, number of the list].
    C(addresses) are the nodes' own; a check by another address keeps it.
    """
    names: dict[str, int] = {}
    packed: dict[str, int] = {}
    pairs: dict[tuple[int, int], list[int]] = {}
    for check in checks:
        pair = tuple(names.setdefault(check[end], len(names)) for end in ("source", "destination"))
        text = json.dumps(_general(check, addresses.get(check["destination"], "")))
        number = packed.setdefault(text, len(packed))
        pairs.setdefault((pair[0], pair[1]), []).append(number)
    lists: dict[tuple[int, ...], int] = {}
    numbered = [
        [source, destination, lists.setdefault(tuple(numbers), len(lists))]
        for (source, destination), numbers in pairs.items()
    ]
    return {
        "names": list(names),
        "checks": [json.loads(text) for text in packed],
        "lists": [list(numbers) for numbers in lists],
        "pairs": numbered,
    }


def _general(check: Check, address: str) -> dict[str, Any]:
    """Return a check without what is its pair's own."""
    general: dict[str, Any] = dict(check)
    del general["source"], general["destination"]
    # A detail speaks of the destination above all, and may hold the source's name as part of its.
    marks = ((check["destination"], DESTINATION), (check["source"], SOURCE), (address, ADDRESS))
    for key in ("address", "detail"):
        for text, mark in marks:
            if text:
                general[key] = general[key].replace(text, mark)
    return general
