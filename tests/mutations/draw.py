# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws a mutation at random; the same seed draws the same one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from . import kinds_hosts, kinds_ranges, kinds_rules
from .cluster import Cluster
from .mutation import Draw, Mutation
from .world import intact

KINDS: dict[str, Draw] = {
    "removed": kinds_rules.removed,
    "reject": kinds_rules.reject,
    "reset": kinds_rules.reset,
    "drop": kinds_rules.drop,
    "wrong-source": kinds_rules.wrong_source,
    "too-wide": kinds_rules.too_wide,
    "cut-at-end": kinds_ranges.cut_at_end,
    "cut-inside": kinds_ranges.cut_inside,
    "cut-large": kinds_ranges.cut_large,
    "wrong-interface": kinds_hosts.wrong_interface,
    "wrong-address": kinds_hosts.wrong_address,
    "duplicate-address": kinds_hosts.duplicate_address,
    "small-mtu": kinds_hosts.small_mtu,
}
_WEIGHTS = {"cut-large": 0.2}
"""Twenty thousand ports from each node to each other take a while."""
_TRIES = 400


def draw(rng: random.Random, cluster: Cluster, kinds: Sequence[str] = ()) -> Mutation:
    """Return a mutation of one of these kinds that a report has to tell of.

    By default of any kind. Raises ValueError where there is none.
    """
    world = intact(cluster)
    chosen = list(kinds or KINDS)
    for _try in range(_TRIES):
        if not chosen:
            break
        kind = rng.choices(chosen, [_WEIGHTS.get(kind, 1) for kind in chosen])[0]
        for _again in range(_TRIES):
            mutation = KINDS[kind](rng, world)
            # 10250 lies in a range that is admitted as well: without its rule nothing is missing.
            if mutation is not None and mutation.breaks_something():
                return mutation
        chosen = [one for one in chosen if one != kind]
    raise ValueError(f"no mutation of {', '.join(kinds)} in a cluster that is {cluster.mode}")
