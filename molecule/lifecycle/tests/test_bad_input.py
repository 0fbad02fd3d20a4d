# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input is refused before anything changes; the message names variable, host and remedy."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.also_on("trixie")

NODES = ("server1", "server2", "agent1")


def inventory(variables, **changed):
    """Return the lab's cluster as an inventory, with variables of some hosts changed."""
    hosts = {name: {**variables(name), **changed.get(name, {})} for name in NODES}
    return {
        "k3s_cluster": {
            "children": {
                "server": {"hosts": {name: hosts[name] for name in NODES if "server" in name}},
                "agent": {"hosts": {"agent1": hosts["agent1"]}},
            }
        }
    }


def assert_refused(run, *words):
    assert run.returncode != 0
    text = " ".join(run.output.split())
    for word in ("Nothing was changed", *words):
        assert word in text
    for name in NODES:
        if f"{name} " in run.output.partition("PLAY RECAP")[2]:
            assert run.changed(name) == 0


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (
            {"k3s_topology_server_group": "masters"},
            ("k3s_topology_server_group", "masters", "name the group that holds the K3s servers"),
        ),
        (
            {
                "k3s_topology_extra_ports": [
                    {
                        "name": "mine",
                        "port": 70000,
                        "protocol": "tcp",
                        "source": ["server"],
                        "destination": ["server"],
                    }
                ]
            },
            ("k3s_topology_extra_ports", "mine", "70000", "give a number from 1 to 65535"),
        ),
        (
            {"k3s_topology_cluster_interface": "eth9"},
            ("host agent1", "k3s_topology_cluster_interface", "eth9", "eth0, eth1", "name one of"),
        ),
        (
            {"k3s_topology_service_cidr": "10.42.128.0/17"},
            ("k3s_topology_pod_cidr", "k3s_topology_service_cidr", "overlap", "of their own"),
        ),
        (
            {"k3s_topology_mode": "segregated", "k3s_topology_cluster_interface": "eth0"},
            ("host server1", "k3s_topology_external_interface", "name the NIC"),
        ),
        (
            {"k3s_topology_mode": "split"},
            ("host server1", "k3s_topology_mode", "split", "shared, segregated"),
        ),
    ],
    ids=["group", "port", "interface", "cidr", "segregated", "mode"],
)
def test_bad_value_is_refused(playbook, extra, words):
    assert_refused(playbook("prepare", **extra), *words)


def test_address_twice_is_refused(playbook, variables, machine):
    twice = {"k3s_topology_node_ip": machine("server1").address()}
    run = playbook("prepare", inventory=inventory(variables, server1=twice, agent1=twice))
    assert_refused(run, "server1, agent1", "k3s_topology_node_ip", "give each node one of its own")


def test_address_of_another_network_is_refused(playbook, variables):
    wrong = {"k3s_topology_node_ip": "192.0.2.77"}
    run = playbook("prepare", inventory=inventory(variables, agent1=wrong))
    assert_refused(run, "host agent1", "k3s_topology_node_ip is 192.0.2.77", "give an address of")


def test_peer_without_an_address_stops_the_run_and_is_named(playbook, variables):
    gone = {"ansible_host": "10.89.0.250", "ansible_ssh_timeout": 2}
    run = playbook("prepare", "--limit", "server1", inventory=inventory(variables, agent1=gone))
    assert_refused(run, "host agent1", "its address can't be had", "set k3s_topology_node_ip")


def test_unreachable_peer_with_an_address_in_the_inventory_stops_nobody(playbook, variables):
    gone = {"ansible_host": "10.89.0.250", "k3s_topology_node_ip": "10.89.0.250"}
    run = playbook(
        "prepare", "--check", "--limit", "server1", inventory=inventory(variables, agent1=gone)
    )
    assert run.returncode == 0, run.output
