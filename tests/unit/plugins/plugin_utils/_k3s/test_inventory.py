# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.inventory import (
    ADDRESS,
    INTERFACE,
    KEYS,
    POD_CIDR,
    Told,
    for_all,
    for_node,
    read,
    with_backend,
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
    assert set(found) <= set(KEYS["server"])
    assert all(isinstance(value, str) and value for value, _source in found.values())
    assert all(problem.startswith("host s1: ") for problem in problems)


def told_of(key, value):
    found = Told()
    if value is not None:
        found[key] = (value, "extra_server_args")
    return found


def test_same_value_in_two_places_is_no_contradiction():
    problems: list[str] = []
    one = told_of(ADDRESS, "10.0.0.1")
    assert for_node("s1", ADDRESS, "k3s_topology_node_ip", "10.0.0.1", one, problems) == "10.0.0.1"
    assert for_node("s1", ADDRESS, "k3s_topology_node_ip", None, one, problems) == "10.0.0.1"
    assert problems == []
    for_node("s1", ADDRESS, "k3s_topology_node_ip", "10.0.0.9", one, problems)
    assert problems == [
        "host s1: k3s_topology_node_ip is 10.0.0.9, and node-ip in extra_server_args is 10.0.0.1; "
        "give both the same value, or only the one of K3s"
    ]


@pytest.mark.parametrize(
    ("other", "differs"), [("10.45.0.0/16", True), (None, True), (" 10.44.0.0/16", False)]
)
def test_servers_that_are_told_different_networks_are_named(other, differs):
    problems: list[str] = []
    both = {
        "s1": told_of(POD_CIDR, "10.44.0.0/16"),
        "s2": told_of(POD_CIDR, other),
    }
    for_all(POD_CIDR, "k3s_topology_pod_cidr", None, both, problems)
    assert bool(problems) is differs
    if differs:
        assert "host s1: cluster-cidr in extra_server_args is 10.44.0.0/16" in problems[0]
        assert "it is not for s2" in problems[0]


def row(name, port):
    return {"name": name, "port": port, "protocol": "udp", "source": ["server", "agent"]}


SHIPPED = [row("dns", 53), row("flannel-vxlan", 8472)]


@pytest.mark.parametrize(
    ("rows", "extra", "backend", "names"),
    [
        (SHIPPED, [], None, ["dns", "flannel-vxlan"]),
        (SHIPPED, [], "vxlan", ["dns", "flannel-vxlan"]),
        (SHIPPED, [], "wireguard-native", ["dns", "flannel-wireguard"]),
        (
            SHIPPED,
            [],
            "wireguard-native=PersistentKeepaliveInterval=25",
            ["dns", "flannel-wireguard"],
        ),
        (SHIPPED, [row("flannel-wireguard", 51820)], "wireguard-native", ["dns"]),
        (SHIPPED, [], "host-gw", ["dns"]),
        # Another CNI may use that port.
        (SHIPPED, [], "none", ["dns", "flannel-vxlan"]),
        ([row("flannel-vxlan", 9999)], [], "host-gw", ["flannel-vxlan"]),
    ],
)
def test_overlay_has_the_port_of_its_backend(rows, extra, backend, names):
    found = with_backend(rows, extra, backend)
    assert [one["name"] for one in found] == names
    assert all(one["source"] == ["server", "agent"] for one in found)


@pytest.mark.parametrize(
    "value",
    [
        f"--token={TOKEN}",
        "${NODE_IP}",
        "$(hostname)",
        "{{ k3s_address }}",
        "'a b'",
        "\x1b[31mred",
        "9" * 3000,
    ],
)
@pytest.mark.parametrize("key", KEYS["agent"])
def test_value_that_is_not_plain_is_needed_only_without_our_own_variable(key, value):
    found: list[str] = []
    one = read("s1", "server", {"extra_server_args": f"--{key} {value}"}.get, found)
    assert (dict(one), found) == ({}, [])
    assert for_node("s1", key, "k3s_topology_x", "ours", one, found) is None
    assert found == []
    for_node("s1", key, "k3s_topology_x", None, one, found)
    assert found == [
        f"host s1: {key} in extra_server_args is not a plain value, so it is not known here; "
        "set k3s_topology_x"
    ]


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
def test_values_of_other_keys_do_not_matter(given):
    assert sources(server_config_yaml=given) == {ADDRESS: ("10.0.0.1", "server_config_yaml")}


def test_address_that_yaml_would_take_for_a_number_is_read_as_k3s_does():
    found = sources(server_config_yaml="node-ip: 2001:10:20:30:40:50:10:1")
    assert found[ADDRESS][0] == "2001:10:20:30:40:50:10:1"


def test_deeply_nested_file_is_named():
    _found, problems = told(server_config_yaml="a: " + "[" * 3000)
    assert problems == ["host s1: server_config_yaml is not valid YAML; correct it"]


@pytest.mark.parametrize(
    "given",
    [
        "--kubelet-arg --node-ip=0.0.0.0 -i 10.0.0.1",
        "--kube-controller-manager-arg '--cluster-cidr=10.9.0.0/16' -i 10.0.0.1",
        "-i 10.0.0.1 -- --flannel-iface eth9",
    ],
)
def test_options_of_other_programs_do_not_count(given):
    assert sources(extra_server_args=given) == {ADDRESS: ("10.0.0.1", "extra_server_args")}


def test_options_of_servers_do_not_count_for_agents():
    config = "cluster-cidr: 10.9.0.0/16\nflannel-backend: none\nflannel-iface: eth1\n"
    assert sources(group="agent", agent_config_yaml=config) == {
        INTERFACE: ("eth1", "agent_config_yaml")
    }
