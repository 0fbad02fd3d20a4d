# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide's own case: a node without a default route has been prepared, and boots again.

Molecule has run prepare before.
"""

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
    zone = node.run("firewall-cmd --get-zone-of-interface=dummy0").strip()
    assert zone == "drop"
    assert "target: DROP" in node.run(f"firewall-cmd --zone={zone} --list-all")


def test_the_node_has_the_guides_route(node):
    assert_the_guides_result(node)


def test_k3s_is_told_the_nodes_address(node):
    text = node.run("cat /etc/rancher/k3s/config.yaml.d/k3s-default-route.yaml")
    settings = [line for line in text.splitlines() if not line.startswith("#")]
    assert settings == ["node-ip: '10.89.0.11'", "flannel-iface: 'eth0'"]


def test_the_route_is_there_after_a_reboot(node, playbook):
    node.reboot()
    assert_the_guides_result(node)
    done = playbook("prepare")
    assert done.returncode == 0, done.output
    assert done.changed("node1") == 0
