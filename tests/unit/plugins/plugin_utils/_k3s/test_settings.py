# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.settings import (
    BACKEND,
    INTERFACE,
    NODE_IP,
    NODE_NAME,
    POD_CIDR,
    SERVICE_CIDR,
    NodeSettings,
    Record,
    Setting,
    Told,
    combine,
    for_all,
    for_node,
    merge,
    same,
)
from hypothesis import given
from hypothesis import strategies as st

FILE = "/etc/rancher/k3s/config.yaml"
ARGUMENTS = "extra_server_args"
TOKEN = "K10secret::server:topsecret"


def in_file(key, given, append=False, alias=False, source=FILE):
    return Setting.of(source, key, given, append, alias)


def argument(key, given, source=ARGUMENTS):
    return Setting.of(source, key, given, True)


def combined(*settings, group="server"):
    told, problems = combine(group, settings)
    assert problems == []
    return dict(told)


# One value


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (NODE_IP, "10.0.0.1, fd00::1", ("10.0.0.1", "fd00::1")),
        (NODE_IP, ["10.0.0.1,10.0.0.2", "fd00::1"], ("10.0.0.1", "10.0.0.2", "fd00::1")),
        (INTERFACE, "a-b", ("a-b",)),
        (INTERFACE, "a,b", None),
        (INTERFACE, ["eth0", "eth1"], ("eth1",)),
        (BACKEND, "wireguard-native=Mode=a", ("wireguard-native=Mode=a",)),
        *((NODE_IP, nothing, ()) for nothing in (None, "", "~", "null", [], [None], ",")),
        *(
            (key, value, None)
            for key in (NODE_IP, INTERFACE, NODE_NAME)
            for value in (
                f"--token={TOKEN}",
                "${NODE_IP}",
                "$(hostname)",
                "{{ k3s_address }}",
                "a b",
                "\x1b[31mred",
                "9" * 81,
                {"a": "b"},
            )
        ),
    ],
)
def test_setting_of_a_value_is_plain_or_none(key, value, expected):
    assert Setting.of(FILE, key, value).values == expected


@given(st.text() | st.lists(st.text()) | st.integers() | st.dictionaries(st.text(), st.text()))
def test_setting_of_any_value_is_printable(value):
    for key in (NODE_IP, INTERFACE):
        values = Setting.of(FILE, key, value).values
        assert values is None or all(one.isascii() and one.isprintable() for one in values)


# Several settings of a node


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        # Of lists, the first value counts, and the command line adds to the file.
        ([in_file(NODE_IP, "10.0.0.1"), argument(NODE_IP, "10.0.0.2")], NODE_IP, "10.0.0.1"),
        ([argument(NODE_IP, "10.0.0.1"), argument(NODE_IP, "10.0.0.2")], NODE_IP, "10.0.0.1"),
        # Of other options, the last one.
        ([in_file(INTERFACE, "eth0"), argument(INTERFACE, "eth1")], INTERFACE, "eth1"),
        ([in_file(INTERFACE, "eth0"), in_file(INTERFACE, "eth1", True)], INTERFACE, "eth1"),
        # A later file replaces an earlier one, or appends.
        ([in_file(NODE_IP, "10.0.0.1"), in_file(NODE_IP, "10.0.0.2")], NODE_IP, "10.0.0.2"),
        ([in_file(NODE_IP, "10.0.0.1"), in_file(NODE_IP, "10.0.0.2", True)], NODE_IP, "10.0.0.1"),
        ([in_file(NODE_IP, "10.0.0.1"), in_file(NODE_IP, "")], NODE_IP, None),
        ([in_file(INTERFACE, "eth0"), in_file(INTERFACE, [])], INTERFACE, None),
        ([in_file(NODE_IP, "10.0.0.1"), argument(NODE_IP, "")], NODE_IP, "10.0.0.1"),
        # What is replaced need not be plain.
        ([in_file(NODE_IP, "$X"), in_file(NODE_IP, "10.0.0.2")], NODE_IP, "10.0.0.2"),
        ([in_file(INTERFACE, "$X"), argument(INTERFACE, "eth1")], INTERFACE, "eth1"),
    ],
)
def test_combine_settings_are_those_of_k3s(settings, key, expected):
    told, _problems = combine("server", settings)
    assert told.value(key) == expected
    assert told.not_plain == {}


@pytest.mark.parametrize("alias_first", [False, True])
def test_combine_alias_in_a_file_adds_up(alias_first):
    settings = [in_file(NODE_IP, "10.0.0.1"), in_file(NODE_IP, "fd00::1", alias=True)]
    told, problems = combine("server", settings[::-1] if alias_first else settings)
    assert told.value(NODE_IP) == ("fd00::1" if alias_first else "10.0.0.1")
    assert f"node-ip in {FILE} has IPv4 and IPv6" in problems[0]


def test_combine_alias_replaces_the_alias_of_an_earlier_file():
    settings = [in_file(NODE_IP, one, alias=True) for one in ("10.0.0.1", "10.0.0.2")]
    assert combined(*settings) == {NODE_IP: ("10.0.0.2", FILE)}


def test_combine_value_that_is_not_plain_is_kept_apart():
    told, problems = combine(
        "server", [in_file(NODE_IP, "10.0.0.1"), argument(NODE_IP, TOKEN + "$")]
    )
    assert (dict(told), problems) == ({NODE_IP: ("10.0.0.1", FILE)}, [])
    assert told.not_plain == {NODE_IP: ARGUMENTS}


def test_combine_options_of_servers_are_ignored_for_agents():
    settings = [in_file(key, "10.9.0.0/16") for key in (POD_CIDR, SERVICE_CIDR, BACKEND)]
    assert combined(*settings, group="agent") == {}
    assert len(combined(*settings)) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (NODE_IP, "10.0.0.1,fd00::1"),
        (POD_CIDR, ["10.42.0.0/16", "fd42::/56"]),
        (SERVICE_CIDR, "10.43.0.0/16,fd43::/112"),
    ],
)
def test_combine_dual_stack_is_a_problem(key, value):
    _told, problems = combine("server", [in_file(key, value)])
    assert problems == [
        f"{key} in {FILE} has IPv4 and IPv6; dual-stack clusters are not supported: give one family"
    ]
    assert combine("server", [in_file("node-external-ip", value)])[1] == []


# The inventory and the node's files


def test_merge_node_wins_over_the_inventory():
    node = NodeSettings([in_file(NODE_IP, "10.0.0.1"), in_file(INTERFACE, "eth0")], installed=())
    inventory = [
        argument(NODE_IP, "10.0.0.9"),
        argument(INTERFACE, "eth0"),
        argument(NODE_NAME, "n"),
    ]
    record, problems = merge("server", inventory, node)
    assert problems == []
    assert dict(record.told) == {
        NODE_IP: ("10.0.0.1", FILE),
        INTERFACE: ("eth0", FILE),
        NODE_NAME: ("n", ARGUMENTS),
    }
    assert record.differences == [
        f"node-ip in {FILE} is 10.0.0.1, and node-ip in {ARGUMENTS} is 10.0.0.9"
    ]
    assert record.pending == [NODE_NAME]


@pytest.mark.parametrize("node", [None, NodeSettings()])
def test_merge_inventory_before_k3s_has_run_is_not_pending(node):
    record, _problems = merge("server", [argument(NODE_IP, "10.0.0.1")], node)
    assert dict(record.told) == {NODE_IP: ("10.0.0.1", ARGUMENTS)}
    assert list(record.pending) == []


@pytest.mark.parametrize(
    ("of_inventory", "of_node", "value", "not_plain"),
    [
        ("10.0.0.1", "$X", None, {NODE_IP: FILE}),
        ("$X", "10.0.0.1", "10.0.0.1", {}),
        ("$X", "$X", None, {NODE_IP: FILE}),
    ],
)
def test_merge_value_that_is_not_plain_is_that_of_the_node(of_inventory, of_node, value, not_plain):
    node = NodeSettings([in_file(NODE_IP, of_node)])
    record, _problems = merge("server", [argument(NODE_IP, of_inventory)], node)
    assert (record.told.value(NODE_IP), record.told.not_plain) == (value, not_plain)


def test_merge_names_problems_of_both():
    both = "10.0.0.1,fd00::1"
    node = NodeSettings([in_file(NODE_IP, both)])
    _record, problems = merge("server", [argument(NODE_IP, both)], node)
    assert [problem.split(" has ")[0] for problem in problems] == [
        f"node-ip in {ARGUMENTS}",
        f"node-ip in {FILE}",
    ]


def test_record_is_a_dictionary_of_plain_values():
    node = NodeSettings(
        [in_file(NODE_IP, "10.0.0.1"), in_file(INTERFACE, "$X"), in_file(NODE_NAME, "$X")],
        ["a: b"],
        "/srv/k3s.yaml",
        ("10.0.0.1",),
        "1.33.4",
    )
    assert merge("agent", [], node)[0].to_dict() == {
        "settings": {NODE_IP: {"value": "10.0.0.1", "source": FILE}},
        "pending": [],
        # Not the node's name, which no file of this collection sets.
        "unreadable": ["a: b", f"flannel-iface in {FILE} is not plain text"],
        "differences": [],
        "config": "/srv/k3s.yaml",
        "installed": ["10.0.0.1"],
        "version": "1.33.4",
    }
    assert Record(Told()).to_dict()["installed"] is None


# What the cluster and the nodes take from it


def told_of(key, value):
    return combine("server", [] if value is None else [argument(key, value)])[0]


def test_for_node_equal_values_are_no_contradiction():
    problems: list[str] = []
    one = told_of(NODE_IP, "fd00::1")
    for explicit in ("fd00:0::1", None):
        assert for_node("s1", NODE_IP, "k3s_topology_node_ip", explicit, one, problems) == "fd00::1"
    assert problems == []
    for_node("s1", NODE_IP, "k3s_topology_node_ip", "fd00::9", one, problems)
    assert problems == [
        f"host s1: k3s_topology_node_ip is fd00::9, and node-ip in {ARGUMENTS} is fd00::1; "
        "give both the same value, or only the one of K3s"
    ]


def test_for_node_value_that_is_not_plain_needs_the_variable():
    problems: list[str] = []
    one = told_of(NODE_IP, f"${TOKEN}")
    assert for_node("s1", NODE_IP, "k3s_topology_node_ip", "10.0.0.1", one, problems) is None
    assert problems == []
    assert for_node("s1", NODE_IP, "k3s_topology_node_ip", None, one, problems) is None
    assert problems == [
        f"host s1: node-ip in {ARGUMENTS} is not a plain value, so it is not known here; "
        "set k3s_topology_node_ip"
    ]


@pytest.mark.parametrize(
    ("other", "explicit", "value", "part"),
    [
        ("10.44.0.0/16", None, "10.44.0.0/16", ""),
        ("10.44.0.0/16", "10.44.0.0/16", "10.44.0.0/16", ""),
        (
            "10.45.0.0/16",
            None,
            "10.44.0.0/16",
            "is 10.44.0.0/16, and host s2 has 10.45.0.0/16; K3s",
        ),
        (None, None, "10.44.0.0/16", ""),
        ("10.44.0.0/16", "10.9.0.0/16", "10.44.0.0/16", "k3s_topology_pod_cidr is 10.9.0.0/16"),
        ("$X", None, None, "hosts s2: cluster-cidr in extra_server_args is not a plain value"),
        ("$X", "10.9.0.0/16", None, ""),
    ],
)
def test_for_all_servers_have_the_same_value(other, explicit, value, part):
    problems: list[str] = []
    told = {"s1": told_of(POD_CIDR, "10.44.0.0/16"), "s2": told_of(POD_CIDR, other)}
    assert for_all(POD_CIDR, "k3s_topology_pod_cidr", explicit, told, (), problems) == value
    assert len(problems) == bool(part)
    assert part in "".join(problems)


@pytest.mark.parametrize(("value", "differs"), [("10.42.0.0/16", False), ("10.44.0.0/16", True)])
def test_for_all_complete_server_has_the_default(value, differs):
    problems: list[str] = []
    told = {"s1": told_of(POD_CIDR, value), "s2": Told()}
    assert for_all(POD_CIDR, "k3s_topology_pod_cidr", None, told, ["s2"], problems) == value
    assert bool(problems) is differs
    assert not differs or "host s2 has 10.42.0.0/16" in problems[0]


def test_for_all_option_that_nobody_sets_is_none():
    assert for_all(BACKEND, None, None, {"s1": Told()}, (), []) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("FD00:0::11", "fd00::11 ", True),
        ("10.42.0.0/16", "10.42.0.0/16", True),
        ("10.42.0.0/16", "10.42.0.0/24", False),
        ("vxlan", " vxlan", True),
        ("vxlan", "none", False),
    ],
)
def test_same_compares_addresses_and_text(one, other, expected):
    assert same(one, other) is expected
