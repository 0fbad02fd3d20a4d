# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input stops a run before any change; the message names variable, host and remedy.

The unit tests have the other messages (test_topology.py, test_cluster_topology.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

NODES = ("server1", "server2", "agent1")
SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()
BAD_RULE = {
    "name": "mine",
    "port": 70000,
    "protocol": "tcp",
    "source": ["server"],
    "destination": ["server"],
}


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


@pytest.fixture
def refused(machine, playbook):
    """Return a function that asserts that a run is refused and changes nothing."""

    def assert_refused(*words, arguments=(), **how):
        before = [machine(name).run(SNAPSHOT) for name in NODES]
        run = playbook("prepare", *arguments, **how)
        assert run.returncode != 0
        text = " ".join(run.output.split())
        for word in ("No changes were made", *words):
            assert word in text
        for name in NODES:
            if f"{name} " in run.output.partition("PLAY RECAP")[2]:
                assert run.changed(name) == 0
        assert [machine(name).run(SNAPSHOT) for name in NODES] == before

    return assert_refused


def test_bad_variables_of_the_inventory_are_refused_together(refused):
    refused(
        *("k3s_topology_extra_ports", "mine", "70000", "give a number from 1 to 65535"),
        *("k3s_topology_pod_cidr", "k3s_topology_service_cidr", "overlap", "of their own"),
        *("hosts server1, ", "k3s_topology_mode", "split", "shared, segregated"),
        k3s_topology_extra_ports=[BAD_RULE],
        k3s_topology_service_cidr="10.42.128.0/17",
        k3s_topology_mode="split",
    )


def test_unreachable_peer_without_an_address_is_refused(refused, variables):
    gone = {"ansible_host": "10.89.0.250", "ansible_ssh_timeout": 2}
    refused(
        *("host agent1", "its address can't be had", "set k3s_topology_node_ip"),
        arguments=("--limit", "server1"),
        inventory=inventory(variables, agent1=gone),
    )


def test_unreachable_peer_with_an_address_does_not_stop_the_run(playbook, variables):
    gone = {"ansible_host": "10.89.0.250", "k3s_topology_node_ip": "10.89.0.250"}
    run = playbook(
        "prepare", "--check", "--limit", "server1", inventory=inventory(variables, agent1=gone)
    )
    assert run.returncode == 0, run.output
