# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.tests.mutations.cluster import CLUSTER, EXTERNAL
from ansible_collections.edgeops.k3s_network.tests.mutations.filters import PacketFilter
from ansible_collections.edgeops.k3s_network.tests.mutations.firewall import ACCEPT, DROP, REJECT

FILTER = PacketFilter(("hostguard", "early"), DROP, frozenset({CLUSTER}))
REDIS = frozenset({("tcp", 6379)})


@pytest.mark.parametrize(
    ("changes", "network", "of_firewalld", "expected"),
    [
        ({}, CLUSTER, ACCEPT, DROP),
        ({}, CLUSTER, REJECT, DROP),
        ({"after_firewalld": True}, CLUSTER, REJECT, REJECT),
        ({"after_firewalld": True}, CLUSTER, ACCEPT, DROP),
        ({}, EXTERNAL, ACCEPT, ACCEPT),
        ({"spared": REDIS}, CLUSTER, ACCEPT, ACCEPT),
        ({"ports": REDIS}, CLUSTER, ACCEPT, DROP),
        ({"ports": frozenset({("udp", 6379)})}, CLUSTER, ACCEPT, ACCEPT),
    ],
)
def test_filter_drops_what_it_is_for(changes, network, of_firewalld, expected):
    assert replace(FILTER, **changes).action_on(network, "tcp", 6379, of_firewalld) == expected
