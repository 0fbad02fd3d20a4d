# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.conditions import (
    generated_profiles,
    left_objects,
    shadowing_zones,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    IPSET,
    ZONE,
    PreviousBinding,
    Record,
    State,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    Profile,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import (
    firewall_wanted,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_rules,
    node,
    segregated,
    topology,
)


def shadowing(make_node, sources, **others):
    cluster = topology([make_node()], default_rules(), **others)
    state = State({}, {}, "public", sources=sources)
    return shadowing_zones(state, firewall_wanted(cluster, "server1"))


@pytest.mark.parametrize("bound", ["10.42.0.0/16", "10.42.7.0/24", "10.0.0.0/8"])
def test_source_zone_of_pods_is_named(bound):
    found = shadowing(node, {"trusted": [bound]})
    assert len(found) == 1
    assert found[0].startswith(f"Zone trusted has pod addresses among its sources ({bound})")


def test_source_zone_of_clients_is_named_in_segregated_mode():
    found = shadowing(segregated, {"office": ["198.51.100.0/24"]})
    assert len(found) == 1
    assert "Zone office takes packets from 198.51.100.0/24 on every interface" in found[0]
    assert "before zone k3s-external does" in found[0]


def test_source_zone_of_clients_is_not_named_in_shared_mode():
    assert shadowing(node, {"office": ["198.51.100.0/24"]}) == []


def test_source_zone_is_not_named_if_clients_are_named():
    sources = {"office": ["203.0.113.0/24"]}
    assert shadowing(segregated, sources, external_sources=["198.51.100.0/24"]) == []


def test_left_objects_are_those_without_a_record():
    keys = {(ZONE, "public"), (ZONE, "k3s-cluster"), (IPSET, "k3s-nodes")}
    record = Record(objects=frozenset({(IPSET, "k3s-nodes")}))
    found = left_objects(keys, record)
    assert len(found) == 1
    assert "zone k3s-cluster" in found[0]
    assert "k3s-nodes" not in found[0]
    assert left_objects({(ZONE, "public")}, Record()) == []


@pytest.mark.parametrize(("directory", "named"), [("/run", True), ("/etc", False)])
def test_generated_profile_is_named(directory, named):
    path = f"{directory}/NetworkManager/system-connections/netplan-eth0.nmconnection"
    profile = Profile("uuid", path, FileCopy(path, b""))
    record = Record(bindings={"eth0": PreviousBinding("", "public", profile)})
    assert [path in text for text in generated_profiles(record)] == [True] * named
