# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.sources import (
    Ipset,
    contains,
    first_match,
    matches,
)

ADDRESS = "192.0.2.12"
MAC = "52:54:00:12:34:56"


@pytest.mark.parametrize(
    ("kind", "entries", "complete", "match"),
    [
        ("hash:ip", [ADDRESS], True, True),
        ("hash:ip", [ADDRESS], False, True),
        ("hash:ip", ["192.0.2.1-192.0.2.20"], True, True),
        ("hash:net", ["198.51.100.0/24", "192.0.2.0/24"], True, True),
        ("hash:net", ["198.51.100.0/24"], True, False),
        ("hash:net", ["2001:db8::/32"], True, False),
        ("hash:net", ["198.51.100.0/24"], False, None),
        # Whether the port, the mark or the NIC matches is not known.
        ("hash:ip,port", [f"{ADDRESS},tcp:6443"], True, None),
        ("hash:net,iface", ["198.51.100.0/24,eth0"], True, False),
        ("hash:mac", [MAC], True, None),
        ("hash:ip", ["nonsense"], True, False),
        ("", [], False, None),
    ],
)
def test_ipset_holds_an_address(kind, entries, complete, match):
    assert Ipset(kind, tuple(entries), complete).holds(ADDRESS) is match


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (ADDRESS, True),
        ("192.0.2.0/24", True),
        ("198.51.100.0/24", False),
        ("2001:db8::/32", False),
        (MAC, None),
        ("ipset:office", True),
        ("ipset:unknown", None),
    ],
)
def test_source_of_a_zone_matches_an_address(source, match):
    assert matches(source, ADDRESS, {"office": Ipset("hash:ip", (ADDRESS,), True)}) is match


def test_first_match_prefers_what_is_known():
    assert first_match([MAC, "192.0.2.0/24"], ADDRESS, {}) == ("192.0.2.0/24", True)
    assert first_match(["198.51.100.1", MAC], ADDRESS, {}) == (MAC, None)
    assert first_match(["198.51.100.1"], ADDRESS, {}) == ("", False)


@pytest.mark.parametrize(
    "text", ["192.0.2.9-192.0.2.1", "2001:db8::1-2001:db8::9", "192.0.2.1-x", "-", ""]
)
def test_range_that_does_not_contain_an_address(text):
    assert contains(text, ADDRESS) is False
