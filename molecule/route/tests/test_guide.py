# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide's own case: a node without a default route has been prepared by molecule."""

from __future__ import annotations

from result import assert_the_guides_result


def test_the_node_has_the_guides_route(node):
    assert_the_guides_result(node)


def test_k3s_is_told_the_nodes_address(node):
    text = node.run("cat /etc/rancher/k3s/config.yaml.d/k3s-default-route.yaml")
    settings = [line for line in text.splitlines() if not line.startswith("#")]
    assert settings == ["node-ip: '10.89.0.11'", "flannel-iface: 'eth0'"]
