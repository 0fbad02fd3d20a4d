# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates what C(port_probe) returns of a source. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import prober

from . import values

OUTCOMES = (
    prober.OPEN,
    prober.ACCEPTED,
    prober.WRONG_HOST,
    prober.REFUSED,
    prober.REJECTED,
    prober.TIMEOUT,
    prober.MTU_HOLE,
    prober.LOSS,
    prober.OVERLAY_SILENT,
    prober.UNREACHABLE,
    prober.ERROR,
)
PROTOCOLS = ("tcp", "udp")
# A round has some 100,000 probes, and there may be an address for each node.
_MOST_RESULTS = 200_000
_MOST_ADDRESSES = 10_000
_MOST_MACS = 8
_MOST_PROCESSES = 1000
_PID_MAX = 2**22


def read(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of a source. Raises ValueError if a value is not valid."""
    sources = values.mapping(result, "sources", _MOST_ADDRESSES)
    duplicates = values.mapping(result, "duplicates", _MOST_ADDRESSES)
    return {
        "results": [_outcome(one) for one in values.mappings(result, "results", _MOST_RESULTS)],
        "sources": {
            values.address(key, "a key of sources"): (
                None if own is None else values.address(own, "sources")
            )
            for key, own in sources.items()
        },
        "duplicates": {
            values.address(key, "a key of duplicates"): _macs(duplicates, key) for key in duplicates
        },
        "ended": [
            values.integer(one, "ended", 1, _PID_MAX)
            for one in values.items(result, "ended", _MOST_PROCESSES)
        ],
    }


def _outcome(one: Mapping[str, Any]) -> dict[str, Any]:
    first, last = (values.port(one.get(key), f"{key} in results") for key in ("first", "last"))
    if first > last:
        raise ValueError("results has a range that ends before it begins")
    return {
        "address": values.address(one.get("address"), "address in results"),
        "protocol": values.word(one.get("protocol"), "protocol in results", PROTOCOLS),
        "first": first,
        "last": last,
        "observed": values.word(one.get("observed"), "observed in results", OUTCOMES),
        "detail": values.line(one.get("detail"), "detail in results"),
    }


def _macs(duplicates: dict[str, Any], key: str) -> list[str]:
    """Return the first MAC addresses: anyone on the network can send any number of them."""
    given = duplicates[key]
    if not isinstance(given, (list, tuple)):
        raise ValueError("duplicates has a value that is not a list")
    return [values.mac(one, "duplicates") for one in given[:_MOST_MACS]]
