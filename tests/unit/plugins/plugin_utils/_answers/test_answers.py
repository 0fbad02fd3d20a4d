# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each module returns is accepted as it is, or refused with the name of the key."""

from __future__ import annotations

import math

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import (
    changes,
    listeners,
    preflight,
    probes,
    registered,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support import answers
from ansible_collections.edgeops.k3s_network.tests.unit.support.lies import (
    assert_clean,
    lying,
    replaced,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import facts
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

PLACE = {"address": "192.0.2.11", "protocol": "udp", "port": 8125}
RESULTS = {
    "probes": {
        **answers.PROBES,
        "results": [answers.outcome("192.0.2.11", 6443, "rejected", "ICMP from 192.0.2.11")],
        "sources": {"192.0.2.11": "192.0.2.12", "192.0.2.13": None},
        "duplicates": {"192.0.2.12": ["52:54:00:12:34:56"]},
        "ended": [4711],
    },
    "listeners": {
        **answers.LISTENERS,
        "busy": [PLACE],
        "witnessed": [PLACE],
        "bound_elsewhere": [{**PLACE, "held_at": ["127.0.0.1"]}],
        "reserved": [{**PLACE, "unit": "k3s.service"}],
        "errors": [
            {"address": "192.0.2.11", "protocol": "tcp", "first": 1, "last": 9, "detail": "full"}
        ],
        "firewall": answers.FIREWALL,
    },
    "preflight": answers.preflight(
        facts("server1", held=[{"protocol": "tcp", "port": 6443, "addresses": ["0.0.0.0"]}])
    ),
    "firewalld_state": {
        **answers.FIREWALLD_STATE,
        "warned": ["be careful"],
        "confirm": "00c0ffee00c0ffee",
        "diff": {"before": "a\n", "after": "b\n"},
    },
    "default_route": answers.DEFAULT_ROUTE,
}
READERS = {
    "probes": probes.read,
    "listeners": listeners.read,
    "preflight": preflight.read,
    "firewalld_state": changes.read_firewall,
    "default_route": changes.read_route,
}


def refused(kind, path, value):
    """Assert that a result with another value at a path is refused, and return the text."""
    with pytest.raises(ValueError) as error:
        READERS[kind](replaced(RESULTS[kind], path, value))
    assert str(error.value).isprintable() and len(str(error.value)) < 300
    return str(error.value)


@pytest.mark.parametrize("kind", READERS)
def test_sound_result_is_accepted_as_it_is(kind):
    sound = {key: value for key, value in RESULTS[kind].items() if key != "changed"}
    found = READERS[kind](RESULTS[kind])
    assert {key: found[key] for key in sound} == sound


@pytest.mark.parametrize(
    ("kind", "path", "value", "named"),
    [
        ("probes", ("results", 0, "observed"), "great", "observed in results is not one of"),
        ("probes", ("results", 0, "first"), 0, "first in results is not an integer from 1"),
        ("probes", ("results", 0, "last"), 1, "ends before it begins"),
        ("probes", ("results", 0, "first"), True, "first in results is not an integer"),
        ("probes", ("results", 0, "address"), "server1", "address in results"),
        ("probes", ("results", 0, "protocol"), "icmp", "protocol in results"),
        ("probes", ("results", 0, "detail"), 7, "detail in results is not a text"),
        ("probes", ("results",), {}, "results is not a list"),
        ("probes", ("results",), [7], "results has an entry"),
        ("probes", ("sources", "192.0.2.11"), 7, "sources is not an IP address"),
        ("probes", ("duplicates", "192.0.2.12"), "x", "duplicates has a value"),
        ("probes", ("duplicates", "192.0.2.12"), ["x"], "duplicates is not a MAC"),
        ("probes", ("ended", 0), -9, "ended is not an integer from 1"),
        ("listeners", ("processes", 0, "pid"), 1, "pid in processes"),
        ("listeners", ("processes", 0, "started"), "1; reboot", "started in processes"),
        ("listeners", ("busy", 0, "port"), 65536, "port in busy"),
        ("listeners", ("witnessed", 0), {"address": "::"}, "protocol in witnessed"),
        ("listeners", ("reserved", 0, "unit"), None, "unit in reserved"),
        ("listeners", ("errors", 0, "detail"), {}, "detail in errors"),
        ("listeners", ("bound_elsewhere", 0, "held_at"), "::", "held_at is not a list"),
        ("listeners", ("firewall",), "lie", "firewall is not a dictionary"),
        ("preflight", ("facts", "clock"), math.nan, "clock is not a number"),
        ("preflight", ("facts", "clock"), math.inf, "clock is not a number"),
        ("preflight", ("facts", "clock"), -1, "clock is not a number"),
        ("preflight", ("facts", "hostname"), None, "hostname is not a text"),
        ("preflight", ("facts", "interfaces", "eth0", "mtu"), "1500", "mtu in interfaces"),
        ("preflight", ("facts", "routes", 0, "destination"), "x", "destination in routes"),
        ("preflight", ("facts", "units", "firewalld.service"), 7, "units has a value"),
        ("preflight", ("facts", "held", 0, "addresses", 0), 7, "addresses in held"),
        ("preflight", ("predicted", "default_route", "changed"), 1, "changed of default_route"),
        ("preflight", ("predicted", "default_route"), 1, "default_route in predicted"),
        ("firewalld_state", ("confirm",), "; reboot;", "confirm is not the name of a change"),
        ("firewalld_state", ("active",), 1, "active is not a boolean"),
        ("default_route", ("k3s_detects", "address"), "x", "address in k3s_detects"),
        ("default_route", ("k3s_detects", "interface"), "\x1b", "interface in k3s_detects"),
    ],
)
def test_value_that_is_not_valid_is_named(kind, path, value, named):
    assert named in refused(kind, path, value)


def test_many_entries_are_refused_and_forged_macs_are_cut():
    assert "at most" in refused("probes", ("results",), [{}] * 200_001)
    assert "at most" in refused("preflight", ("facts", "routes"), [{}] * 100_001)
    macs = [f"02:00:00:00:{number // 256:02x}:{number % 256:02x}" for number in range(5120)]
    found = probes.read(replaced(RESULTS["probes"], ("duplicates", "192.0.2.12"), macs))
    assert found["duplicates"]["192.0.2.12"] == macs[:8]


@pytest.mark.parametrize("kind", READERS)
@settings(deadline=None, max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_any_result_is_refused_or_clean(kind, data):
    lie = data.draw(lying(RESULTS[kind]))
    if not isinstance(lie, dict):
        return
    try:
        found = READERS[kind](lie)
    except ValueError as error:
        assert str(error).isprintable() and len(str(error)) < 300
        return
    assert_clean(found)
    # The report reads it again.
    assert READERS[kind](found) == found


def test_registered_values_of_tasks_that_failed_are_absent():
    for value in (None, {}, {"skipped": True}, {"failed": True, "msg": "x"}, "lie", 7):
        for reader in (
            registered.read_listeners,
            registered.read_probes,
            registered.read_preflight,
        ):
            assert reader(value) == registered.Answer()
    assert registered.read_probes({"results": [{"failed": True}]}) == registered.Answer()


def test_registered_value_that_is_not_valid_is_a_problem():
    for reader, value in (
        (registered.read_listeners, {**RESULTS["listeners"], "busy": 7}),
        (registered.read_probes, {"results": [{**RESULTS["probes"], "sources": 7}]}),
        (registered.read_preflight, {**RESULTS["preflight"], "asked": [math.nan, 1]}),
        (registered.read_preflight, {**RESULTS["preflight"], "asked": [1.0]}),
    ):
        found = reader(value)
        assert found.value is None
        assert "is not valid (" in found.problem


def test_rounds_are_joined_without_those_that_failed():
    one = {**answers.PROBES, "results": [answers.outcome("192.0.2.11", 1)], "sources": {}}
    other = {
        **answers.PROBES,
        "results": [answers.outcome("192.0.2.12", 2)],
        "sources": {"192.0.2.12": "192.0.2.21"},
    }
    found = registered.read_probes({"results": [one, {"failed": True, "msg": "no"}, other]})
    assert found.value == {
        "results": one["results"] + other["results"],
        "sources": other["sources"],
        "duplicates": {},
        "ended": [],
    }
    empty = registered.read_probes({"results": [answers.PROBES]})
    assert empty.value is not None and empty.value["results"] == []


@pytest.mark.parametrize("kind", ["firewalld_state", "default_route"])
@pytest.mark.parametrize("lie", [math.nan, "x", 7, None, {}, []])
def test_diff_that_is_not_a_structure_is_left_out(kind, lie):
    found = READERS[kind]({**RESULTS[kind], "diff": lie})
    assert "diff" not in found
    assert READERS[kind]({**RESULTS[kind], "diff": {"before": "a"}})["diff"] == {"before": "a"}
