# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The default route that the guide makes by hand."""

from __future__ import annotations

from node import OURS


def assert_the_guides_result(node):
    """The interface, address and route of the guide, and nothing beside them."""
    assert node.default_routes() == [OURS]
    link = node.json("ip -json -details address show dev dummy0")[0]
    assert link["linkinfo"]["info_kind"] == "dummy"
    assert "UP" in link["flags"]
    found = [(one["local"], one["prefixlen"]) for one in link["addr_info"]]
    assert found == [("203.0.113.254", 31)]
    assert node.json("ip -json -6 route show dev dummy0") == []
    assert node.detected() == ("dummy0", "203.0.113.254")
    assert node.way() == "dummy0"
    # firewalld's own, which drops everything.
    assert node.zone("dummy0") == "drop"
