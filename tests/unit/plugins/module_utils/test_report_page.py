# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's script puts together what pack() took apart; unpack() does here what it does there."""

from __future__ import annotations

import json

from ansible_collections.edgeops.k3s_network.plugins.module_utils._report_page import (
    ADDRESS,
    DESTINATION,
    SOURCE,
    pack,
    page,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "ab", "1", "10", "tcp", "open", "</script>", 'quo"te', "ü"])
ADDRESSES = {"a": "10.0.0.1", "b": "10.0.0.10", "ab": "fd00::1", "1": "1", "tcp": "10.0.0.2"}


@st.composite
def checks(draw):
    source, destination = draw(NAMES), draw(NAMES)
    address = draw(st.sampled_from([ADDRESSES.get(destination, ""), "192.0.2.1"]))
    words = st.sampled_from([source, destination, address, "rejects it", "10", " "])
    return {
        "source": source,
        "destination": destination,
        "address": address,
        "port": draw(st.sampled_from(["1", "10-20"])),
        "protocol": "tcp",
        "rule": draw(NAMES),
        "expected": "open",
        "observed": draw(st.sampled_from(["open", "error"])),
        "ok": draw(st.booleans()),
        "detail": "".join(draw(st.lists(words, max_size=5))),
    }


def unpack(packed, addresses):
    result = []
    for source_number, destination_number, number in packed["pairs"]:
        source, destination = packed["names"][source_number], packed["names"][destination_number]
        for line in packed["lists"][number]:
            check = dict(packed["checks"][line], source=source, destination=destination)
            for key in ("address", "detail"):
                text = check[key].replace(ADDRESS, addresses.get(destination, ""))
                check[key] = text.replace(SOURCE, source).replace(DESTINATION, destination)
            result.append(check)
    return result


def in_order(found):
    return sorted(json.dumps(check, sort_keys=True) for check in found)


@given(st.lists(checks(), max_size=30))
def test_nothing_is_lost(found):
    assert in_order(unpack(pack(found, ADDRESSES), ADDRESSES)) == in_order(found)


def test_what_all_pairs_saw_stands_once():
    names = [f"node{number}" for number in range(20)]
    addresses = {name: f"10.0.0.{number}" for number, name in enumerate(names)}
    found = [
        {
            "source": source,
            "destination": destination,
            "address": addresses[destination],
            "port": "6443",
            "protocol": "tcp",
            "rule": "kubernetes-api",
            "expected": "open",
            "observed": "rejected",
            "ok": False,
            "detail": f"{destination}'s firewall rejects it (ICMP from {addresses[destination]})",
        }
        for source in names
        for destination in names
        if source != destination
    ]
    packed = pack(found, addresses)
    assert (len(packed["checks"]), len(packed["lists"]), len(packed["pairs"])) == (1, 1, 380)
    topology = {"nodes": [], "rows": []}
    shown = page({"ok": False, "summary": {}, "checks": found * 2}, topology)
    assert len(shown["failures"]) == 500
    assert shown["unproved"] == 0


def test_data_can_not_end_its_script_element():
    topology = {"nodes": [{"name": "</script>", "address": "10.0.0.1"}], "rows": []}
    shown = page({"ok": True, "summary": {}, "checks": []}, topology)
    assert "<" not in shown["data"]
    assert json.loads(shown["data"])["nodes"][0]["name"] == "</script>"
