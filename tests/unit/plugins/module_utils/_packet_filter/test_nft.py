# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter import nft
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.nft_rules import (
    read_rule,
)

TCP = {"payload": {"protocol": "tcp", "field": "dport"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
DROP = {"drop": None}


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key):
    return {"meta": {"key": key}}


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([DROP], [{"verdict": "drop"}]),
        ([{"counter": {"packets": 0, "bytes": 0}}, {"reject": None}], [{"verdict": "drop"}]),
        ([{"goto": {"target": "a"}}], [{"verdict": "goto", "target": "a"}]),
        ([{"log": {"prefix": "x"}}], []),
        ([{"masquerade": None}], [{"verdict": "accept"}]),
        ([{"queue": {"num": 0}}], [{"verdict": "unknown"}]),
        (
            [match(TCP, {"set": [22, {"range": [80, 90]}]}), DROP],
            [{"verdict": "drop", "protocols": ["tcp"], "ports": [[22, 22], [80, 90]]}],
        ),
        (
            [match(TCP, 22, "!="), DROP],
            [{"verdict": "drop", "protocols": ["tcp"], "ports": [[22, 22]], "negated": ["ports"]}],
        ),
        (
            [match(SOURCE, {"range": ["192.0.2.10", "192.0.2.12"]}), DROP],
            [{"verdict": "drop", "sources": ["192.0.2.10/31", "192.0.2.12/32"]}],
        ),
        (
            [match(meta("iifname"), {"set": ["eth*", "cni0"]}), DROP],
            [{"verdict": "drop", "inputs": ["eth*", "cni0"]}],
        ),
        ([match(meta("l4proto"), 17), DROP], [{"verdict": "drop", "protocols": ["udp"]}]),
        ([match(meta("nfproto"), "ipv6"), DROP], [{"verdict": "drop", "sources": ["::/0"]}]),
        (
            [match(meta("nfproto"), "ipv6", "!="), DROP],
            [{"verdict": "drop", "sources": ["0.0.0.0/0"]}],
        ),
        # The address is what matters.
        (
            [match(meta("nfproto"), "ipv4"), match(SOURCE, "192.0.2.1"), DROP],
            [{"verdict": "drop", "sources": ["192.0.2.1/32"]}],
        ),
        (
            [match({"ct": {"key": "state"}}, ["established", "related"], "in"), {"accept": None}],
            [{"verdict": "accept", "states": ["established", "related"]}],
        ),
        (
            [match({"fib": {"result": "type", "flags": ["daddr"]}}, "local", "!="), DROP],
            [{"verdict": "drop", "local": False}],
        ),
        # What is not evaluated.
        ([{"limit": {"rate": 1, "per": "second"}}, DROP], [{"verdict": "drop", "partial": True}]),
        ([match(meta("mark"), 1), DROP], [{"verdict": "drop", "partial": True}]),
        ([match(SOURCE, "@unknown"), DROP], [{"verdict": "drop", "partial": True}]),
        (
            [match({"concat": [SOURCE, TCP]}, "@peers"), DROP],
            [{"verdict": "drop", "partial": True}],
        ),
        ([match(TCP, 1024, ">"), DROP], [{"verdict": "drop", "partial": True}]),
        (["nonsense", DROP], [{"verdict": "drop", "partial": True}]),
        # Extensions of iptables: since 1.0 with their names.
        ([{"xt": {"type": "target", "name": "REJECT"}}], [{"verdict": "drop"}]),
        ([{"xt": {"type": "target", "name": "LOG"}}], []),
        (
            [{"xt": {"type": "match", "name": "conntrack"}}, DROP],
            [{"verdict": "drop", "partial": True}],
        ),
        ([{"xt": None}], [{"verdict": "unknown", "partial": True}]),
        # Maps of verdicts.
        (
            [
                {
                    "vmap": {
                        "key": TCP,
                        "data": {"set": [[22, {"accept": None}], [80, {"jump": {"target": "a"}}]]},
                    }
                }
            ],
            [
                {"verdict": "accept", "protocols": ["tcp"], "ports": [[22, 22]]},
                {"verdict": "jump", "target": "a", "protocols": ["tcp"], "ports": [[80, 80]]},
            ],
        ),
        (
            [{"vmap": {"key": TCP, "data": "@unknown"}}],
            [{"verdict": "unknown", "partial": True}],
        ),
        # Sets of the table.
        ([match(SOURCE, "@peers"), DROP], [{"verdict": "drop", "sources": ["192.0.2.0/24"]}]),
        ([match(SOURCE, "@empty"), DROP], [{"verdict": "drop", "sources": []}]),
        ([match(SOURCE, "@timed"), DROP], [{"verdict": "drop", "sources": ["192.0.2.9/32"]}]),
        ([match(SOURCE, "@large"), DROP], [{"verdict": "drop", "partial": True}]),
    ],
)
def test_expressions_of_nft_are_read(expressions, expected):
    sets = {
        "peers": [{"prefix": {"addr": "192.0.2.0", "len": 24}}],
        "empty": [],
        "timed": [{"elem": {"val": "192.0.2.9", "timeout": 60}}],
        "large": [f"10.0.{n // 256}.{n % 256}" for n in range(1000)],
    }
    assert list(read_rule(expressions, sets)) == expected


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"nftables": [1]}', '{"nftables": [{}]}', '{"nftables": [{"a": 1}]}']
)
def test_text_that_is_not_a_ruleset_is_refused(text):
    with pytest.raises(nft.NftError):
        nft.parse(text)


def ruleset(*objects, family="inet", table="mine"):
    """Return a ruleset with a table that has these objects."""
    entries = [{kind: {"family": family, "table": table, **what}} for kind, what in objects]
    return nft.parse(json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *entries]}))


def base(name, hook, policy="drop", **others):
    return "chain", {"name": name, "hook": hook, "prio": 0, "policy": policy, **others}


@pytest.mark.parametrize(
    ("family", "table"),
    [
        ("inet", "firewalld"),
        ("ip", "firewalld"),
        ("inet", "firewalld_policy_drop"),
        ("ip", "kube-proxy"),
        ("ip6", "flannel-ipv6"),
    ],
)
def test_tables_of_firewalld_and_kubernetes_are_left_out(family, table):
    entries = ruleset(base("input", "input"), family=family, table=table)
    assert list(nft.base_chains(entries, "", set())) == []


def test_hooks_that_no_packet_of_the_host_meets_are_left_out():
    assert list(nft.base_chains(ruleset(base("x", "egress")), "", set())) == []


@pytest.mark.parametrize("hook", ["output", "postrouting"])
def test_chains_that_drop_packets_of_the_host_are_found(hook):
    (chain,) = nft.base_chains(ruleset(base("x", hook)), "", set())
    assert (chain["hook"], chain["drops"], chain["rule"]) == (hook, "all", "policy drop")


def test_chain_without_a_policy_accepts():
    entries = ruleset(("chain", {"name": "ingress", "hook": "ingress", "dev": ["eth0", "eth1"]}))
    assert list(nft.base_chains(entries, "", set())) == []


def test_interfaces_of_a_chain_come_from_the_json_or_the_listing():
    listing = (
        "table inet mine { # handle 1\n"
        "\tchain early { # handle 1\n"
        '\t\ttype filter hook ingress devices = { "eth0", eth1 } priority 0; policy drop;\n'
        "\t}\n}\n"
    )
    (old,) = nft.base_chains(ruleset(base("early", "ingress")), listing, set())
    (new,) = nft.base_chains(ruleset(base("early", "ingress", dev=["eth0", "eth1"])), "", set())
    assert old["devices"] == new["devices"] == ["eth0", "eth1"]


def test_rule_that_the_listing_does_not_have_is_named_by_its_handle():
    entries = ruleset(
        base("input", "input", "accept"), ("rule", {"chain": "input", "handle": 7, "expr": [DROP]})
    )
    (chain,) = nft.base_chains(entries, "", set())
    assert (chain["rule"], chain["handle"]) == ("drop (handle 7)", 7)


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([match(SOURCE, "192.0.2.1"), {"counter": {}}, DROP], True),
        ([{"xt": {"type": "match", "name": "multiport"}}, {"counter": {}}, DROP], True),
        ([match({"&": [meta("mark"), 1]}, 1), {"counter": {}}, DROP], True),
        # iptables counts the packets of each rule.
        ([match(SOURCE, "192.0.2.1"), DROP], False),
        ([match(SOURCE, "@peers"), {"counter": {}}, DROP], False),
        ([match(TCP, {"set": [22, 80]}), {"counter": {}}, DROP], False),
        ([match({"ct": {"key": "state"}}, "new"), {"counter": {}}, DROP], False),
        ([{"counter": {}}, {"reject": None}], False),
    ],
)
def test_table_is_that_of_iptables_if_iptables_can_have_made_it(expressions, expected):
    entries = ruleset(
        base("INPUT", "input"),
        ("rule", {"chain": "INPUT", "handle": 1, "expr": expressions}),
        family="ip",
        table="filter",
    )
    assert (nft.iptables_tables(entries) == {("ip", "filter")}) is expected
