# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.inventory import read
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.settings import (
    INTERFACE,
    KEYS,
    NODE_IP,
    POD_CIDR,
    combine,
)
from hypothesis import given
from hypothesis import strategies as st

TOKEN = "K10secret::server:topsecret"


def told(group="server", **variables):
    """Return what K3s is told, and the problems."""
    problems: list[str] = []
    found, own = combine(group, read("s1", group, variables.get, problems))
    assert TOKEN not in repr((found, found.not_plain, own))
    return found, [*problems, *own]


def sources(**variables):
    found, problems = told(**variables)
    assert problems == []
    return dict(found)


@pytest.mark.parametrize(
    "given",
    [
        "--node-ip 10.99.0.1 --flannel-iface host1",
        "--node-ip=10.99.0.1 --flannel-iface=host1",
        "--cluster-init -i 10.99.0.1 -flannel-iface host1",
        f"--token {TOKEN} --node-ip '10.99.0.1' \n --flannel-iface \"host1\"",
        ["--node-ip 10.99.0.1", "--flannel-iface=host1"],
        "--flannel-iface host1 --kubelet-arg --node-ip=0.0.0.0 -i 10.99.0.1",
        "--kubelet-arg '--flannel-iface=x' -i 10.99.0.1 --flannel-iface host1 -- -i 10.99.0.2",
    ],
)
def test_read_command_line_of_k3s_ansible(given):
    assert sources(extra_server_args=given) == {
        NODE_IP: ("10.99.0.1", "extra_server_args"),
        INTERFACE: ("host1", "extra_server_args"),
    }


@pytest.mark.parametrize(
    "given",
    [
        f"token: {TOKEN}\nnode-ip: 10.99.0.1\ncluster-cidr: 10.44.0.0/16\n",
        "node-ip: [10.99.0.1]\ncluster-cidr:\n  - 10.44.0.0/16 # pods\n",
        {"node-ip": "10.99.0.1", "cluster-cidr": ["10.44.0.0/16"], "token": TOKEN},
        "{node-ip: 10.99.0.1, cluster-cidr+: 10.44.0.0/16}",
    ],
)
def test_read_configuration_of_k3s_ansible(given):
    assert sources(server_config_yaml=given) == {
        NODE_IP: ("10.99.0.1", "server_config_yaml"),
        POD_CIDR: ("10.44.0.0/16", "server_config_yaml"),
    }


def test_read_agent_has_its_own_variables():
    variables = {"extra_server_args": "-i 10.0.0.1", "extra_agent_args": "-i 10.0.0.2"}
    assert sources(group="agent", **variables)[NODE_IP] == ("10.0.0.2", "extra_agent_args")


def test_read_command_line_comes_after_the_file():
    found = sources(
        server_config_yaml="node-ip: 10.0.0.1\nflannel-iface: eth0\n",
        extra_server_args="--node-ip 10.0.0.2 --flannel-iface eth1",
    )
    assert found[NODE_IP] == ("10.0.0.1", "server_config_yaml")
    assert found[INTERFACE] == ("eth1", "extra_server_args")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("node-ip: 10.0.0.1\ni: 10.0.0.2", "10.0.0.1"),
        ("i: 10.0.0.2\nnode-ip: 10.0.0.1", "10.0.0.2"),
        ("node-ip+: 10.0.0.1\ni+: 10.0.0.2", "10.0.0.1"),
    ],
)
def test_read_alias_in_the_file_adds_up(text, value):
    assert sources(server_config_yaml=text)[NODE_IP][0] == value


def test_read_alias_in_the_file_makes_dual_stack():
    _found, [problem] = told(server_config_yaml="node-ip: 10.0.0.1\ni: fd00::1")
    assert "node-ip in server_config_yaml has IPv4 and IPv6" in problem


@pytest.mark.parametrize(
    "variables",
    [
        *({"server_config_yaml": nothing} for nothing in (None, "", "# comment\n", {}, "x: 1")),
        *({"extra_server_args": nothing} for nothing in (None, "", [], "--disable traefik")),
    ],
)
def test_read_variables_without_these_options_set_nothing(variables):
    assert sources(**variables) == {}


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        (
            {"server_config_yaml": f"token: {TOKEN}\n\tx: 1\n"},
            "server_config_yaml is not valid YAML, line 2; correct it",
        ),
        ({"server_config_yaml": "a: " + "[" * 3000}, "server_config_yaml is not valid YAML; corr"),
        ({"server_config_yaml": f"- {TOKEN}"}, "server_config_yaml has no keys"),
        ({"extra_server_args": f"--token '{TOKEN}"}, "extra_server_args cannot be split"),
    ],
)
def test_read_variable_that_cannot_be_used_is_named(variables, part):
    _found, [problem] = told(**variables)
    assert problem.startswith(f"host s1: {part}")
    assert TOKEN not in problem


@given(st.text(max_size=60), st.sampled_from(["server_config_yaml", "extra_server_args"]))
def test_read_any_text_gives_values_or_a_problem(text, variable):
    problems: list[str] = []
    found = read("s1", "server", {variable: text}.get, problems)
    assert {one.key for one in found} <= set(KEYS["server"])
    assert all(problem.startswith("host s1: ") for problem in problems)


@pytest.mark.parametrize("key", KEYS["agent"])
@pytest.mark.parametrize("value", [f"--token={TOKEN}", "${NODE_IP}", "'a b'", "\x1b[31mred", ""])
def test_read_value_that_is_not_plain_is_kept_apart(key, value):
    found, problems = told(extra_server_args=f"--{key} {value}")
    assert (dict(found), problems) == ({}, [])
    assert found.not_plain == ({key: "extra_server_args"} if value else {})


@pytest.mark.parametrize(
    "given",
    [
        "x: 2024-02-30\nnode-ip: 10.0.0.1",
        "x: !!float SECRET\nnode-ip: 10.0.0.1",
        "x: 0b_\nnode-ip: 10.0.0.1",
        "cluster-cidr: ~\nnode-ip: 10.0.0.1",
        {"token": object(), "node-ip": "10.0.0.1", 5: None},
    ],
)
def test_read_values_of_other_keys_are_ignored(given):
    assert sources(server_config_yaml=given) == {NODE_IP: ("10.0.0.1", "server_config_yaml")}


def test_read_address_like_a_sexagesimal_number_stays_text():
    found = sources(server_config_yaml="node-ip: 2001:10:20:30:40:50:10:1")
    assert found[NODE_IP][0] == "2001:10:20:30:40:50:10:1"


def test_read_options_of_servers_are_ignored_for_agents():
    config = "cluster-cidr: 10.9.0.0/16\nflannel-backend: none\nflannel-iface: eth1\n"
    assert sources(group="agent", agent_config_yaml=config) == {
        INTERFACE: ("eth1", "agent_config_yaml")
    }
