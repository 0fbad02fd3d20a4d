# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils import _role_values


def found(**by_host):
    return _role_values.problems(by_host, lambda name, variable: by_host[name].get(variable))


def test_defaults_are_right():
    assert found(s1={}, a1={}) == []


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("k3s_firewall_state", "presnt", "must be one of: present, absent"),
        ("k3s_firewall_confirm_timeout", "soon", "unable to convert to int"),
        ("k3s_firewall_confirm_timeout", -1, "is -1; give seconds, or 0"),
        ("k3s_firewall_allow_disruptive_reload", "perhaps", "not a valid boolean"),
        ("k3s_default_route_backend", "netplan", "must be one of: auto, "),
        ("k3s_default_route_metric", "0", "is 0; give a number from 1 to"),
        ("k3s_default_route_address", "203.0.113.254/32", "kernel refuses"),
        ("k3s_default_route_gateway", "here", "give one such as 203.0.113.255"),
        ("k3s_connectivity_range_coverage", "all", "must be one of: sample, full"),
        ("k3s_connectivity_probe_timeout", 0, "is 0.0; give seconds above 0"),
        ("k3s_connectivity_full_mesh_max", -1, "give a number of nodes"),
        ("k3s_connectivity_sources_per_destination", "0", "give a number of at least 1"),
    ],
)
def test_what_a_later_role_would_refuse_is_named_with_host_and_variable(variable, value, part):
    [problem] = found(s1={}, a1={variable: value})
    assert problem.startswith("host a1: ")
    assert variable in problem
    assert part in problem


def test_what_surveys_give_as_text_is_right():
    given = {
        "k3s_firewall_confirm_timeout": "60",
        "k3s_topology_http_redirect": "no",
        "k3s_topology_external_sources": "198.51.100.0/24,192.0.2.0/24",
        "k3s_connectivity_probe_timeout": "2.5",
        "k3s_connectivity_seed": "",
    }
    assert found(s1=given) == []


def test_hosts_with_the_same_mistake_are_told_together():
    wrong = {"k3s_firewall_confirm_timeout": -1}
    [problem] = found(s1=wrong, a1=wrong)
    assert problem.startswith("hosts s1, a1: k3s_firewall_confirm_timeout is -1")


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_empty_text_is_unset_in_each_role(empty):
    def value(_name, _variable):
        return empty

    assert _role_values.problems(["server1"], value) == []
