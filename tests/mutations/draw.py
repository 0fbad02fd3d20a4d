# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws a mutation at random; the same seed draws the same one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from . import (
    kinds_addresses,
    kinds_configuration,
    kinds_filters,
    kinds_hosts,
    kinds_ranges,
    kinds_rules,
    kinds_services,
    kinds_zones,
)
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
    "emptied": kinds_configuration.emptied,
    "permanent": kinds_configuration.permanent,
    "overlay-down": kinds_configuration.overlay_down,
    "opened": kinds_zones.opened,
    "source-zone": kinds_zones.source_zone,
    "trusted-interface": kinds_zones.trusted_interface,
    "stopped-service": kinds_services.stopped_service,
    "running-service": kinds_services.running_service,
    "virtual-ip": kinds_addresses.virtual_ip,
    "second-address": kinds_addresses.second_address,
    "sends-from": kinds_addresses.sends_from,
    "spare-nic": kinds_addresses.spare_nic,
    "foreign-drop": kinds_filters.foreign_drop,
    "foreign-reject": kinds_filters.foreign_reject,
    "foreign-port": kinds_filters.foreign_port,
}
CHANGE_ADDRESSES = frozenset(
    kind
    for kind, draw in KINDS.items()
    if draw.__module__ in (kinds_addresses.__name__, kinds_hosts.__name__)
)
"""Kinds after which the topology has to be derived again."""
_WEIGHTS = {"cut-large": 0.2}
"""Twenty thousand ports from each node to each other take a while."""
_TRIES = 400


def draw(rng: random.Random, cluster: Cluster, kinds: Sequence[str] = ()) -> Mutation:
    """Return a mutation of one of these kinds, by default of any kind.

    It breaks something that a report has to say, or is one that breaks nothing by intention. Raises
    ValueError if there is none.
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
            if mutation is not None and mutation.harmless != mutation.breaks_something():
                return mutation
        chosen = [one for one in chosen if one != kind]
    raise ValueError(f"no mutation of {', '.join(kinds)} in a cluster that is {cluster.mode}")
