# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power goes in the middle of the apply: the old state or the new one, never a mixture."""

from __future__ import annotations

import pytest
from node import CLEAN, OURS

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_the_power_is_cut(node, bare, route, command, part):
    steps = route()["steps"]
    node.run(CLEAN)
    at = max(1, round(part * len(steps)))
    node.run(f"{command} --stop {at} >/tmp/stopped 2>&1 &")
    node.wait_for("grep 'stopped at' /tmp/stopped", 30)
    node.power_cycle()
    routes = node.default_routes()
    if routes:
        assert routes == [OURS], steps[at - 1]
        assert node.detected() == ("dummy0", "203.0.113.254")
    else:
        assert node.json("ip -json link show type dummy") == [], steps[at - 1]
    assert "failed" not in route()
    assert node.default_routes() == [OURS]
