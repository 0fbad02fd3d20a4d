# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.settings import (
    NodeSettings,
    Setting,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.inventory import (
    Inventory,
    resolve,
    with_backend,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_ports,
    entry,
    host,
    port_rule,
    settings,
)
from hypothesis import given
from hypothesis import strategies as st

FILE = "/etc/rancher/k3s/config.yaml"
ARGUMENTS = "extra_server_args"
NAMES = ("s1", "s2", "a1")


def told(source, **values):
    return [Setting.of(source, key.replace("_", "-"), value) for key, value in values.items()]


def inventory(of_inventory=(), explicit=None, ports=None, **of_hosts):
    """Return two servers and an agent; C(of_inventory) is what the inventory tells the servers."""
    return Inventory(
        settings=settings(ports=ports or default_ports()),
        hosts=[
            host(name, "agent" if name == "a1" else "server", interfaces=None, **of_hosts)
            for name in NAMES
        ],
        k3s={name: of_inventory if name != "a1" else [] for name in NAMES},
        explicit=explicit or {},
    )


def on_servers(**values):
    """Return what the files of both servers say."""
    return {name: NodeSettings(told(FILE, **values)) for name in ("s1", "s2")}


def resolved(one, nodes=None):
    found = resolve(one, nodes or {})
    assert found.problems == []
    return found


def port_names(found):
    return {rule["name"] for rule in found.settings.rules}


# What K3s is told decides what the user leaves open


@pytest.mark.parametrize("by_node", [False, True])
def test_resolve_networks_and_backend_are_those_of_k3s(by_node):
    values = {
        "cluster_cidr": "10.44.0.0/16",
        "service_cidr": "10.45.0.0/16",
        "flannel_backend": "wireguard-native",
    }
    source = FILE if by_node else ARGUMENTS
    given_inventory = inventory() if by_node else inventory(told(ARGUMENTS, **values))
    found = resolved(given_inventory, on_servers(**values) if by_node else {})
    assert (found.settings.pod_cidr, found.settings.service_cidr) == (
        "10.44.0.0/16",
        "10.45.0.0/16",
    )
    assert found.settings.pod_cidr_source == f"cluster-cidr in {source}"
    assert found.settings.service_cidr_source == f"service-cidr in {source}"
    assert port_names(found) - port_names(resolved(inventory())) == {"flannel-wireguard"}


def test_resolve_without_settings_of_k3s_changes_nothing():
    one = inventory()
    found = resolved(one)
    assert found.settings == one.settings
    assert [(item.node_ip, item.cluster_interface) for item in found.hosts] == [(None, None)] * 3
    assert {item.node_ip_source for item in found.hosts} == {"k3s_topology_node_ip"}


def test_resolve_address_and_nic_are_those_of_k3s():
    nodes = {"a1": NodeSettings(told(FILE, node_ip="10.0.0.9", flannel_iface="eth1"))}
    server, _other, agent = resolved(inventory(told(ARGUMENTS, node_ip="10.0.0.1")), nodes).hosts
    assert (server.node_ip, server.cluster_interface) == ("10.0.0.1", None)
    assert server.node_ip_source == f"node-ip in {ARGUMENTS}"
    assert (agent.node_ip, agent.cluster_interface) == ("10.0.0.9", "eth1")
    assert agent.cluster_interface_source == f"flannel-iface in {FILE}"
    assert agent.k3s["settings"]["node-ip"] == {"value": "10.0.0.9", "source": FILE}


def test_resolve_only_flannel_iface_has_the_address_of_its_nic():
    nodes = {"s1": NodeSettings(told(FILE, flannel_iface="eth1"))}
    found = resolved(inventory(), nodes)
    first = replace(
        found.hosts[0], interfaces={"eth0": ["192.0.2.11/24"], "eth1": ["198.51.100.11/24"]}
    )
    assert (first.node_ip, first.cluster_interface) == (None, "eth1")
    [node] = build(found.settings, [first])["nodes"]
    assert node["address"] == "198.51.100.11"


def test_resolve_variables_of_the_user_stay():
    found = resolved(
        inventory(told(ARGUMENTS, node_ip="fd00::1"), node_ip="fd00:0::1", cluster_interface="eth1")
    )
    assert found.hosts[0].node_ip == "fd00:0::1"
    assert found.hosts[0].node_ip_source == "k3s_topology_node_ip"


@pytest.mark.parametrize(
    ("values", "changes", "part"),
    [
        ({"node_ip": "10.0.0.1"}, {"node_ip": "10.0.0.9"}, "k3s_topology_node_ip is 10.0.0.9, and"),
        (
            {"flannel_iface": "eth1"},
            {"cluster_interface": "eth0"},
            f"k3s_topology_cluster_interface is eth0, and flannel-iface in {FILE} is eth1",
        ),
        (
            {"cluster_cidr": "10.44.0.0/16"},
            {"explicit": {"pod_cidr": "10.42.0.0/16"}},
            f"k3s_topology_pod_cidr is 10.42.0.0/16, and cluster-cidr in {FILE} is 10.44.0.0/16",
        ),
        ({"service_cidr": "$X"}, {}, f"service-cidr in {FILE} is not a plain value"),
        ({"flannel_backend": "$X"}, {}, "write the value itself there"),
        ({"node_ip": "10.0.0.1,fd00::1"}, {}, f"host s1: node-ip in {FILE} has IPv4 and IPv6"),
        ({"cluster_cidr": "10.44.0.0/16,fd44::/56"}, {}, "dual-stack clusters are not supported"),
    ],
)
def test_resolve_contradiction_of_a_node_is_a_problem(values, changes, part):
    problems = resolve(inventory(**changes), on_servers(**values)).problems
    assert part in problems[0]


@pytest.mark.parametrize("key", ["cluster_cidr", "service_cidr"])
def test_resolve_server_with_another_network_is_a_problem(key):
    nodes = {"s2": NodeSettings(told(FILE, **{key: "10.9.0.0/16"}))}
    [problem] = resolve(inventory(told(ARGUMENTS, **{key: "10.44.0.0/16"})), nodes).problems
    assert "is 10.44.0.0/16, and host s2 has 10.9.0.0/16" in problem


def test_resolve_networks_of_agents_are_ignored():
    nodes = {"a1": NodeSettings(told(FILE, cluster_cidr="10.9.0.0/16", flannel_backend="none"))}
    assert resolved(inventory(), nodes).settings == inventory().settings


# The ports of Flannel's backend


def udp(name, first, last=None):
    return port_rule(first, last, name, "udp")


SHIPPED = [udp("dns", 53), udp("flannel-vxlan", 8472)]


@pytest.mark.parametrize(
    ("rules", "backend", "names"),
    [
        (SHIPPED, None, ["dns", "flannel-vxlan"]),
        (SHIPPED, "vxlan", ["dns", "flannel-vxlan"]),
        (SHIPPED, "wireguard-native", ["dns", "flannel-wireguard"]),
        (SHIPPED, "wireguard-native=Mode=separate", ["dns", "flannel-wireguard"]),
        (
            [*SHIPPED, udp("flannel-wireguard", 51820)],
            "wireguard-native",
            ["dns", "flannel-wireguard"],
        ),
        (SHIPPED, "host-gw", ["dns"]),
        # Another CNI may use that port.
        (SHIPPED, "none", ["dns", "flannel-vxlan"]),
        ([udp("flannel-vxlan", 9999)], "host-gw", ["flannel-vxlan"]),
        ([udp("flannel-vxlan", 8472, 8473)], "host-gw", ["flannel-vxlan"]),
    ],
)
def test_with_backend_overlay_has_its_port(rules, backend, names):
    found = with_backend(rules, backend)
    assert [rule["name"] for rule in found] == names
    assert all(rule["source"] == ["server", "agent"] for rule in found)


def test_with_backend_wireguard_has_both_ports():
    [rule] = with_backend([udp("flannel-vxlan", 8472)], "wireguard-native")
    assert (rule["first"], rule["last"], rule["protocol"]) == (51820, 51821, "udp")


# The text between the two actions


def assert_round_trip(one):
    again = Inventory.from_text(one.to_text())
    assert again.to_text() == one.to_text()
    assert {name: list(found) for name, found in one.k3s.items()} == again.k3s
    assert resolve(again, {}).problems == resolve(one, {}).problems
    return again


TEXTS = st.text(max_size=10)
SETTINGS = st.lists(
    st.builds(
        Setting,
        TEXTS,
        st.sampled_from(["node-ip", "cluster-cidr"]),
        st.none() | st.lists(TEXTS, max_size=2).map(tuple),
        st.booleans(),
        st.booleans(),
    ),
    max_size=3,
)


@given(SETTINGS, st.none() | TEXTS, TEXTS)
def test_inventory_text_is_the_same_inventory(of_inventory, explicit, purpose):
    one = inventory(
        of_inventory,
        {"pod_cidr": explicit, "service_cidr": None},
        [entry(purpose=purpose)],
        node_ip=explicit,
    )
    again = assert_round_trip(one)
    assert again.settings == one.settings
    assert again.explicit == one.explicit
    assert [item.node_ip for item in again.hosts] == [item.node_ip for item in one.hosts]


def test_inventory_text_has_the_addresses_to_which_ansible_connects():
    one = inventory(ssh_addresses=["192.0.2.11"])
    one = replace(one, clients=["c1"], client_addresses={"c1": ["192.0.2.41"]})
    again = Inventory.from_text(one.to_text())
    assert [list(item.ssh_addresses) for item in again.hosts] == [["192.0.2.11"]] * 3
    assert again.client_addresses == {"c1": ["192.0.2.41"]}


@pytest.mark.parametrize(
    ("of_inventory", "of_file", "is_reported"),
    [
        ({}, {"node_ip": "192.0.2.11"}, True),
        ({"node_ip": "192.0.2.11"}, {}, False),
        ({"node_ip": "192.0.2.11"}, {"node_ip": "192.0.2.11"}, False),
        # The node's file is in force, and contradicts the inventory.
        ({"node_ip": "192.0.2.11"}, {"node_ip": "192.0.2.99"}, True),
        ({}, {}, False),
    ],
)
def test_address_that_only_a_nodes_file_has_is_reported(of_inventory, of_file, is_reported):
    found = resolve(inventory(told(ARGUMENTS, **of_inventory)), on_servers(**of_file))
    assert [one.node_ip_is_reported for one in found.hosts] == [is_reported, is_reported, False]


def test_address_of_the_variable_is_not_reported():
    found = resolve(inventory(node_ip="192.0.2.11"), on_servers(node_ip="192.0.2.11"))
    assert not any(one.node_ip_is_reported for one in found.hosts)


@pytest.mark.parametrize("wrap", [lambda value: value, wrap_var])
def test_inventory_text_accepts_strings_of_ansible(wrap):
    data = wrap(
        DataLoader().load(
            "rule: {name: api, port: '6443', source: [server], destination: [server],\n"
            '  protocol: tcp, purpose: "a \'{{ b }}"}\n'
            "mode: shared\nname: s1\naddress: 10.0.0.1\nclients: [client1]\nsettings: true\n"
        )
    )
    one = Inventory(
        settings=settings(ports=[data["rule"]]),
        hosts=[host(data["name"], mode=data["mode"], node_ip=data["address"], interfaces=None)],
        k3s={data["name"]: told(data["name"], node_ip=data["address"])},
        explicit={"pod_cidr": data["address"]},
        clients=data["clients"],
    )
    again = assert_round_trip(one)
    assert (again.hosts[0].name, again.clients) == ("s1", ["client1"])
    assert {type(again.hosts[0].name), type(again.settings.rules[0]["name"])} == {str}


def test_to_text_is_no_structure_for_ansible():
    # Up to ansible-core 2.18, a text that begins with a brace becomes a structure.
    assert inventory().to_text()[0] not in "{[("


def test_resolve_before_nodes_are_read_leaves_what_is_not_plain():
    given = inventory(told(ARGUMENTS, node_ip="$X", cluster_cidr="$X"))
    assert resolve(given).problems == []
    assert len(resolve(given, {}).problems) == 3
