# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second prepare changes nothing, and remove restores the node, byte for byte."""

from __future__ import annotations

import pytest
from module_run import Node
from wanted import SEGREGATED, UNRESTRICTED, prepare, remove

BOTH = {**SEGREGATED, **UNRESTRICTED}
# A name, a node, and the settings of its runs.
CASES = {
    "shared": ("server1", [{}]),
    "segregated": ("server1", [SEGREGATED]),
    "unrestricted": ("server1", [UNRESTRICTED]),
    "segregated-unrestricted": ("server1", [BOTH]),
    "one-after-another": ("agent1", [{}, SEGREGATED, UNRESTRICTED, {}, BOTH]),
}


@pytest.mark.parametrize("case", CASES)
def test_remove_restores_the_node(case):
    name, runs = CASES[case]
    node = Node(name)
    remove(node)
    before = node.snapshot()
    for settings in runs:
        assert prepare(node, **settings)["changed"] is True
        assert prepare(node, **settings)["changed"] is False
    assert remove(node)["changed"] is True
    assert node.snapshot() == before
    assert remove(node)["changed"] is False


def test_remove_restores_a_nic_that_networkmanager_does_not_manage():
    node = Node("server1")
    remove(node)
    zone = "firewall-cmd --get-zone-of-interface=eth1 2>&1 || true"
    node.run("nmcli device set eth1 managed no")
    try:
        before = node.run(zone)
        prepare(node, **SEGREGATED)
        zones = node.run("firewall-cmd --permanent --zone=k3s-external --list-interfaces")
        assert zones.split() == ["eth1"]
        node.run("firewall-cmd -q --reload")
        assert node.run(zone).strip() == "k3s-external"
        remove(node)
        assert node.run(zone) == before
    finally:
        node.run("nmcli device set eth1 managed yes; nmcli connection up lab-eth1")
