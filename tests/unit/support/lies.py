# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a compromised node may return in place of a sound value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

ESCAPES = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\r\nPLAY RECAP\u202egnp\ud800\ufffe\x00]]><script>&{{ 7*7 }}"
)


def nested(depth: int) -> Any:
    """Return lists in lists."""
    value: Any = []
    for _level in range(depth):
        value = [value]
    return value


LIES = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    "",
    ESCAPES,
    "open",
    "192.0.2.11",
    "fe80::1%eth0",
    "0.0.0.0/0",
    "x" * 10_000_000,
    [],
    [ESCAPES],
    [[], {}, None, math.nan],
    ["x"] * 300_000,
    {},
    {ESCAPES: ESCAPES},
    {"address": "192.0.2.11", "protocol": "tcp", "first": 6443, "last": 6443, "observed": "open"},
    nested(5000),
)
INJECTED = {
    "add_host": {"host_name": "evil", "groups": ["server"], "host_vars": {"ansible_host": "evil"}},
    "add_group": "server",
    "ansible_facts": {"k3s_topology_node_ip": "192.0.2.66", "ansible_python_interpreter": "evil"},
    "_ansible_facts_cacheable": True,
    "ansible_stats": {"data": {"k3s_connectivity_ok": True}, "aggregate": False},
    "_ansible_notify": ["Restart"],
    "_ansible_no_log": True,
    "_ansible_delegated_vars": {"ansible_host": "evil"},
    "unreachable": True,
    "skipped": True,
    "warnings": [ESCAPES, 7, None, {"event": 1}],
    "deprecations": [{"msg": ESCAPES}],
    "invocation": {"module_args": {"token": ESCAPES, "deep": nested(5)}},
    "exception": ESCAPES,
    "results": [{"observed": "open"}],
    "diff": {"before": ESCAPES, "after": nested(50)},
    "msg": ESCAPES * 1000,
}


def paths(value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a structure, the structure itself included."""
    yield so_far
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*so_far, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*so_far, number))


def replaced(value: Any, path: tuple[Any, ...], lie: Any) -> Any:
    """Return a structure with another value at a path."""
    if not path:
        return lie
    inner = replaced(value[path[0]], path[1:], lie)
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [*value[: path[0]], inner, *value[path[0] + 1 :]]


def lying(sound: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what a node returns in place of a sound result: some values are false."""
    keys = st.lists(st.sampled_from(sorted(INJECTED)), max_size=3)
    places = list(paths(sound))
    # Numbers, since Hypothesis cannot print what is nested that deeply.
    steps = st.lists(
        st.tuples(st.integers(0, len(places) - 1), st.integers(0, len(LIES) - 1)), max_size=2
    )

    def made(arguments: tuple[Any, Any]) -> Any:
        injected, changes = arguments
        value: Any = {**sound, **{key: INJECTED[key] for key in injected}}
        for place, lie in changes:
            try:
                value = replaced(value, places[place], LIES[lie])
            except (KeyError, IndexError, TypeError):
                continue
        return value

    return st.tuples(keys, steps).map(made)


def assert_clean(value: Any) -> None:
    """Assert that texts of a structure have no character that a terminal or parser interprets."""
    if isinstance(value, str):
        assert value.replace("\n", "").replace("\t", "").isprintable(), value[:200]
    elif isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            assert_clean(key)
            assert_clean(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            assert_clean(inner)
    else:
        assert value is None or isinstance(value, (bool, int))
