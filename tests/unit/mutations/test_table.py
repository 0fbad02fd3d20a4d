# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import pytest
from ansible_collections.edgeops.k3s_network.tests.mutations import table
from ansible_collections.edgeops.k3s_network.tests.mutations.cluster import Packet
from ansible_collections.edgeops.k3s_network.tests.mutations.firewall import ACCEPT
from ansible_collections.edgeops.k3s_network.tests.mutations.world import intact
from ansible_collections.edgeops.k3s_network.tests.unit.mutations.clusters import (
    CLUSTERS,
    SHARED_CLUSTER,
)

_GUIDE = Path(__file__).resolve().parents[3] / "molecule/guide.py"
_SPEC = importlib.util.spec_from_file_location("guide", _GUIDE)
guide = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(guide)


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        *itertools.permutations(["server1", "server2", "agent1", "agent2"], 2),
        ("client1", "server1"),
        ("client1", "agent1"),
    ],
)
def test_a_prepared_node_admits_what_the_guide_says(source, destination):
    address = SHARED_CLUSTER.machine(destination).nics[0].address
    seen = {
        (protocol, port)
        for protocol, port in guide.EVERYTHING | {("tcp", 22222), ("tcp", 30001), ("udp", 8471)}
        if intact(SHARED_CLUSTER).action(Packet(source, destination, address, protocol, port))
        == ACCEPT
    }
    extra = {("tcp", 22222)} if source != "client1" else set()
    assert seen == guide.admitted(source, destination) | extra


def test_a_large_range_is_probed_at_its_ends_and_whole_where_it_is_asked_for():
    row = next(row for row in table.ROWS if row.first == 10000)
    assert row.probed(full=False) == [10000, 30000]
    assert len(row.probed(full=True)) == 20001


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda one: one.mode)
def test_packets_speak_of_every_row_at_every_node(cluster):
    packets = list(cluster.packets())
    assert len(packets) == len(set(packets))
    for row in table.ROWS:
        for node in cluster.nodes:
            if node.kind in row.destinations:
                sources = {
                    packet.source
                    for packet in packets
                    if packet.destination == node.name
                    and (packet.protocol, packet.port) == (row.protocol, row.first)
                }
                expected = {
                    one.name
                    for one in cluster.machines
                    if one != node and (one.kind in row.sources or one.kind == table.CLIENT)
                }
                assert expected <= sources
