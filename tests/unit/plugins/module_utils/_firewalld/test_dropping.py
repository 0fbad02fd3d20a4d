# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.read import (
    _ends_early,
    _holder,
    _sources,
)

ZONES = {
    "work": {"interfaces": ["eth+"], "sources": ["ipset:nodes", "192.0.2.9"]},
    "ban": {"interfaces": [], "sources": ["198.51.100.7"]},
}
SETTINGS = {
    ("zone", "work"): {"target": "default"},
    ("zone", "ban"): {"target": "DROP"},
    ("ipset", "nodes"): {"entries": ["192.0.2.1"]},
}


class Client:
    """A firewalld of a version with these zones and ipsets."""

    def __init__(self, version="1.3.3"):
        self.version = lambda: version

    def runtime_settings(self, key):
        return SETTINGS[key]


@pytest.mark.parametrize(
    ("version", "zones", "early"),
    [
        ("0.9.3", {"work", "ban"}, True),
        ("0.9.3", {"work"}, False),
        ("1.3.3", {"work", "ban"}, False),
    ],
)
def test_ends_early_looks_at_each_zone_that_is_copied(version, zones, early):
    assert _ends_early(Client(version), zones) is early


def test_sources_hold_ipset_entries_and_no_dropping_zone():
    assert _sources(Client(), ZONES, set(SETTINGS)) == {
        "work": ["ipset:nodes", "192.0.2.9", "192.0.2.1"]
    }


def test_holder_returns_the_pattern_that_the_zone_lists():
    assert _holder("eth0", ZONES) == ("work", "eth+")
    assert _holder("cni0", ZONES) == ("", "")
