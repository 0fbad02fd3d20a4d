# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import facts
from hypothesis import given
from hypothesis import strategies as st

SOUND = {
    "interfaces": {"eth0": ["192.0.2.11/24", "2001:DB8::1/64"], "cni0": []},
    "dummies": ["dummy0"],
    "connection_address": "192.0.2.11",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3),
    max_leaves=8,
)


def test_sound_facts_are_read():
    assert facts.read(SOUND) == facts.Network(
        {"eth0": ["192.0.2.11/24", "2001:db8::1/64"], "cni0": []}, ("dummy0",), "192.0.2.11"
    )


@pytest.mark.parametrize("empty", [None, {}, ""])
def test_host_that_was_not_read_has_no_interfaces(empty):
    assert facts.read(empty) == facts.Network(None, (), None)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"interfaces": None}, "interfaces is not a dictionary"),
        ({"interfaces": ["eth0"]}, "interfaces is not a dictionary"),
        ({"interfaces": {f"i{n}": [] for n in range(10_001)}}, "up to 10000 keys"),
        ({"interfaces": {"eth0": ["192.0.2.11/24"] * 50_001}}, "more than 50000 addresses"),
        ({"interfaces": {"eth0": "192.0.2.11/24"}}, "not a list"),
        ({"interfaces": {"eth0": [3221225995]}}, "not an address"),
        ({"interfaces": {"eth0": [["192.0.2.11", 24]]}}, "not an address"),
        ({"interfaces": {"eth0": ["192.0.2.11/33"]}}, "not an address"),
        ({"interfaces": {"eth0": ["fe80::1%eth0/64"]}}, "not an address"),
        ({"interfaces": {"": []}}, "name of a network interface"),
        ({"interfaces": {"a/b": []}}, "name of a network interface"),
        ({"interfaces": {"eth0\x1b[2J": []}}, "name of a network interface"),
        ({"interfaces": {"sixteen-letters-": []}}, "name of a network interface"),
        ({"interfaces": {7: []}}, "name of a network interface"),
        ({"dummies": "dummy0"}, "dummies is not a list"),
        ({"dummies": [7]}, "dummies has a text"),
        ({"connection_address": 7}, "connection_address is not an IP address"),
        ({"connection_address": "the other one"}, "connection_address is not an IP address"),
    ],
)
def test_value_of_the_wrong_type_or_size_names_its_key(changed, named):
    with pytest.raises(ValueError, match=named):
        facts.read({**SOUND, **changed})


@given(JSON | st.fixed_dictionaries({"interfaces": JSON, "dummies": JSON}))
def test_any_answer_is_refused_or_has_valid_values(answer):
    try:
        found = facts.read(answer)
    except ValueError as error:
        assert str(error).isprintable()
        return
    for name, cidrs in (found.interfaces or {}).items():
        assert name.isprintable()
        assert all(ipaddress.ip_interface(one) for one in cidrs)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.11", "192.0.2.11"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.11", "192.0.2.11"),
        ("fe80::1%eth0", "fe80::1"),
        ("server1", None),
        ("192.0.2.11:22", None),
        ("", None),
    ],
)
def test_address_has_one_spelling(text, address):
    assert facts.to_address(text) == address


def test_reason_is_one_short_printable_line():
    found = facts.reason({"msg": "Failed to connect\r\n\x1b[31mto the host" + " x" * 5000})
    assert found.startswith("Failed to connect ?[31mto the host x")
    assert len(found) <= 500
    assert facts.reason({}) == ""
