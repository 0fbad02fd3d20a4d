# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.inventory import (
    ADDRESS,
    BACKEND,
    INTERFACE,
    KEYS,
    POD_CIDR,
    Told,
    backend_ports,
    for_all,
    for_node,
    read,
)
from hypothesis import given
from hypothesis import strategies as st

TOKEN = "K10secret::server:topsecret"


def told(group="server", **variables):
    """Return what K3s is told, and the problems."""
    problems: list[str] = []
    return dict(read("s1", group, variables.get, problems)), problems


def sources(**variables):
    found, problems = told(**variables)
    assert problems == []
    return found


@pytest.mark.parametrize(
    "given",
    [
        "--node-ip 10.99.0.1 --flannel-iface host1",
        "--node-ip=10.99.0.1 --flannel-iface=host1",
        "-i 10.99.0.1 -flannel-iface host1",
        "--disable traefik --node-ip '10.99.0.1' \\\n --flannel-iface \"host1\"",
        ["--node-ip 10.99.0.1", "--flannel-iface=host1"],
    ],
)
def test_command_line_of_k3s_ansible_is_read(given):
    if isinstance(given, str):
        given = given.replace("\\\n", "\n")
    assert sources(extra_server_args=given) == {
        ADDRESS: ("10.99.0.1", "extra_server_args"),
        INTERFACE: ("host1", "extra_server_args"),
    }


@pytest.mark.parametrize(
    "given",
    [
        f"token: {TOKEN}\nnode-ip: 10.99.0.1\ncluster-cidr: 10.44.0.0/16\n",
        "node-ip: [10.99.0.1]\ncluster-cidr:\n  - 10.44.0.0/16 # pods\n",
        {"node-ip": "10.99.0.1", "cluster-cidr": ["10.44.0.0/16"], "disable": ["traefik"]},
        "{node-ip: 10.99.0.1, cluster-cidr+: 10.44.0.0/16}",
    ],
)
def test_configuration_of_k3s_ansible_is_read(given):
    assert sources(server_config_yaml=given) == {
        ADDRESS: ("10.99.0.1", "server_config_yaml"),
        POD_CIDR: ("10.44.0.0/16", "server_config_yaml"),
    }


def test_agents_have_variables_of_their_own():
    variables = {"extra_server_args": "-i 10.0.0.1", "extra_agent_args": "-i 10.0.0.2"}
    assert sources(group="agent", **variables)[ADDRESS] == ("10.0.0.2", "extra_agent_args")


def test_of_lists_the_file_comes_first_and_of_others_the_command_line_counts():
    found = sources(
        server_config_yaml="node-ip: 10.0.0.1\nflannel-iface: eth0\n",
        extra_server_args="--node-ip 10.0.0.2 --flannel-iface eth1",
    )
    assert found[ADDRESS] == ("10.0.0.1", "server_config_yaml")
    assert found[INTERFACE] == ("eth1", "extra_server_args")


@pytest.mark.parametrize("nothing", [None, "", "# nothing\n", {}, "--disable traefik"])
def test_variables_without_these_options_tell_nothing(nothing):
    name = "extra_server_args" if nothing == "--disable traefik" else "server_config_yaml"
    assert sources(**{name: nothing}) == {}


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        (
            {"server_config_yaml": f"token: {TOKEN}\n\tx: 1\n"},
            "server_config_yaml is not valid YAML",
        ),
        ({"server_config_yaml": f"- {TOKEN}"}, "server_config_yaml has no keys"),
        ({"extra_server_args": f"--token '{TOKEN}"}, "extra_server_args cannot be split"),
        ({"extra_server_args": "-i 10.0.0.1,fd00::1"}, "dual-stack clusters are not supported"),
        (
            {"server_config_yaml": "cluster-cidr: 10.42.0.0/16,fd42::/56"},
            "cluster-cidr in server_config_yaml has IPv4 and IPv6",
        ),
        ({"extra_server_args": "--flannel-backend=ipsec"}, "K3s knows: vxlan, wireguard-native"),
    ],
)
def test_what_cannot_be_used_is_named_without_secrets(variables, part):
    _found, problems = told(**variables)
    [problem] = problems
    assert problem.startswith("host s1: ")
    assert part in problem
    assert TOKEN not in problem


@given(st.text(max_size=60), st.sampled_from(["server_config_yaml", "extra_server_args"]))
def test_any_text_gives_values_or_a_problem(text, variable):
    found, problems = told(**{variable: text})
    assert set(found) <= set(KEYS)
    assert all(isinstance(value, str) and value for value, _source in found.values())
    assert all(problem.startswith("host s1: ") for problem in problems)


def test_same_value_in_two_places_is_no_contradiction():
    problems: list[str] = []
    one = Told({ADDRESS: ("10.0.0.1", "extra_server_args")})
    assert for_node("s1", ADDRESS, "k3s_topology_node_ip", "10.0.0.1", one, problems) == "10.0.0.1"
    assert for_node("s1", ADDRESS, "k3s_topology_node_ip", None, one, problems) == "10.0.0.1"
    assert problems == []
    for_node("s1", ADDRESS, "k3s_topology_node_ip", "10.0.0.9", one, problems)
    assert problems == [
        "host s1: k3s_topology_node_ip is 10.0.0.9, and node-ip in extra_server_args is 10.0.0.1; "
        "give both the same value, or only the one of K3s"
    ]


def test_servers_that_are_told_different_networks_are_named():
    problems: list[str] = []
    both = {
        "s1": Told({POD_CIDR: ("10.44.0.0/16", "extra_server_args")}),
        "s2": Told({POD_CIDR: ("10.45.0.0/16", "extra_server_args")}),
    }
    assert for_all(POD_CIDR, "k3s_topology_pod_cidr", None, both, problems) is None
    assert "10.44.0.0/16 for s1; 10.45.0.0/16 for s2" in problems[0]


@pytest.mark.parametrize(
    ("backend", "ports"),
    [
        (None, None),
        ("vxlan", None),
        ("wireguard-native", ["51820-51821"]),
        ("host-gw", []),
        ("none", []),
    ],
)
def test_overlay_has_the_port_of_its_backend(backend, ports):
    found = backend_ports(backend)
    assert (found if found is None else [port for _name, port, _purpose in found]) == ports
    assert BACKEND in KEYS
