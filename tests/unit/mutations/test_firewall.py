# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.tests.mutations.firewall import (
    ACCEPT,
    ALL_NODES,
    DROP,
    DROP_ZONE,
    FROM_CLIENTS,
    FROM_NODES,
    PUBLIC,
    REJECT,
    TRUSTED,
    WORK,
    ZONE_CLUSTER,
    ZONE_EXTERNAL,
    Rule,
    prepared,
)
from ansible_collections.edgeops.k3s_network.tests.unit.mutations.clusters import (
    SEGREGATED_CLUSTER,
    SHARED_CLUSTER,
)

SHARED = prepared(SHARED_CLUSTER, SHARED_CLUSTER.machine("server1"))
SEGREGATED = prepared(SEGREGATED_CLUSTER, SEGREGATED_CLUSTER.machine("server1"))
BAN = Rule(DROP, "tcp", 6379, 6379)


def with_rule(firewall, place, rule):
    return replace(firewall, rules={**firewall.rules, place: firewall.rules[place] | {rule}})


def redis(firewall, source, interface="eth0"):
    return firewall.action(interface, source, "tcp", 6379)


@pytest.mark.parametrize(
    ("place", "priority", "node", "client"),
    [
        (PUBLIC, 0, DROP, DROP),
        (FROM_NODES, -10, DROP, DROP),
        (FROM_NODES, 0, DROP, DROP),
        (FROM_NODES, 10, ACCEPT, DROP),
        (FROM_CLIENTS, -10, ACCEPT, DROP),
    ],
)
def test_ban_holds_for_whoever_comes_to_it_before_a_rule_that_admits(place, priority, node, client):
    firewall = with_rule(SHARED, place, replace(BAN, priority=priority))
    assert (redis(firewall, "agent1"), redis(firewall, "client1")) == (node, client)


def test_rule_holds_for_its_source_alone():
    of_agent = with_rule(SHARED, FROM_NODES, replace(BAN, machine="agent1"))
    assert (redis(of_agent, "agent1"), redis(of_agent, "agent2")) == (DROP, ACCEPT)
    of_nodes = with_rule(SHARED, FROM_NODES, replace(BAN, ipset=ALL_NODES))
    assert (redis(of_nodes, "agent1"), redis(of_nodes, "client1")) == (DROP, ACCEPT)


@pytest.mark.parametrize(
    ("zone", "admitted", "other"),
    [(TRUSTED, ACCEPT, ACCEPT), (WORK, ACCEPT, REJECT), (DROP_ZONE, ACCEPT, DROP)],
)
def test_zone_of_a_source_decides_after_policies(zone, admitted, other):
    for firewall in (SHARED, SEGREGATED):
        taken = replace(firewall, sources={"agent1": zone})
        assert redis(taken, "agent1") == admitted
        assert taken.action("eth0", "agent1", "tcp", 2379) == other
        assert taken.action("eth0", "agent2", "tcp", 2379) == REJECT


def test_policies_are_asked_for_the_zones_that_they_name():
    assert redis(SEGREGATED, "agent1", "eth0") == ACCEPT
    assert redis(SEGREGATED, "client2", "eth0") == REJECT
    assert redis(SEGREGATED, "client2", "eth1") == ACCEPT
    for zone, action in ((PUBLIC, REJECT), (ZONE_EXTERNAL, ACCEPT), (ZONE_CLUSTER, REJECT)):
        moved = replace(SEGREGATED, zones={"eth0": zone, "eth1": ZONE_EXTERNAL})
        assert redis(moved, "client2", "eth0") == action
