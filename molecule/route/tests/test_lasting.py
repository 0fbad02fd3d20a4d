# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the node goes through with our route, from outside where that can be."""

from __future__ import annotations

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
# What the network service does about a NIC without carrier: NetworkManager after 5 s, networkd
# soon, ifupdown nothing.
NOTICED = {
    "networkmanager": f"nmcli -g GENERAL.STATE device show {NIC} | grep -q unavailable",
    "networkd": f"networkctl status {NIC} | grep -q no-carrier",
    "systemd": "true",
}
# The cluster's own addresses and K3s's detection, while the node can't be asked. The console tells
# that the network service has noticed.
RECORD = """
rm -f /tmp/recorded /tmp/recorded.end
while [ ! -e /tmp/recorded.end ]; do
  carrier=$(cat /sys/class/net/{nic}/carrier)
  echo "$carrier $(ip route get 10.43.0.1 2>&1 | head -n1) |" \\
    "$(awk '$2 == "00000000" {{ print $1; exit }}' /proc/net/route)" >>/tmp/recorded
  [ "$carrier" = 1 ] || ! {noticed} || echo "{told}" >/dev/ttyS0
  sleep 0.5
done
"""
TOLD = "The network service has noticed that the carrier is gone"


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
    record = RECORD.format(nic=NIC, noticed=NOTICED[prepared.backend], told=TOLD)
    prepared.close()
    prepared.run(f"({record}) >/dev/null 2>&1 &")
    prepared.wait_for("[ -s /tmp/recorded ]")
    prepared.lab("carrier", NIC, "off")
    prepared.wait_for_console(TOLD)
    prepared.lab("carrier", NIC, "on")
    prepared.wait_for("touch /tmp/recorded.end")
    lines = prepared.run("cat /tmp/recorded").splitlines()
    assert {line[0] for line in lines} == {"0", "1"}, lines
    assert all("dev dummy0" in line and line.endswith("| dummy0") for line in lines), lines
    assert_found(prepared)
