# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.edgeops.k3s_network.plugins.filter import firewalld_wanted
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import port_rule, topology

CLUSTER = topology(rules=[port_rule(6443), port_rule(443, source=["external"])])


def filter_of(module):
    ((_name, function),) = module.FilterModule().filters().items()
    return function


def test_firewalld_wanted_returns_the_options_of_the_module():
    wanted = filter_of(firewalld_wanted)(CLUSTER, "server1")
    assert set(wanted) == {"ipsets", "policies", "zones", "overlay_zones", "interface_ports"}
    assert [one["name"] for one in wanted["ipsets"]] == ["k3s-nodes"]


def test_firewalld_wanted_refuses_a_host_that_is_no_node_by_name():
    with pytest.raises(AnsibleFilterError, match="stranger is no node of this cluster"):
        filter_of(firewalld_wanted)(CLUSTER, "stranger")
