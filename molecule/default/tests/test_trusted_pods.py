# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that the user trusts, by a binding of the user's own."""

from __future__ import annotations

import pod_paths
import pytest
import topology
from module_run import Node
from wanted import remove

# A user may trust the pod network by its addresses, as the K3s documentation says, or its bridge.
BINDINGS = {"server1": "source=10.42.0.0/16", "agent1": "interface=cni0"}
ZONE = "firewall-cmd -q --permanent --zone=trusted"


@pytest.fixture
def bound():
    """Return nodes on which the user has bound the pod network or its bridge to trusted."""
    nodes = [Node(name) for name in BINDINGS]
    for node in nodes:
        remove(node)
        node.run(f"{ZONE} --add-{BINDINGS[node.name]} && firewall-cmd -q --reload")
    yield nodes
    for node in nodes:
        node.run(f"{ZONE} --remove-{BINDINGS[node.name]} && firewall-cmd -q --reload")
        topology.prepare(node)


def assert_bound(nodes):
    """Assert that zone trusted holds what the user bound, in both configurations."""
    for node in nodes:
        for options in ("", "--permanent"):
            node.run(f"firewall-cmd -q {options} --zone=trusted --query-{BINDINGS[node.name]}")


def test_users_binding_stays_and_every_path_is_open(machine, bound):
    for node in bound:
        assert topology.prepare(node)["changed"] is True
        assert topology.prepare(node)["changed"] is False
    assert_bound(bound)
    with pod_paths.cluster(machine, tuple(BINDINGS), topology.EXTERNAL, trusting=True) as cluster:
        assert pod_paths.deviations(cluster, pod_paths.expected(cluster)) == {}
    for node in bound:
        remove(node)
    assert_bound(bound)
