# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.edgeops.k3s_network.plugins.filter import (
    firewalld_wanted,
    probe_listeners,
    probe_plan,
    probe_targets,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import Settings
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    role_defaults,
    row,
    topology,
)

CLUSTER = topology(rows=[row(6443), row(443, source=["external"])])


def filter_of(module):
    ((_name, function),) = module.FilterModule().filters().items()
    return function


@pytest.mark.parametrize("module", [firewalld_wanted, probe_listeners, probe_plan, probe_targets])
def test_each_file_holds_the_filter_of_its_name(module):
    name = module.__name__.rpartition(".")[2]
    assert list(module.FilterModule().filters()) == [name]
    assert f"name: {name}" in module.DOCUMENTATION


def test_firewalld_wanted_returns_the_options_of_the_module():
    wanted = filter_of(firewalld_wanted)(CLUSTER, "server1")
    assert set(wanted) == {"ipsets", "policies", "zones", "overlay_zones", "interface_ports"}
    assert [one["name"] for one in wanted["ipsets"]] == ["k3s-nodes"]


def test_firewalld_wanted_refuses_a_host_that_is_no_node_by_name():
    with pytest.raises(AnsibleFilterError, match="stranger is no node of this cluster"):
        filter_of(firewalld_wanted)(CLUSTER, "stranger")


def plan(*sources, cluster=CLUSTER, **others):
    return filter_of(probe_plan)(cluster, sources, "sample", "1", **others)


def test_probe_targets_are_those_of_the_source():
    call = filter_of(probe_targets)
    assert call(plan("server1", "agent1")["text"], "agent1") == [
        {
            "destination": "server1",
            "address": "192.0.2.11",
            "protocol": "tcp",
            "ports": ["6443"],
            "full_size": True,
        }
    ]
    assert call(plan("agent1")["text"], "agent1") == []


def test_probe_listeners_answer_nodes_and_the_controller():
    call = filter_of(probe_listeners)
    assert call(plan("server1", "agent1")["text"], "server1") == [
        {"address": "192.0.2.11", "protocol": "tcp", "ports": ["6443"], "services": ["6443"]}
    ]
    assert call(plan("server1", "external")["text"], "server1") == [
        {
            "address": "192.0.2.11",
            "protocol": "tcp",
            "ports": ["443", "6443"],
            "services": ["443", "6443"],
        }
    ]


def test_probe_plan_has_rounds_where_there_is_much_to_probe():
    rows = [row(number * 10000, number * 10000 + 9999, name=str(number)) for number in range(1, 6)]
    nodes = [node(f"node{number}", address=f"192.0.2.{number}") for number in range(1, 6)]
    names = [one["name"] for one in nodes]
    cluster = topology(nodes, rows)
    assert filter_of(probe_plan)(cluster, names, "sample", "1")["rounds"] == 1
    # 4 peers with 50,000 ports each.
    made = filter_of(probe_plan)(cluster, names, "full", "1")
    assert made["rounds"] == 2
    first, second = (filter_of(probe_targets)(made["text"], "node1", number) for number in (1, 2))
    assert [one["destination"] for one in first] == ["node2", "node3"]
    assert [one["destination"] for one in second] == ["node4", "node5"]


def test_probe_plan_takes_texts_for_numbers_and_any_sequence_for_a_list():
    # As templates of older versions of Ansible have it.
    told = {"full_mesh_max": "40", "sources_per_destination": "2"}
    numbers = {"full_mesh_max": 40, "sources_per_destination": 2}
    assert plan("server1", "agent1", **told) == plan("server1", "agent1", **numbers)


def test_the_text_of_a_plan_looks_like_no_structure():
    # Older versions of Ansible make one of any text in braces.
    assert plan("server1")["text"][0] not in "{[("


def test_probe_plan_refuses_what_would_prove_nothing():
    with pytest.raises(ValueError, match="k3s_connectivity_sources_per_destination is 0"):
        plan("agent1", sources_per_destination=0)


@pytest.mark.parametrize("option", ["full_mesh_max", "sources_per_destination"])
def test_defaults_of_the_plan_are_those_of_the_role(option):
    documented = yaml.safe_load(probe_plan.DOCUMENTATION)["options"][option]["default"]
    default = role_defaults("k3s_connectivity")[f"k3s_connectivity_{option}"]
    assert documented == getattr(Settings, option) == default
