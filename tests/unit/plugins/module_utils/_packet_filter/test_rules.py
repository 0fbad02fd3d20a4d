# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.rules import (
    ACCEPT,
    DROP,
    GOTO,
    JUMP,
    RETURN,
    UNKNOWN,
    Packet,
    Rule,
    fate,
    matches,
)
from hypothesis import given
from hypothesis import strategies as st

PACKET = Packet("192.0.2.11", "192.0.2.21", "tcp", 6443, 6443, inputs=("eth0",), local=True)
CHAINS = ("base", "first", "second")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"partial": True}, None),
        ({"sources": ["192.0.2.0/24"]}, True),
        ({"sources": ["198.51.100.0/24"]}, False),
        ({"sources": []}, False),
        ({"sources": ["2001:db8::/32"]}, False),
        ({"sources": ["not a network"]}, None),
        ({"sources": ["198.51.100.0/24"], "negated": ["sources"]}, True),
        # A rule that compares an address of IPv6 is about packets of IPv6.
        ({"sources": ["2001:db8::/32"], "negated": ["sources"]}, False),
        ({"sources": [], "negated": ["sources"]}, True),
        ({"destinations": ["192.0.2.21/32"]}, True),
        ({"inputs": ["eth*"]}, True),
        ({"inputs": ["eth1", "cni0"]}, False),
        ({"inputs": ["lo"], "negated": ["inputs"]}, True),
        # The interface that it leaves by is not known.
        ({"outputs": ["eth1"]}, None),
        ({"protocols": ["udp"]}, False),
        ({"ports": [[22, 22], [6000, 7000]]}, True),
        ({"ports": [[22, 22]]}, False),
        ({"states": ["established", "related"]}, False),
        ({"states": ["invalid"], "negated": ["states"]}, True),
        ({"local": True}, True),
        ({"local": False}, False),
        # One that does not apply decides, whatever else there is.
        ({"partial": True, "protocols": ["udp"]}, False),
    ],
)
def test_condition_of_a_rule_is_compared_with_a_packet(conditions, expected):
    assert matches(Rule(verdict=DROP, **conditions), PACKET) is expected


@pytest.mark.parametrize(
    ("packet", "conditions", "expected"),
    [
        ({"source": "192.0.0.0/16"}, {"sources": ["192.0.2.0/24"]}, None),
        ({"source": "192.0.2.0/25"}, {"sources": ["192.0.2.0/24"]}, True),
        ({"first": 1, "last": 100}, {"ports": [[22, 22]]}, None),
        ({"first": 1, "last": 100}, {"ports": [[0, 65535]]}, True),
        ({"first": 1, "last": 100}, {"ports": [[101, 102]]}, False),
        ({"inputs": ("cni0", "eth0")}, {"inputs": ["cni0"]}, None),
        ({"inputs": ("cni0", "cni1")}, {"inputs": ["cni*"]}, True),
        ({"inputs": ()}, {"inputs": ["eth0"]}, None),
        ({"inputs": ()}, {"inputs": ["lo"]}, False),
        ({"state": ""}, {"states": ["invalid"]}, None),
        ({"local": None}, {"local": True}, None),
    ],
)
def test_condition_that_some_packets_meet_may_apply(packet, conditions, expected):
    assert matches(Rule(verdict=DROP, **conditions), PACKET._replace(**packet)) is expected


def rule(verdict, target="", **conditions):
    made = Rule(verdict=verdict, text=f"{verdict} {target}".strip(), **conditions)
    if target:
        made["target"] = target
    return made


MAY = {"partial": True}
NEVER = {"protocols": ["udp"]}


@pytest.mark.parametrize(
    ("chains", "policy", "dropped", "possible"),
    [
        ({"base": []}, ACCEPT, None, []),
        ({"base": []}, DROP, "policy", []),
        ({"base": [rule(ACCEPT)]}, DROP, None, []),
        ({"base": [rule(ACCEPT, **MAY)]}, DROP, None, ["policy"]),
        ({"base": [rule(DROP, **MAY)]}, ACCEPT, None, ["drop"]),
        ({"base": [rule(DROP, **MAY)]}, DROP, None, ["drop", "policy"]),
        ({"base": [rule(DROP, **NEVER)]}, ACCEPT, None, []),
        ({"base": [rule(UNKNOWN), rule(ACCEPT)]}, ACCEPT, None, ["unknown"]),
        ({"base": [rule(JUMP, "a"), rule(DROP)], "a": []}, ACCEPT, "drop", []),
        ({"base": [rule(JUMP, "a"), rule(DROP)], "a": [rule(RETURN)]}, ACCEPT, "drop", []),
        ({"base": [rule(JUMP, "a"), rule(DROP)], "a": [rule(ACCEPT)]}, ACCEPT, None, []),
        ({"base": [rule(GOTO, "a"), rule(DROP)], "a": []}, ACCEPT, None, []),
        ({"base": [rule(GOTO, "a"), rule(ACCEPT)], "a": []}, DROP, "policy", []),
        # A chain that is not known does nothing.
        ({"base": [rule(JUMP, "a")]}, DROP, "policy", []),
        # Whether it returns early does not matter: the caller drops it.
        ({"base": [rule(JUMP, "a"), rule(DROP)], "a": [rule(RETURN, **MAY)]}, ACCEPT, "drop", []),
        (
            {"base": [rule(JUMP, "a")], "a": [rule(RETURN, **MAY), rule(DROP)]},
            ACCEPT,
            None,
            ["drop"],
        ),
        ({"base": [rule(JUMP, "a", **MAY), rule(ACCEPT)], "a": [rule(DROP)]}, DROP, None, ["drop"]),
        ({"base": [rule(GOTO, "a", **MAY), rule(ACCEPT)], "a": []}, DROP, None, ["policy"]),
    ],
)
def test_fate_follows_jumps_and_policy(chains, policy, dropped, possible):
    found = fate(chains, "base", policy, PACKET)

    def text(hit):
        return hit.rule["text"] if hit.rule else "policy"

    assert (text(found.dropped) if found.dropped else None) == dropped
    assert [text(hit) for hit in found.possible] == possible


def test_rules_after_a_final_verdict_are_not_met():
    found = fate({"base": [rule(ACCEPT), rule(DROP, **MAY)]}, "base", DROP, PACKET)
    assert found == (None, [])


@pytest.mark.parametrize("verdict", [JUMP, GOTO])
def test_rules_that_jump_in_a_circle_end(verdict):
    # A node may report what no kernel takes.
    chains = {"base": [rule(verdict, "base")] * 30}
    assert fate(chains, "base", ACCEPT, PACKET).dropped is None
    doubling = {f"c{n}": [rule(JUMP, f"c{n + 1}")] * 2 for n in range(30)}
    found = fate({**doubling, "c15": [rule(JUMP, "c16")] * 40000}, "c0", DROP, PACKET)
    assert found.dropped is None
    assert found.possible


def verdicts(targets):
    jumps = st.tuples(st.sampled_from([JUMP, GOTO]), st.sampled_from(targets))
    plain = st.tuples(st.sampled_from([ACCEPT, DROP, RETURN]), st.just(""))
    return st.one_of(plain, jumps) if targets else plain


def rules_of(targets):
    conditions = st.fixed_dictionaries(
        {},
        optional={
            "sources": st.lists(
                st.sampled_from(["192.0.2.0/30", "192.0.2.4/30", "192.0.2.2/31", "192.0.2.5/32"]),
                max_size=2,
            ),
            "ports": st.lists(st.sampled_from([[1, 2], [3, 3], [2, 4]]), max_size=2),
            "protocols": st.just(["tcp"]),
        },
    )
    negated = st.lists(st.sampled_from(["ports", "protocols"]), max_size=1)

    def make(verdict, found, inverted):
        kept = [one for one in inverted if one in found]
        return rule(*verdict, **found, **({"negated": kept} if kept else {}))

    return st.lists(st.builds(make, verdicts(targets), conditions, negated), max_size=4)


def verdict_of(chains, name, packet):
    """Return what a chain does with one packet; a plain model of the kernel."""
    for one in chains[name]:
        if not matches(one, packet):
            continue
        if one["verdict"] in (ACCEPT, DROP):
            return one["verdict"]
        if one["verdict"] == RETURN:
            return None
        found = verdict_of(chains, one["target"], packet)
        if found or one["verdict"] == GOTO:
            return found
    return None


@given(
    st.fixed_dictionaries(
        {
            "base": rules_of(["first", "second"]),
            "first": rules_of(["second"]),
            "second": rules_of([]),
        }
    ),
    st.sampled_from([ACCEPT, DROP]),
    st.sampled_from(["192.0.2.0/29", "192.0.2.0/30", "192.0.2.6/31", "192.0.2.5/32"]),
    st.sampled_from([(1, 1), (1, 4), (2, 3)]),
)
def test_fate_of_several_packets_is_that_of_each(chains, policy, source, ports):
    first, last = ports
    several = Packet(source, "192.0.2.99", "tcp", first, last)
    base = int(source.split("/")[0].rpartition(".")[2])
    count = 2 ** (32 - int(source.split("/")[1]))
    each = {
        verdict_of(
            chains, "base", several._replace(source=f"192.0.2.{host}", first=port, last=port)
        )
        or policy
        for host, port in itertools.product(range(base, base + count), range(first, last + 1))
    }
    found = fate(chains, "base", policy, several)
    if found.dropped:
        assert each == {DROP}
    if DROP in each:
        assert found.dropped or found.possible
    if source.endswith("/32") and first == last:
        # Of one packet everything is known.
        assert (found.dropped is not None, found.possible) == (each == {DROP}, [])
