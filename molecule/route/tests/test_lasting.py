# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the node goes through with our route, from outside where that can be."""

from __future__ import annotations

import time

import pytest
from node import CLEAN, NIC, OURS, ZONE_OF

# A service that has just started brings the NIC up again, and has done so then.
RESTARTED = {
    "networkmanager": ("NetworkManager", f"nmcli -g DEVICE connection show --active | grep {NIC}"),
    "networkd": ("systemd-networkd", f"networkctl status {NIC} | grep -q '(configured)'"),
    "systemd": ("networking", "systemctl is-active -q networking"),
}
IN_DROP = f"{ZONE_OF} dummy0 | grep drop"
RELOAD = (
    "busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1 reload"
)
# The cluster's own addresses and K3s's detection, while the node can't be asked.
RECORD = """
for _ in $(seq 30); do
  echo "$(cat /sys/class/net/{nic}/carrier) $(ip route get 10.43.0.1 2>&1 | head -n1) |" \\
    "$(awk '$2 == "00000000" {{ print $1; exit }}' /proc/net/route)"
  sleep 0.5
done >/tmp/recorded
"""


@pytest.fixture(scope="module", autouse=True)
def clean(node):
    """What the tests before have left is not to be prepared."""
    node.run(CLEAN)


@pytest.fixture
def prepared(node, route):
    """The node with our route, which no test here takes away."""
    told = route()
    assert "failed" not in told, told
    assert_found(node)
    return node


def assert_found(node):
    assert node.default_routes() == [OURS]
    assert node.detected() == ("dummy0", "203.0.113.254")
    assert node.way() == "dummy0"


def test_restarted_network_service_keeps_the_route(prepared):
    service, settled = RESTARTED[prepared.backend]
    prepared.run(f"systemctl restart {service}")
    prepared.wait_for(settled)
    assert_found(prepared)


def test_reloaded_networkd_keeps_the_route(prepared):
    if prepared.backend != "networkd":
        pytest.skip("another stack")
    prepared.run("ip monitor route link >/tmp/watched 2>&1 & echo $! >/tmp/watcher")
    prepared.run("networkctl reload")
    prepared.wait_for("networkctl status dummy0 | grep -q '(configured)'")
    prepared.run("kill $(cat /tmp/watcher)")
    # networkd may write the route anew, in its place.
    assert "Deleted default" not in prepared.run("cat /tmp/watched")
    assert_found(prepared)


def test_restarted_firewalld_keeps_the_zone(prepared):
    prepared.run("systemctl restart firewalld")
    prepared.wait_for(IN_DROP)
    prepared.run(RELOAD)
    prepared.wait_for(IN_DROP)


def test_nic_without_carrier_keeps_the_route(prepared):
    prepared.run(f"({RECORD.format(nic=NIC)}) >/dev/null 2>&1 &")
    prepared.lab("carrier", NIC, "off")
    # The node can't be asked meanwhile. NetworkManager takes a NIC down 5 s after its carrier.
    time.sleep(8)
    prepared.lab("carrier", NIC, "on")
    prepared.wait_for("[ $(wc -l </tmp/recorded) = 30 ]")
    lines = prepared.run("cat /tmp/recorded").splitlines()
    assert {line[0] for line in lines} == {"0", "1"}, lines
    assert all("dev dummy0" in line and line.endswith("| dummy0") for line in lines), lines
    assert_found(prepared)
