# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.prober import Outcome
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.targets import (
    Endpoint,
    Target,
    group,
    local_address,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import HERE


def test_the_own_address_is_the_one_that_routing_picks():
    assert local_address(HERE) == HERE


def test_neighbours_with_the_same_outcome_are_one_run():
    opened, closed = Outcome("open"), Outcome("timeout")
    endpoints = [Endpoint("s", HERE, "tcp", port) for port in (80, 81, 90, 91, 95)]
    results = [opened, opened, closed, opened, opened]
    assert list(group(endpoints, results)) == [(80, 81, opened), (90, 90, closed), (91, 95, opened)]
    assert list(group([], [])) == []


def test_a_target_is_its_ports_in_order():
    target = Target("server1", HERE, "tcp", ((80, 81), (90, 90)))
    assert len(target) == 3
    assert [endpoint.port for endpoint in target.endpoints()] == [80, 81, 90]
