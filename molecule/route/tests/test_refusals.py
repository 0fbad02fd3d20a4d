# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes that count or do not, and refusals: what is read before a backend is chosen."""

from __future__ import annotations

import json

import pytest
from node import GATEWAY, NIC, OURS
from task_server import COMMAND
from told import refused, succeeded

REAL = f"ip route add default via {GATEWAY} dev {NIC}"


def test_real_route_is_kept(node, bare, route):
    node.run(REAL)
    before = node.snapshot()
    succeeded(route(), changed=False)
    assert node.snapshot() == before


def test_several_default_routes_are_kept(node, bare, route):
    node.run(f"{REAL} metric 5; {REAL} metric 7")
    before = node.snapshot()
    succeeded(route(), changed=False)
    assert node.snapshot() == before


def test_third_party_dummy0_is_refused(node, bare, route):
    node.run("ip link add dummy0 type dummy; ip addr add 198.51.100.1/24 dev dummy0")
    before = node.snapshot()
    refused(route(), "interface dummy0", "made by hand", "198.51.100.1/24", "_interface")
    assert node.snapshot() == before


def test_route_in_table_default_is_refused(node, bare, route):
    node.run(f"ip route add default via {GATEWAY} dev {NIC} table default")
    try:
        before = node.snapshot()
        refused(route(), "in table default, which is asked after the table main")
        assert node.snapshot() == before
        assert node.way("198.51.100.7") == NIC
    finally:
        node.run("ip route flush table default")


def test_unreachable_route_with_a_lower_metric_is_reported(node, bare, route):
    node.run("ip route add unreachable default metric 7")
    before = node.snapshot()
    refused(route(), "unreachable default", "metric 7", "k3s_default_route_metric")
    assert node.snapshot() == before


def test_route_in_another_table_is_ignored(node, bare, route):
    node.run(
        f"ip route add default via {GATEWAY} dev {NIC} table 100\n"
        "ip rule add from 192.0.2.99 lookup 100"
    )
    try:
        succeeded(route(), changed=True)
        assert node.default_routes() == [OURS]
        assert node.detected() == ("dummy0", "203.0.113.254")
    finally:
        node.run("ip rule del from 192.0.2.99 lookup 100; ip route flush table 100")


def test_unreachable_route_with_a_higher_metric_is_ignored(node, bare, route):
    node.run("ip route add unreachable default metric 4278198272")
    succeeded(route(), changed=True)
    assert OURS in node.default_routes()
    assert node.detected() == ("dummy0", "203.0.113.254")
    assert node.way() == "dummy0"


@pytest.mark.parametrize("routed", [True, False])
def test_ipv6_only_node(node, bare, routed):
    """In a network namespace, since the lab's own network is one of IPv4."""
    node.run(
        "ip netns add v6\n"
        "ip -n v6 link set lo up\n"
        "ip -n v6 link add six type veth peer name away\n"
        "ip -n v6 link set six up\n"
        "ip -n v6 link set away up\n"
        "ip -n v6 address add 2001:db8::11/64 dev six nodad\n"
        + ("ip -n v6 route add default via 2001:db8::1 dev six\n" if routed else "")
    )
    try:
        node.install()
        told = json.loads(node.run(f"""echo '{{"task": "route"}}' | ip netns exec v6 {COMMAND}"""))
        if routed:
            assert told["changed"] is False
            assert told["k3s_detects"]["address"] == "2001:db8::11"
        else:
            assert "neither an IPv4 address nor a default route of IPv6" in told["failed"]
    finally:
        node.run("ip netns delete v6")


def test_a_gateway_that_is_not_on_the_link_is_refused(node, bare, route):
    before = node.snapshot()
    done = route(address="203.0.113.254/32")
    refused(done, "k3s_default_route_address is 203.0.113.254/32", "kernel refuses", "/31")
    assert node.snapshot() == before


def test_missing_driver_is_reported_with_its_package(node, bare, route):
    release = node.run("uname -r").strip()
    driver = node.run("find /lib/modules/$(uname -r) -name 'dummy.ko*'").strip()
    node.run(f"modprobe -r dummy; mv {driver} /var/tmp/")
    try:
        before = node.snapshot()
        refused(route(), "driver 'dummy'", f"linux-image-{release}", "no reboot is needed")
        newer = "/lib/modules/99.1.0/kernel/drivers/net"
        node.run(
            f"mkdir -p {newer}; cp /var/tmp/dummy.ko* {newer}/; depmod 99.1.0 2>/dev/null || "
            "echo kernel/drivers/net/dummy.ko: >/lib/modules/99.1.0/modules.dep"
        )
        refused(route(), "installed for kernel 99.1.0", "a reboot into it is due")
        assert node.snapshot() == before
    finally:
        node.run(
            f"rm -rf /lib/modules/99.1.0; mv /var/tmp/dummy.ko* {driver}; modprobe dummy;"
            " ip link delete dummy0 || true"
        )
