# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    IPSET,
    POLICY,
    ZONE,
    Change,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.reload import (
    Others,
    interfaces_to_move,
    reload_conflicts,
    restoration,
    would_flush_iptables,
)
from hypothesis import given
from hypothesis import strategies as st

BAN = 'rule family="ipv4" source address="198.51.100.66" drop'
PUBLIC = {"services": ["ssh"]}
SET = {"type": "hash:ip", "family": "inet", "entries": ["192.0.2.1"]}

# Few names and values, so that some are the same and some are not.
NAMES = st.sampled_from(["public", "docker", "work"])
WORDS = st.lists(st.sampled_from(["ssh", "https"]), max_size=2, unique=True)
RESTORABLE = {
    "services": WORDS,
    "ports": WORDS,
    "sources": WORDS,
    "rules_str": st.lists(st.just(BAN), max_size=1),
    "masquerade": st.just(True),
}
FIXED = {"target": st.sampled_from(["default", "DROP"]), "priority": st.integers(1, 2)}


def objects(settings):
    return st.dictionaries(
        st.tuples(st.sampled_from([IPSET, ZONE, POLICY]), NAMES),
        st.fixed_dictionaries({}, optional=settings),
        max_size=4,
    )


# What a reload would change for good


@pytest.mark.parametrize(
    ("permanent", "running", "conflicts"),
    [
        ({}, {}, []),
        # What runs only.
        ({}, {(ZONE, "docker"): {}}, ["zone docker, which is running only, would go"]),
        ({}, {(POLICY, "mine"): {}}, ["policy mine, which is running only, would go"]),
        # What does not run yet.
        ({(ZONE, "new"): PUBLIC}, {}, []),
        ({(IPSET, "new"): SET}, {}, []),
        (
            {(ZONE, "new"): {"interfaces": ["eth1"]}},
            {},
            ["zone new, which is not running yet, would become active"],
        ),
        (
            {(ZONE, "new"): {"sources": ["192.0.2.0/24"]}},
            {},
            ["zone new, which is not running yet, would become active"],
        ),
        (
            {(POLICY, "new"): {}},
            {},
            ["policy new, which is not running yet, would become active"],
        ),
        # What is otherwise.
        (
            {(ZONE, "public"): {**PUBLIC, "target": "DROP"}},
            {(ZONE, "public"): {**PUBLIC, "target": "default"}},
            ["zone public would change its target"],
        ),
        (
            {(POLICY, "mine"): {"priority": -1, "target": "DROP"}},
            {(POLICY, "mine"): {"priority": -2}},
            ["policy mine would change its priority and target"],
        ),
        (
            {(IPSET, "bans"): {**SET, "type": "hash:net"}},
            {(IPSET, "bans"): {**SET, "options": {"timeout": "9"}}},
            ["ipset bans would change its options and type"],
        ),
        # An ipset that was deleted and that nothing names.
        ({}, {(IPSET, "old"): SET}, []),
        (
            {(ZONE, "public"): PUBLIC},
            {
                (IPSET, "old"): SET,
                (ZONE, "public"): {**PUBLIC, "rules_str": ['rule source ipset="old" drop']},
            },
            ["ipset old, which is running only, would go"],
        ),
        (
            {(ZONE, "public"): PUBLIC},
            {(IPSET, "old"): SET, (ZONE, "public"): {**PUBLIC, "sources": ["ipset:old"]}},
            ["ipset old, which is running only, would go"],
        ),
        # In the order of their names.
        (
            {(POLICY, "new"): {}},
            {(ZONE, "b"): {}, (ZONE, "a"): {}},
            [
                "policy new, which is not running yet, would become active",
                "zone a, which is running only, would go",
                "zone b, which is running only, would go",
            ],
        ),
    ],
)
def test_a_reload_is_told_what_it_would_bring_and_take(permanent, running, conflicts):
    assert reload_conflicts(permanent, running) == conflicts


@pytest.mark.parametrize(
    "running",
    [
        {"services": []},
        {"rules_str": [BAN]},
        {"interfaces": ["docker0"]},
        {"sources": ["198.51.100.0/24"]},
        {"masquerade": True, "forward_ports": [["80", "tcp", "8080", ""]]},
    ],
)
def test_what_can_be_given_back_is_no_conflict(running):
    before = {(ZONE, "public"): PUBLIC}
    assert reload_conflicts(before, {(ZONE, "public"): {**PUBLIC, **running}}) == []


@given(objects({**RESTORABLE, **FIXED}))
def test_nothing_conflicts_with_itself(found):
    assert reload_conflicts(found, found) == []


# What is given back


def test_sets_come_back_before_the_zones_and_policies_that_name_them():
    keys = [(POLICY, "mine"), (ZONE, "public"), (ZONE, "docker"), (IPSET, "bans")]
    before = {key: {"services": ["ssh"]} for key in keys}
    after = {key: {"services": []} for key in keys}
    assert restoration(before, after) == [
        Change(key, {"services": []}, {"services": ["ssh"]})
        for key in [(IPSET, "bans"), (ZONE, "docker"), (ZONE, "public"), (POLICY, "mine")]
    ]


@given(objects(RESTORABLE), objects(RESTORABLE))
def test_giving_back_makes_all_that_still_runs_what_it_was(before, after):
    restored = dict(after)
    for change in restoration(before, after):
        assert restored[change.key] == change.before != change.after
        # The running firewalld takes it.
        assert {*change.before, *change.after} <= RESTORABLE.keys()
        restored[change.key] = change.after
    assert restored == {key: before.get(key, one) for key, one in after.items()}


@given(objects({**RESTORABLE, **FIXED}), objects({**RESTORABLE, **FIXED}))
def test_whoever_has_no_conflict_gets_all_back(permanent, running):
    if reload_conflicts(permanent, running):
        return
    # A reload makes the permanent configuration the running one.
    restored = {**permanent}
    for change in restoration(running, permanent):
        restored[change.key] = change.after
    # An ipset that was deleted and that nothing names stays away.
    kept = {key: one for key, one in running.items() if key[0] != IPSET or key in permanent}
    assert {key: restored[key] for key in kept} == kept


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        ({}, {}, {}),
        ({"eth0": "public"}, {"eth0": "public"}, {}),
        # Bound in the running configuration alone, to a zone or out of one.
        ({"docker0": "docker"}, {}, {"docker0": "docker"}),
        ({"eth0": "work"}, {"eth0": "public"}, {"eth0": "work"}),
        ({}, {"eth0": "public"}, {"eth0": ""}),
        # Those of ours are bound by the plan.
        ({"eth0": "k3s-cluster"}, {"eth0": "public"}, {}),
        ({"eth0": "k3s-cluster"}, {}, {}),
        ({"eth0": "work"}, {"eth0": "k3s-cluster"}, {}),
        ({}, {"cni0": "k3s-pods"}, {}),
    ],
)
def test_interfaces_go_back_to_the_zones_of_others(before, after, moves):
    own_zones = ("k3s-cluster", "k3s-pods")
    found = interfaces_to_move(
        Others(interfaces=before, own_zones=own_zones),
        Others(interfaces=after, own_zones=own_zones),
    )
    assert found == moves


# iptables


@pytest.mark.parametrize(
    ("version", "backend", "direct", "keeps", "flushes"),
    [
        ("0.9.3", "nftables", False, False, True),
        ("1.3.3", "nftables", False, False, True),
        ("2.0.0", "nftables", False, False, False),
        ("2.3.0", "nftables", False, False, False),
        ("10.0", "nftables", False, False, False),
        # A distribution's firewalld that has the change of 2.0.
        ("1.3.4", "nftables", False, True, False),
        # Direct rules are iptables' own, as is all of its backend.
        ("1.3.4", "nftables", True, True, True),
        ("2.3.0", "nftables", True, True, True),
        ("2.3.0", "iptables", False, True, True),
        ("1.3.3", "iptables", False, False, True),
        # Rather ask once too often.
        ("", "nftables", False, False, True),
        ("unknown", "nftables", False, False, True),
    ],
)
def test_who_flushes_iptables(version, backend, direct, keeps, flushes):
    assert would_flush_iptables(version, backend, direct, keeps) is flushes
