# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power goes, or the run is killed, in the middle: the old state or the new one."""

from __future__ import annotations

from node import CLEAN, OURS, SCENARIO, SUITE

# How much of the run is done when the power goes, on nodes where that is not at its end. Another
# moment on each node, since each takes a boot.
PARTS = {("route", "bullseye"): 0.2, ("route", "bookworm"): 0.5, ("route", "trixie"): 0.8}


def test_power_cut_leaves_the_old_or_the_new_route(node, bare, route):
    part = PARTS.get((SCENARIO, SUITE), 1.0)
    steps = route()["steps"]
    if part < 1:
        node.run(CLEAN)
        assert route(step=max(1, round(part * len(steps)))) is None
    node.power_cycle()
    routes = node.default_routes()
    if routes or part == 1:
        assert routes == [OURS], steps
        assert node.detected() == ("dummy0", "203.0.113.254")
        assert node.way() == "dummy0"
    else:
        assert node.json("ip -json link show type dummy") == [], steps
    told = route()
    assert "failed" not in told, told
    assert told["changed"] is (not routes), told
    assert node.default_routes() == [OURS]


def test_killed_change_leaves_a_route(node, bare, route):
    other = {"address": "198.18.0.1/30", "gateway": "198.18.0.2", "metric": 77}
    changed = {"dst": "default", "gateway": "198.18.0.2", "dev": "dummy0", "metric": 77}
    route()
    steps = route(**other)["steps"]
    assert node.default_routes() == [changed]
    addresses = node.run("ip -o -4 address show dev dummy0")
    assert addresses.count("inet") == addresses.count("inet 198.18.0.1/30") == 1, addresses
    places = range(1, len(steps) + 1)
    for at in places[len(steps) // 2 :: len(steps) // 3]:
        told = route()
        assert "failed" not in told, told
        assert node.default_routes() == [OURS]
        assert route(step=at, **other) is None
        routes = node.default_routes()
        assert routes and all(one in (OURS, changed) for one in routes), steps[at - 1]
        assert node.way() == "dummy0", steps[at - 1]
    told = route(**other)
    assert "failed" not in told, told
    assert node.default_routes() == [changed]
