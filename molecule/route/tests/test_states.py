# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role does with each default route, or lack of one, that a node may have."""

from __future__ import annotations

import pytest
from node import CLEAN, GATEWAY, MADE_BY_HAND, NIC, OURS
from result import assert_the_guides_result
from told import refused, succeeded

FILES = """
find /etc/systemd /etc/NetworkManager -name '*k3s-default-route*' | sort
find /etc/systemd /etc/NetworkManager -name '*k3s-default-route*' -type f | sort | xargs cat
"""
K3S_CONFIG = "/etc/rancher/k3s/config.yaml.d/k3s-default-route.yaml"
REAL = f"ip route add default via {GATEWAY} dev {NIC}"


def test_missing_route_is_added_and_k3s_configured(node, bare, route):
    succeeded(route(), changed=True)
    assert_the_guides_result(node)
    text = node.run(f"cat {K3S_CONFIG}")
    settings = [line for line in text.splitlines() if not line.startswith("#")]
    assert settings == ["node-ip: '10.89.0.11'", "flannel-iface: 'eth0'"]


def test_absent_restores_the_node(node, bare, route):
    before = node.snapshot()
    succeeded(route(), changed=True)
    assert node.default_routes() == [OURS]
    succeeded(route(), changed=False)
    succeeded(route(state="absent"), changed=True)
    assert node.snapshot() == before
    succeeded(route(state="absent"), changed=False)


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


def test_manual_route_is_adopted_without_a_gap(node, bare, route):
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
    # It lasts as any other of this backend does, by the same files.
    adopted = node.run(FILES)
    assert adopted
    node.run(CLEAN)
    succeeded(route(), changed=True)
    assert node.run(FILES) == adopted


def test_dummy0_of_another_profile_is_refused(node, bare, route):
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


def test_later_real_route_is_preferred(node, bare, route):
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


def test_profile_with_a_higher_metric_is_preferred(node, bare, route):
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


def test_changed_values_replace_the_former(node, bare, route):
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
