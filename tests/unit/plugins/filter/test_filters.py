# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.edgeops.k3s_network.plugins.filter import (
    firewalld_wanted,
    probe_listeners,
    probe_targets,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.factories import (
    row,
    topology,
)

CLUSTER = topology(rows=[row(6443), row(443, source=["external"])])


def filter_of(module):
    ((_name, function),) = module.FilterModule().filters().items()
    return function


@pytest.mark.parametrize("module", [firewalld_wanted, probe_listeners, probe_targets])
def test_each_file_holds_the_filter_of_its_name(module):
    name = module.__name__.rpartition(".")[2]
    assert list(module.FilterModule().filters()) == [name]
    assert f"name: {name}" in module.DOCUMENTATION


def test_firewalld_wanted_returns_the_options_of_the_module():
    wanted = filter_of(firewalld_wanted)(CLUSTER, "server1")
    assert set(wanted) == {"ipsets", "policies", "zones", "source_zones", "interface_ports"}
    assert [one["name"] for one in wanted["ipsets"]] == ["k3s-nodes"]


def test_firewalld_wanted_refuses_a_host_that_is_no_node_by_name():
    with pytest.raises(AnsibleFilterError, match="stranger is no node of this cluster"):
        filter_of(firewalld_wanted)(CLUSTER, "stranger")


def test_probe_targets_are_those_of_the_source():
    call = filter_of(probe_targets)
    assert call(CLUSTER, "agent1", ["server1", "agent1"], "sample", "1") == [
        {"destination": "server1", "address": "192.0.2.11", "protocol": "tcp", "ports": ["6443"]}
    ]
    assert call(CLUSTER, "agent1", ["agent1"], "sample", "1") == []


def test_probe_listeners_answer_nodes_and_the_controller():
    call = filter_of(probe_listeners)
    assert call(CLUSTER, "server1", ["agent1"], "sample", "1") == [
        {"address": "192.0.2.11", "protocol": "tcp", "ports": ["6443"]}
    ]
    assert call(CLUSTER, "server1", ["external"], "sample", "1") == [
        {"address": "192.0.2.11", "protocol": "tcp", "ports": ["443", "6443"]}
    ]
