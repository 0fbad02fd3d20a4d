# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's script puts together what pack() took apart; unpack() does here what it does there."""

from __future__ import annotations

import json

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.page import (
    ADDRESS,
    DESTINATION,
    SOURCE,
    pack,
    page,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    REJECTED,
    check,
    cluster,
    finding,
    report,
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


def everyone_rejected(count):
    names = [f"node{number}" for number in range(count)]
    nodes = [node(name, address=f"10.0.0.{number}") for number, name in enumerate(names)]
    found = [
        check(
            source,
            one["name"],
            address=one["address"],
            observed="rejected",
            ok=False,
            detail=REJECTED.format(one["name"], one["address"]),
        )
        for source in names
        for one in nodes
        if source != one["name"]
    ]
    return topology(nodes), found


def test_what_all_pairs_saw_stands_once():
    cluster, found = everyone_rejected(20)
    packed = pack(found, {one["name"]: one["address"] for one in cluster["nodes"]})
    assert (len(packed["checks"]), len(packed["lists"]), len(packed["pairs"])) == (1, 1, 380)


def test_a_cause_says_whom_it_concerns_and_shows_some_of_its_checks():
    cluster, found = everyone_rejected(30)
    shown = page(report(found), cluster)
    (cause,) = shown["causes"]
    assert (cause["count"], len(cause["checks"])) == (870, 500)
    assert cause["scopes"] == [("all 30 nodes -> each other", "kubernetes-api 6443/tcp")]
    assert cause["common"] == {"observed": "rejected", "rule": "kubernetes-api"}


def test_of_very_many_causes_those_with_most_checks_are_shown():
    found = [check(ok=False, observed="timeout", detail=f"cause {one}") for one in range(70)]
    shown = page(report([*found, found[-1]]), topology())
    assert (len(shown["causes"]), shown["rest"]) == (50, 20)
    assert (shown["causes"][0]["text"], shown["causes"][0]["count"]) == ("cause 69", 2)
    assert sum(len(cause["checks"]) for cause in shown["causes"]) == 51


def test_page_folds_what_exceeds_the_first_findings():
    found = [finding(cause=f"{number:02}") for number in range(15)]
    shown = page(report([], found), topology())
    visible, folded = (
        [one["finding"]["cause"] for one in shown[key]] for key in ("findings", "folded")
    )
    assert visible == [f"{number:02}" for number in range(12)]
    assert folded == ["12", "13", "14"]
    assert shown["counted"] == "15 errors"


def test_page_lists_hosts_that_the_short_text_leaves_out():
    large = cluster(40)
    names = [one["name"] for one in large["nodes"]]
    found = [finding(*names), finding("server1", "agent1", cause="x"), finding(*names[5:25])]
    found.append({**finding(cause="y"), "hosts": []})
    shown = {one["who"]: one["names"] for one in page(report([], found), large)["findings"]}
    assert shown["server1, agent1"] == shown["cluster"] == ""
    assert shown["all 40 nodes"] == ", ".join(sorted(names))


def test_data_can_not_end_its_script_element():
    shown = page(report([]), topology([node("</script>")]))
    assert "<" not in shown["data"]
    assert json.loads(shown["data"])["nodes"][0]["name"] == "</script>"
