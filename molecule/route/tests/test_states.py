# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role does with each default route, or lack of one, that a node may have."""

from __future__ import annotations

import json

import pytest
from node import CLEAN, EVERYTHING, GATEWAY, MADE_BY_HAND, NIC, OURS, SUITE

pytestmark = pytest.mark.thorough

FILES = """
find /etc/systemd /etc/NetworkManager -name '*k3s-default-route*' | sort
find /etc/systemd /etc/NetworkManager -name '*k3s-default-route*' -type f | sort | xargs cat
"""
REAL = f"ip route add default via {GATEWAY} dev {NIC}"


def succeeded(told, changed):
    assert "failed" not in told, told
    assert told["changed"] == changed, told


def refused(told, *parts):
    for part in parts:
        assert part in told.get("failed", ""), told


@pytest.mark.before_backends
def test_a_real_route_is_left_alone(node, bare, route):
    node.run(REAL)
    before = node.snapshot()
    succeeded(route(), changed=False)
    assert node.snapshot() == before


@pytest.mark.before_backends
def test_several_default_routes_are_left_alone(node, bare, route):
    node.run(f"{REAL} metric 5; {REAL} metric 7")
    before = node.snapshot()
    succeeded(route(), changed=False)
    assert node.snapshot() == before


def test_ours_is_added_once_and_absent_gives_the_machine_back(node, bare, route):
    before = node.snapshot()
    succeeded(route(), changed=True)
    assert node.default_routes() == [OURS]
    succeeded(route(), changed=False)
    succeeded(route(state="absent"), changed=True)
    assert node.snapshot() == before
    succeeded(route(state="absent"), changed=False)


@pytest.mark.once_per_backend
def test_check_mode_shows_each_file_and_touches_nothing(node, bare, route):
    before = node.snapshot()
    told = route(check=True)
    succeeded(told, changed=True)
    after = "".join(one["after"] for one in told["diff"])
    assert "default via 203.0.113.255 dev dummy0 metric 1000" in after
    file = {
        "networkmanager": "address1=203.0.113.254/31,203.0.113.255",
        "networkd": "Gateway=203.0.113.255",
        "systemd": "ExecStart=ip -4 address replace 203.0.113.254/31 dev dummy0",
    }[node.backend]
    assert file in after
    assert "node-ip: '10.89.0.11'" in after
    assert told["k3s_detects"]["address"] == "203.0.113.254"
    assert node.snapshot() == before


def test_what_was_made_by_hand_is_taken_over_without_a_gap_and_lasts(node, bare, route):
    node.run(MADE_BY_HAND)
    before = node.json("ip -json link show dev dummy0")[0]["ifindex"]
    by_hand = node.snapshot()
    node.run("ip monitor route link >/tmp/watched 2>&1 & echo $! >/tmp/watcher")
    succeeded(route(), changed=True)
    node.run("kill $(cat /tmp/watcher)")
    watched = node.run("cat /tmp/watched")
    assert "Deleted default" not in watched, watched
    assert "Deleted 3: dummy0" not in watched, watched
    assert node.json("ip -json link show dev dummy0")[0]["ifindex"] == before
    assert node.default_routes() == [OURS]
    succeeded(route(), changed=False)
    succeeded(route(state="absent"), changed=True)
    assert node.snapshot() == by_hand
    succeeded(route(), changed=True)
    if EVERYTHING or (node.backend, SUITE) == ("networkmanager", "bullseye"):
        node.reboot()
        assert node.default_routes() == [OURS]
        assert node.detected() == ("dummy0", "203.0.113.254")
        succeeded(route(), changed=False)
    # It lasts as any other of this backend does, by the same files.
    adopted = node.run(FILES)
    assert adopted
    node.run(CLEAN)
    succeeded(route(), changed=True)
    assert node.run(FILES) == adopted


@pytest.mark.before_backends
def test_another_dummy0_is_spared_and_named(node, bare, route):
    node.run("ip link add dummy0 type dummy; ip addr add 198.51.100.1/24 dev dummy0")
    before = node.snapshot()
    refused(route(), "interface dummy0", "made by hand", "198.51.100.1/24", "_interface")
    assert node.snapshot() == before


@pytest.mark.once_per_backend
def test_a_dummy0_of_somebodys_profile_is_spared_and_named(node, bare, route):
    if node.backend == "networkmanager":
        make = (
            "nmcli connection add type dummy con-name theirs ifname dummy0 "
            "ipv4.method manual ipv4.addresses 198.51.100.1/24 && nmcli connection up theirs"
        )
        take, named = "nmcli connection delete theirs", "'theirs'"
    elif node.backend == "networkd":
        path = "/run/systemd/network/20-theirs"
        make = (
            f"mkdir -p /run/systemd/network; printf '[NetDev]\\nName=dummy0\\nKind=dummy\\n'"
            f" >{path}.netdev; printf '[Match]\\nName=dummy0\\n[Network]\\n"
            f"Address=198.51.100.1/24\\n' >{path}.network; networkctl reload"
        )
        take, named = f"rm {path}.*; networkctl reload", "20-theirs.network"
    else:
        pytest.skip("nothing manages interfaces here")
    node.run(make)
    node.wait_for("ip -4 address show dev dummy0 | grep 198.51.100.1")
    try:
        refused(route(), "interface dummy0 belongs to", named)
    finally:
        node.run(take)


def test_a_real_route_that_comes_later_wins_with_whatever_metric(node, bare, route):
    succeeded(route(), changed=True)
    # What NetworkManager gave one without connectivity to the internet.
    node.run(f"{REAL} metric 20600")
    node.wait_for(f"ip route get 1.1.1.1 | grep -w {NIC}")
    assert node.detected() == (NIC, "10.89.0.11")
    node.run(f"ip route del default via {GATEWAY} metric 20600")
    node.wait_for("ip route get 1.1.1.1 | grep -w dummy0")
    # Ours is there twice for a moment, so that there is always one.
    node.wait_for("ip -4 route show default | grep -w 'metric 1000'")
    node.wait_for("[ $(ip -4 route show default | wc -l) = 1 ]")
    succeeded(route(), changed=False)
    node.run(f"{REAL} metric 20600")
    node.wait_for(f"ip route get 1.1.1.1 | grep -w {NIC}")
    succeeded(route(), changed=True)
    assert [route["dev"] for route in node.default_routes()] == [NIC]
    assert node.json("ip -json link show type dummy") == []
    succeeded(route(), changed=False)


@pytest.mark.once_per_backend
def test_a_profile_with_a_late_metric_wins(node, bare, route):
    if node.backend != "networkmanager":
        pytest.skip("another stack")
    succeeded(route(), changed=True)
    node.run(
        f"nmcli connection modify lab-{NIC} ipv4.gateway {GATEWAY} ipv4.route-metric 20600"
        f" && nmcli device reapply {NIC}"
    )
    try:
        node.wait_for(f"ip route get 1.1.1.1 | grep -w {NIC}")
        assert node.detected() == (NIC, "10.89.0.11")
        succeeded(route(), changed=True)
        assert [route["dev"] for route in node.default_routes()] == [NIC]
    finally:
        node.run(
            f"nmcli connection modify lab-{NIC} ipv4.gateway '' ipv4.route-metric -1"
            f" && nmcli device reapply {NIC}"
        )


@pytest.mark.once_per_backend
def test_a_route_in_another_table_serves_others_only(node, bare, route):
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


@pytest.mark.before_backends
def test_a_route_that_is_asked_after_ours_is_not_cut_off(node, bare, route):
    node.run(f"ip route add default via {GATEWAY} dev {NIC} table default")
    try:
        before = node.snapshot()
        refused(route(), "in table default, which is asked after the table main")
        assert node.snapshot() == before
        assert node.way("198.51.100.7") == NIC
    finally:
        node.run("ip route flush table default")


@pytest.mark.once_per_backend
def test_an_unreachable_route_behind_ours_is_no_obstacle(node, bare, route):
    node.run("ip route add unreachable default metric 4278198272")
    succeeded(route(), changed=True)
    assert OURS in node.default_routes()
    assert node.detected() == ("dummy0", "203.0.113.254")
    assert node.way() == "dummy0"


@pytest.mark.before_backends
def test_an_unreachable_route_before_ours_is_named(node, bare, route):
    node.run("ip route add unreachable default metric 7")
    before = node.snapshot()
    refused(route(), "unreachable default", "metric 7", "k3s_default_route_metric")
    assert node.snapshot() == before


@pytest.mark.before_backends
@pytest.mark.parametrize("routed", [True, False])
def test_a_node_of_ipv6_alone(node, bare, command, routed):
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
        told = json.loads(node.run(f"ip netns exec v6 {command}"))
        if routed:
            assert told["changed"] is False
            assert told["k3s_detects"]["address"] == "2001:db8::11"
        else:
            assert "neither an IPv4 address nor a default route of IPv6" in told["failed"]
    finally:
        node.run("ip netns delete v6")


@pytest.mark.before_backends
def test_a_gateway_that_is_not_on_the_link_is_refused(node, bare, route):
    before = node.snapshot()
    done = route(address="203.0.113.254/32")
    refused(done, "k3s_default_route_address is 203.0.113.254/32", "kernel refuses", "/31")
    assert node.snapshot() == before


@pytest.mark.once_per_backend
def test_other_values_take_the_place_of_the_former(node, bare, route):
    succeeded(route(), changed=True)
    other = {
        "interface": "dummy7",
        "address": "198.18.0.1/30",
        "gateway": "198.18.0.2",
        "metric": 77,
    }
    succeeded(route(**other), changed=True)
    expected = {"dst": "default", "gateway": "198.18.0.2", "dev": "dummy7", "metric": 77}
    assert node.default_routes() == [expected]
    assert node.run("ip -o link show type dummy").count("\n") == 1
    succeeded(route(**other), changed=False)
    succeeded(route(state="absent"), changed=True)
    assert node.run("ip -o link show type dummy") == ""


@pytest.mark.before_backends
def test_a_missing_driver_is_told_with_its_package(node, bare, route):
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
