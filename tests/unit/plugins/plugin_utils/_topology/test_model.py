# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    find_node,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    topology,
)


def test_find_node_finds_by_name():
    assert find_node(topology(), "agent1")["address"] == "192.0.2.21"
    with pytest.raises(KeyError):
        find_node(topology(), "nobody")
