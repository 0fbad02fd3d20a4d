# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts failed checks together that have the same cause and remedy. Pure functions.

One firewall that was not prepared fails thousands of checks; whoever mends it reads it once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import prober

from .._answers.values import clean
from .evaluate import Check
from .remedies import cause_of

# What of a detail differs from pair to pair.
_SOURCE, _DESTINATION, _ADDRESS = "\x01", "\x02", "\x03"
_WORDS = {_SOURCE: "the source", _DESTINATION: "the destination", _ADDRESS: "its address"}
# How much of a range was probed is no cause.
_SHARE = re.compile(r"(?:^|; )\d+ of \d+ ports probed$")

# What packets that one rule rejects are observed as, the more telling the higher.
_LIMITED = {prober.TIMEOUT: 1, prober.REFUSED: 2, prober.REJECTED: 3}

Port = tuple[str, str, str]
"""A rule, the port as the check has it, and the protocol."""
Names = tuple[str, ...]


@dataclass(frozen=True)
class Cause:
    """Failed checks that one remedy mends."""

    expected: str
    """Empty where the probe itself did not work, which has nothing to do with it."""
    observed: str
    """What was observed; C(rejected or timeout) if it differs."""
    text: str
    """The cause and the remedy; names what all of the checks have in common."""
    checks: list[Check]


@dataclass(frozen=True)
class Scope:
    """That from each of the sources to each of the destinations each of the ports has failed.

    A node that is among both is not meant to have probed itself.
    """

    sources: list[str]
    destinations: list[str]
    ports: list[Port]
    count: int
    """How many checks these are."""


def failed(checks: Iterable[Check]) -> list[Check]:
    """Return the failed ones, in their order."""
    return [check for check in checks if not check["ok"]]


def causes(failures: Iterable[Check]) -> list[Cause]:
    """Group failed checks, those with most checks first.

    The kernel limits how many ICMP errors it sends to a host: of the packets from one host that one
    rule rejects, most are not answered. They have the cause of those that are.
    """
    groups: dict[tuple[str, str, str], list[Check]] = defaultdict(list)
    known: dict[tuple[str, str, str, str], str] = {}
    failures = list(failures)
    generals = []
    for check in failures:
        # Most details differ by their pair alone, and pairs have many checks.
        key = (check["detail"], check["source"], check["destination"], check["address"])
        if key not in known:
            known[key] = _general(check)
        generals.append(known[key])
    answered = _answered(failures, generals)
    for check, general in zip(failures, generals):
        expected = "" if check["observed"] == prober.ERROR else check["expected"]
        default = (check["observed"], general)
        observed, text = answered.get(_place(check, general), default)
        groups[expected, observed, text].append(check)
    found = [
        Cause(expected, _outcomes(checks), _particular(general, checks), checks)
        for (expected, _observed, general), checks in groups.items()
    ]
    return sorted(found, key=lambda cause: -len(cause.checks))


def _place(check: Check, general: str) -> tuple[str, str, str, str]:
    """Return a pair with what drops or rejects its packets, an empty text if that is not known."""
    limited = check["observed"] in _LIMITED
    cause = cause_of(general) if limited else ""
    return check["source"], check["destination"], check["expected"], cause


def _answered(
    failures: Iterable[Check], generals: Iterable[str]
) -> dict[tuple[str, str, str, str], tuple[str, str]]:
    """Return what was observed of each place that has sent an ICMP error, and its detail."""
    found: dict[tuple[str, str, str, str], tuple[str, str]] = {}
    for check, general in zip(failures, generals):
        place = _place(check, general)
        rank = _LIMITED.get(check["observed"], 0)
        if place[-1] and rank and (place not in found or rank > _LIMITED[found[place][0]]):
            found[place] = check["observed"], general
    return found


def _outcomes(checks: Iterable[Check]) -> str:
    observed = {check["observed"] for check in checks}
    return " or ".join(sorted(observed, key=lambda one: -_LIMITED.get(one, 0)))


def scopes(checks: Iterable[Check]) -> list[Scope]:
    """Say in few lines whom failed checks concern, those with most checks first."""
    # A segregated node is probed at two addresses, so a name may come twice.
    sources: dict[tuple[str, Port], list[str]] = defaultdict(list)
    for check in checks:
        port = (check["rule"], check["port"], check["protocol"])
        sources[check["destination"], port].append(check["source"])
    # The ports that the same sources miss at a destination ...
    ports: dict[tuple[Names, str], list[Port]] = defaultdict(list)
    for (destination, port), names in sources.items():
        ports[tuple(sorted(names)), destination].append(port)
    # ... and the destinations at which the same sources miss the same ports ...
    alike: dict[tuple[Names, tuple[Port, ...]], list[str]] = defaultdict(list)
    for (own, destination), missed in ports.items():
        alike[own, tuple(missed)].append(destination)
    # ... or would, if a node probed itself.
    mutual: dict[tuple[Names, tuple[Port, ...]], list[tuple[Names, str]]] = defaultdict(list)
    found = []
    for (own, all_missed), destinations in alike.items():
        if len(destinations) == 1:
            closed = tuple(sorted({*own, *destinations}))
            mutual[closed, all_missed].append((own, destinations[0]))
        else:
            count = len(own) * len(all_missed) * len(destinations)
            found.append(Scope(sorted(set(own)), sorted(destinations), list(all_missed), count))
    for (_closed, all_missed), pairs in mutual.items():
        found.append(
            Scope(
                sorted({name for own, _destination in pairs for name in own}),
                sorted(destination for _own, destination in pairs),
                list(all_missed),
                sum(len(own) for own, _destination in pairs) * len(all_missed),
            )
        )
    return sorted(found, key=lambda scope: -scope.count)


def _general(check: Check) -> str:
    """Return a detail with marks for what is its pair's own."""
    text = clean(_SHARE.sub("", check["detail"]))
    for own, mark in (
        (check["address"], _ADDRESS),
        (check["destination"], _DESTINATION),
        (check["source"], _SOURCE),
    ):
        if own in text:
            text = re.sub(rf"(?<![\w.:-]){re.escape(own)}(?![\w-]|[.:]\w)", mark, text)
    return text


def _particular(general: str, checks: list[Check]) -> str:
    """Fill the marks with a name where it is the same in all checks."""
    own: Mapping[str, set[str]] = {
        _SOURCE: {check["source"] for check in checks},
        _DESTINATION: {check["destination"] for check in checks},
        _ADDRESS: {check["address"] for check in checks},
    }
    for mark, values in own.items():
        word = next(iter(values)) if len(values) == 1 else _WORDS[mark]
        general = general.replace(mark, word)
    return general
