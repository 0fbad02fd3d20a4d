# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the variables in which Ansible holds what hosts returned. Pure functions.

The action plugins have validated what they registered. A fact that has the name of such a variable
did not pass through them, so that the same functions read it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from . import listeners, preflight, probes, values

_MOST_ROUNDS = 1000
_CLOCK_MAX = 2e10


class Answer(NamedTuple):
    """What a host returned."""

    value: Optional[dict[str, Any]] = None
    """None if it returned nothing, if its task failed, or if the value is not valid."""
    problem: str = ""
    """Why it is not valid."""


def read_listeners(registered: Any) -> Answer:
    """Return what C(port_listener) returned on a host."""
    if not isinstance(registered, Mapping) or "processes" not in registered:
        return Answer()
    try:
        return Answer(listeners.read(registered))
    except ValueError as error:
        return Answer(problem=f"the result of port_listener is not valid ({error})")


def read_probes(registered: Any) -> Answer:
    """Return what a loop of C(port_probe) over rounds returned, as if it were a single call.

    The value is None if no round came to its end.
    """
    if not isinstance(registered, Mapping):
        return Answer()
    try:
        rounds = values.mappings(registered, "results", _MOST_ROUNDS) if registered else []
        ended = [probes.read(one) for one in rounds if "results" in one]
    except ValueError as error:
        if "results" not in registered:
            return Answer()
        return Answer(problem=f"the result of port_probe is not valid ({error})")
    if not ended:
        return Answer()
    whole: dict[str, Any] = {"results": [], "sources": {}, "duplicates": {}, "ended": []}
    for one in ended:
        whole["results"] += one["results"]
        whole["ended"] += one["ended"]
        whole["sources"].update(one["sources"])
        whole["duplicates"].update(one["duplicates"])
    return Answer(whole)


def read_preflight(registered: Any) -> Answer:
    """Return what C(preflight_facts) returned on a host, with C(asked)."""
    if not isinstance(registered, Mapping) or "facts" not in registered:
        return Answer()
    try:
        asked = [
            values.number(one, "asked", 0, _CLOCK_MAX)
            for one in values.items(registered, "asked", 2)
        ]
        if len(asked) < 2:
            raise ValueError("asked has no two times")
        return Answer({**preflight.read(registered), "asked": asked})
    except ValueError as error:
        return Answer(problem=f"the result of preflight_facts is not valid ({error})")


def failure(registered: Any, host: str) -> str:
    """Return the message of a task that failed on a host, without its name; empty if it did not."""
    if not isinstance(registered, Mapping) or not registered.get("failed"):
        return ""
    message = registered.get("msg")
    if not isinstance(message, str):
        return ""
    return values.line(message.removeprefix(f"host {host}: "), "msg")
