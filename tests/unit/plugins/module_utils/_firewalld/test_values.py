# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    IPSET,
    POLICY,
    ZONE,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.values import (
    complete,
    normal,
    port_pairs,
)
from hypothesis import given
from hypothesis import strategies as st

# As D-Bus hands values out: each type is derived from a plain one.
Array = type("Array", (list,), {})
Boolean = type("Boolean", (int,), {})
Dictionary = type("Dictionary", (dict,), {})
Int32 = type("Int32", (int,), {})
String = type("String", (str,), {})
Struct = type("Struct", (tuple,), {})

FORWARD = ["80", "tcp", "8080", "192.0.2.9"]


def dbus(value):
    """Turn a plain value into one of D-Bus."""
    if isinstance(value, dict):
        return Dictionary({String(key): dbus(one) for key, one in value.items()})
    if isinstance(value, list):
        return Array(map(dbus, value))
    if isinstance(value, tuple):
        return Struct(map(dbus, value))
    if isinstance(value, bool):
        return Boolean(value)
    return Int32(value) if isinstance(value, int) else String(value)


def assert_plain(value):
    """Nothing of D-Bus is left, so that values compare and go into JSON."""
    assert value.__class__ in (dict, list, str, int, bool)
    if isinstance(value, dict):
        for key, one in value.items():
            assert key.__class__ is str
            assert_plain(one)
    if isinstance(value, list):
        for one in value:
            assert_plain(one)


# As what firewalld has, sorted and without what is empty.
NAMES = st.sampled_from(["ssh", "https", "dns", "k3s-external", "10.0.0.0/8"])
WORDS = st.lists(NAMES, min_size=1, unique=True).map(sorted)
PORTS = st.lists(
    st.sampled_from(["22/tcp", "53/udp", "10000-30000/tcp"]), min_size=1, unique=True
).map(sorted)
FORWARDS = st.lists(
    st.sampled_from([FORWARD, ["443", "tcp", "8443", ""]]),
    min_size=1,
    max_size=2,
    unique_by=tuple,
).map(sorted)
COMMON = {
    "target": st.sampled_from(["default", "DROP", "CONTINUE", "%%REJECT%%"]),
    "services": WORDS,
    "ports": PORTS,
    "source_ports": PORTS,
    "forward_ports": FORWARDS,
    "icmp_blocks": WORDS,
    "protocols": WORDS,
    "masquerade": st.just(True),
}
ZONES = st.fixed_dictionaries(
    {},
    optional={
        **COMMON,
        "sources": WORDS,
        "rules_str": WORDS,
        "forward": st.just(True),
        "icmp_block_inversion": st.just(True),
    },
)
POLICIES = st.fixed_dictionaries(
    {"priority": st.integers(-32768, 32767).filter(bool)},
    optional={**COMMON, "rich_rules": WORDS, "ingress_zones": WORDS, "egress_zones": WORDS},
)
OBJECTS = st.tuples(st.just(ZONE), ZONES) | st.tuples(st.just(POLICY), POLICIES)


@given(OBJECTS)
def test_what_is_written_reads_back_as_it_was(thing):
    kind, settings = thing
    back = normal(kind, dbus(complete(kind, settings)))
    assert back == settings
    assert_plain(back)


@given(OBJECTS, OBJECTS)
def test_what_is_written_leaves_nothing_of_what_was_there(thing, other):
    kind, settings = thing
    # A target is what each has; firewalld keeps what it is not told.
    settings = {"target": "default", **settings}
    if other[0] == kind:
        assert normal(kind, {**complete(kind, other[1]), **complete(kind, settings)}) == settings


def test_a_zone_is_sorted_and_without_what_is_empty_or_only_told_about_it():
    raw = {
        "version": "1",
        "short": "Public",
        "description": "For use in public areas.",
        "UNUSED": False,
        "target": "default",
        "services": ["ssh", "dhcpv6-client"],
        "ports": [("80", "tcp"), ("53", "udp")],
        "source_ports": [],
        "forward_ports": [tuple(FORWARD)],
        "interfaces": ["eth1", "eth0"],
        "masquerade": False,
        "forward": True,
    }
    zone = {
        "target": "default",
        "services": ["dhcpv6-client", "ssh"],
        "ports": ["53/udp", "80/tcp"],
        "forward_ports": [FORWARD],
        "forward": True,
    }
    for value in (raw, dbus(raw)):
        assert normal(ZONE, value) == zone
        assert normal(ZONE, value, with_interfaces=True) == {
            **zone,
            "interfaces": ["eth0", "eth1"],
        }
        assert_plain(normal(ZONE, value))


def test_the_zones_of_a_policy_are_its_own():
    raw = {"priority": -1, "ingress_zones": ["ANY"], "egress_zones": ["HOST"], "interfaces": ["x"]}
    assert normal(POLICY, dbus(raw)) == raw


def test_a_priority_is_a_number_and_no_truth():
    assert normal(POLICY, dbus({"priority": 1}))["priority"].__class__ is int
    assert normal(ZONE, dbus({"masquerade": True}))["masquerade"].__class__ is bool


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {"family": "inet"}),
        ({"family": "inet6"}, {"family": "inet6"}),
        (
            {"family": "inet", "timeout": "300"},
            {"family": "inet", "options": {"timeout": "300"}},
        ),
    ],
)
def test_an_ipset_has_a_family_and_sorted_entries(options, settings):
    raw = dbus(("", "bans", "by hand", "hash:ip", options, ["192.0.2.9", "192.0.2.10"]))
    found = normal(IPSET, raw)
    assert found == {"type": "hash:ip", "entries": ["192.0.2.10", "192.0.2.9"], **settings}
    assert_plain(found)


def test_a_service_is_read_like_a_zone():
    raw = {"short": "mDNS", "ports": [("5353", "udp")], "includes": [], "helpers": []}
    destination = {"ipv4": "224.0.0.251"}
    found = normal(ZONE, dbus({**raw, "destination": destination}))
    assert found == {"ports": ["5353/udp"], "destination": destination}
    assert_plain(found)


def test_complete_writes_interfaces_only_if_they_are_given():
    assert "interfaces" not in complete(ZONE, {})
    assert complete(ZONE, {"interfaces": ["cni0"]})["interfaces"] == ["cni0"]
    assert complete(ZONE, {}, {"interfaces": ["cni0"]})["interfaces"] == []


@pytest.mark.parametrize(
    ("before", "default"),
    [
        ({"ingress_priority": 10}, 0),
        ({"egress_priority": -5}, 0),
        ({"disable": True}, False),
        ({"target": "DROP"}, "default"),
        ({"some_new_list": ["x"]}, []),
        ({"some_new_text": "x"}, ""),
    ],
)
def test_complete_resets_what_is_there_and_not_wanted(before, default):
    (key,) = before
    whole = complete(ZONE, {}, before)
    assert whole[key] == default
    assert type(whole[key]) is type(default)
    # A firewalld that does not know the key does not get it.
    assert key not in complete(ZONE, {})


def test_complete_keeps_what_is_wanted():
    whole = complete(POLICY, {"priority": 1010, "target": "CONTINUE"}, {"priority": 55})
    assert whole["priority"] == 1010
    assert whole["target"] == "CONTINUE"


def test_complete_writes_all_lists():
    zone = complete(ZONE, {"forward_ports": [FORWARD], "ports": ["1/tcp"]})
    assert zone["forward_ports"] == [tuple(FORWARD)]
    assert zone["ports"] == [("1", "tcp")]
    assert (zone["services"], zone["rules_str"], zone["forward"]) == ([], [], False)
    assert "rich_rules" in complete(POLICY, {})


def test_ports_are_pairs():
    assert port_pairs(["22/tcp", "10000-30000/udp"]) == [("22", "tcp"), ("10000-30000", "udp")]
