# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import firewalls
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.firewalls import (
    Difference,
    Firewall,
    Opening,
    Zone,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.sources import Ipset
from hypothesis import given
from hypothesis import strategies as st

RESULT = {
    "changed": False,
    "problem": "",
    "firewalld": {
        "running": True,
        "version": "1.3.3",
        "prepared": True,
        "refused": "",
        "differences": [
            {
                "configuration": "runtime",
                "kind": "policy",
                "name": "k3s-from-nodes",
                "state": "different",
                "settings": ["rich_rules"],
                "zone": "",
            }
        ],
        "default_zone": "public",
        "zones": {
            "public": {"interfaces": ["eth0"], "sources": [], "target": "default"},
            "drop": {"interfaces": [], "sources": ["192.0.2.0/24"], "target": "DROP"},
        },
        "ipsets": {
            "office": {"type": "hash:net", "entries": ["198.51.100.0/24"], "complete": True},
            "lie": {"type": 1, "entries": {"a": 1}, "complete": "yes"},
            "wrong": [],
        },
        "openings": [
            {"object": "zone", "name": "public", "option": "service=ssh", "ports": ["22/tcp"]}
        ],
    },
    "overlay": {"kubernetes": ["k3s-server"], "interfaces": {"cni0": True}, "udp_ports": [8472]},
    "packet_filters": [
        {
            "tool": "nft",
            "family": "inet",
            "table": "other",
            "chain": "input",
            "hook": "input",
            "priority": 0,
            "policy": "drop",
            "devices": [],
            "drops": "all",
            "rule": "policy drop",
            "rule_chain": "input",
            "handle": 0,
            "owner": "",
            "policy_owner": "",
            "rules": {"input": []},
        },
        {"tool": "lie"},
    ],
}


def test_read_returns_what_a_node_returned():
    assert firewalls.read({"firewall": RESULT}) == Firewall(
        version="1.3.3",
        running=True,
        prepared=True,
        differences=(
            Difference("runtime", "policy", "k3s-from-nodes", "different", ("rich_rules",)),
        ),
        default_zone="public",
        zones={
            "public": Zone(("eth0",), (), "default"),
            "drop": Zone((), ("192.0.2.0/24",), "DROP"),
        },
        ipsets={"office": Ipset("hash:net", ("198.51.100.0/24",), True), "lie": Ipset("")},
        openings=(Opening("zone", "public", "service=ssh", ("22/tcp",)),),
        packet_filters=(RESULT["packet_filters"][0],),
        kubernetes=("k3s-server",),
        overlay_interfaces={"cni0": True},
        udp_ports=frozenset({8472}),
    )


@pytest.mark.parametrize(
    "result", [None, "", [], {}, {"skipped": True}, {"firewall": {"overlay": "x"}}]
)
def test_read_without_a_result_returns_none(result):
    assert firewalls.read(result) is None


def test_read_cleans_and_cuts_texts():
    lie = {
        **RESULT,
        "problem": "\x1b[31m" + "x" * 10_000_000,
        "firewalld": {**RESULT["firewalld"], "default_zone": "a\nb\ud800"},
    }
    read = firewalls.read({"firewall": lie})
    assert read.problem.startswith("?[31mx")
    assert len(read.problem) <= 1500
    assert read.default_zone == "a?b?"


def test_read_bounds_the_number_of_entries():
    many = [RESULT["firewalld"]["openings"][0]] * 100_000
    read = firewalls.read(
        {"firewall": {**RESULT, "firewalld": {**RESULT["firewalld"], "openings": many}}}
    )
    assert len(read.openings) == 200


def test_read_leaves_unknown_words_out():
    wrong = {**RESULT["firewalld"]["differences"][0], "state": "ok"}
    read = firewalls.read(
        {"firewall": {**RESULT, "firewalld": {**RESULT["firewalld"], "differences": [wrong]}}}
    )
    assert read.differences == ()


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted({*RESULT, *RESULT["firewalld"], "ports"})), inner)
    ),
    max_leaves=15,
)


@given(_ANY, _ANY, _ANY)
def test_read_of_any_answer_raises_nothing(firewalld, overlay, filters):
    read = firewalls.read(
        {
            "firewall": {
                "firewalld": firewalld,
                "overlay": overlay,
                "packet_filters": filters,
                "problem": filters,
            }
        }
    )
    assert read is None or all(one.opens(80, "tcp") in (True, False) for one in read.openings)


@pytest.mark.parametrize(
    ("port", "protocol", "is_open"),
    [(9095, "tcp", True), (9095, "udp", False), (30000, "tcp", True), (30001, "tcp", False)],
)
def test_opening_opens_its_ports_only(port, protocol, is_open):
    one = Opening("zone", "public", "port=9095/tcp", ("9095/tcp", "10000-30000/tcp", "nonsense"))
    assert one.opens(port, protocol) is is_open


def test_zone_of_an_interface_that_no_zone_lists_is_the_default_zone():
    read = firewalls.read({"firewall": RESULT})
    assert read.zone_of("eth0") == "public"
    assert read.zone_of("eth7") == read.zone_of(None) == "public"


def test_zone_of_source_returns_the_zone_of_an_address():
    read = firewalls.read({"firewall": RESULT})
    assert read.zone_of_source("192.0.2.12") == ("drop", "192.0.2.0/24")
    assert read.zone_of_source("198.51.100.1") == ("", "")


def test_zones_that_may_have_an_address_come_before_the_certain_one():
    zones = {
        "a": Zone((), ("ipset:unknown",)),
        "b": Zone((), ("192.0.2.0/24",)),
        "c": Zone((), ("52:54:00:12:34:56",)),
    }
    firewall = Firewall(zones=zones)
    assert list(firewall.possible_zones_of_source("192.0.2.12")) == [("a", "ipset:unknown")]
    assert firewall.zone_of_source("192.0.2.12") == ("b", "192.0.2.0/24")
    assert firewall.zone_of_source("198.51.100.1") == ("", "")
