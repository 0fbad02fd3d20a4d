# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A route that was made by hand and taken over is there after a reboot.

On the other backends its files are compared with those of a route of our own: test_states.py.
"""

from __future__ import annotations

from node import MADE_BY_HAND, OURS
from told import succeeded


def test_route_that_was_taken_over_is_there_after_a_reboot(node, bare, route):
    node.run(MADE_BY_HAND)
    succeeded(route(), changed=True)
    node.reboot()
    assert node.default_routes() == [OURS]
    assert node.detected() == ("dummy0", "203.0.113.254")
    succeeded(route(), changed=False)
