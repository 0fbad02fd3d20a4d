# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import wireguard
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.overlay import (
    Peer,
    addresses_behind,
    find,
    first_address,
    vxlan_port,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_ip import (
    as_recorded,
)

# As iproute2 5.10 and 6.1 print it for what Flannel makes.
LINK = {
    "ifname": "flannel.1",
    "mtu": 1450,
    "linkinfo": {"info_kind": "vxlan", "info_data": {"id": 1, "port": 8472}},
}
FORWARDING = [
    {"mac": "0a:58:0a:2a:02:00", "dst": "192.0.2.12", "flags": ["self"], "state": "permanent"},
    {"mac": "0a:58:0a:2a:03:00", "dst": "192.0.2.13", "flags": ["self"], "state": "permanent"},
]
NEIGHBOURS = [
    {"dst": "fe80::1", "lladdr": "0a:58:0a:2a:02:00", "state": ["STALE"]},
    {"dst": "10.42.2.0", "lladdr": "0a:58:0a:2a:02:00", "state": ["PERMANENT"]},
    {"dst": "10.42.9.0", "state": ["FAILED"]},
]


WIREGUARD = {"ifname": "flannel-wg", "mtu": 1420}
PEERS = {
    "flannel-wg": [
        wireguard.Peer(("192.0.2.13", 51820), [ipaddress.ip_network("10.42.3.0/24")]),
        wireguard.Peer(("192.0.2.12", 51820), [ipaddress.ip_network("10.42.2.0/24")]),
        wireguard.Peer(None, [ipaddress.ip_network("10.42.4.0/24")]),
        wireguard.Peer(("192.0.2.15", 51820), []),
    ],
    "flannel-wg-v6": [
        wireguard.Peer(("2001:db8::2", 51821), [ipaddress.ip_network("2001:cafe:42:1::/64")]),
    ],
}


def asked(links=(LINK,), forwarding=tuple(FORWARDING), neighbours=tuple(NEIGHBOURS), others=()):
    def ask(argv, _stdin):
        if argv[0] == "bridge":
            return as_recorded(argv, list(forwarding))
        if "link" in argv and "vxlan" not in argv:
            return as_recorded(argv, list(others))
        return as_recorded(argv, list(links if "link" in argv else neighbours))

    return ask


def no_peers(name):
    raise AssertionError(f"the kernel was asked for {name}")


def test_the_address_behind_a_node_is_found():
    found = find(asked(), [("192.0.2.12", 8472)], no_peers)
    assert found == {("192.0.2.12", 8472): Peer("10.42.2.0", "flannel.1", 1450)}


@pytest.mark.parametrize(
    ("ask", "endpoint"),
    [
        (asked(links=[]), ("192.0.2.12", 8472)),
        (asked(), ("192.0.2.12", 4789)),
        (asked(), ("192.0.2.14", 8472)),
        (asked(), ("192.0.2.13", 8472)),
        (asked(forwarding=[]), ("192.0.2.12", 8472)),
        (asked(neighbours=[]), ("192.0.2.12", 8472)),
    ],
    ids=["no device", "another port", "another node", "no neighbour", "no entry", "no addresses"],
)
def test_where_no_overlay_leads_there_nothing_is_found(ask, endpoint):
    assert find(ask, [endpoint], no_peers) == {}


def test_a_neighbour_without_an_address_of_its_own_is_behind_nobody():
    assert addresses_behind("192.0.2.14", FORWARDING, NEIGHBOURS) == []
    assert addresses_behind("192.0.2.12", [{"mac": "x"}], [{"dst": "10.42.2.0"}]) == []


@pytest.mark.parametrize(
    "link", [{}, {"linkinfo": {"info_kind": "bridge", "info_data": {"port": 8472}}}]
)
def test_another_device_has_no_port(link):
    assert vxlan_port(link) == 0


def test_vxlan_over_ipv6_leads_to_the_peers_address():
    """As iproute2 prints it for what Flannel makes in an IPv6 cluster."""
    mac = "0a:58:0a:2a:02:00"
    ask = asked(
        links=[{**LINK, "ifname": "flannel-v6.1", "mtu": 1430}],
        forwarding=[{**FORWARDING[0], "dst": "2001:db8::2"}],
        neighbours=[
            {"dst": "2001:cafe:42:2::", "lladdr": mac, "state": ["PERMANENT"]},
            {"dst": "fe80::1", "lladdr": mac, "state": ["STALE"]},
            {"dst": "10.42.2.0", "lladdr": mac, "state": ["PERMANENT"]},
        ],
    )
    wanted = ("2001:DB8:0::2", 8472)
    assert find(ask, [wanted], no_peers) == {wanted: Peer("2001:cafe:42:2::", "flannel-v6.1", 1430)}


# WireGuard


def found_by_wireguard(name, *endpoints):
    ask = asked(links=(), others=[{"ifname": "eth0", "mtu": 1500}, {**WIREGUARD, "ifname": name}])
    return find(ask, endpoints, PEERS.__getitem__)


@pytest.mark.parametrize(
    ("name", "endpoint", "address"),
    [
        ("flannel-wg", ("192.0.2.12", 51820), "10.42.2.0"),
        ("flannel-wg", ("192.0.2.13", 51820), "10.42.3.0"),
        ("flannel-wg-v6", ("2001:db8:0::2", 51821), "2001:cafe:42:1::"),
    ],
)
def test_wireguard_leads_to_the_first_address_of_the_peer(name, endpoint, address):
    found = found_by_wireguard(name, ("192.0.2.14", 51820), endpoint)
    assert found == {endpoint: Peer(address, name, 1420)}
    assert found[endpoint].is_wireguard


@pytest.mark.parametrize(
    "endpoint",
    [("192.0.2.12", 51821), ("192.0.2.14", 51820), ("192.0.2.15", 51820)],
    ids=["another port", "another node", "no network"],
)
def test_wireguard_without_such_a_peer_leads_nowhere(endpoint):
    assert found_by_wireguard("flannel-wg", endpoint) == {}


def test_wireguard_of_other_software_is_not_read():
    ask = asked(links=(), others=[{**WIREGUARD, "ifname": "wg0"}])
    assert find(ask, [("192.0.2.12", 51820)], no_peers) == {}


def test_vxlan_and_wireguard_are_found_together():
    ask = asked(others=[WIREGUARD])
    found = find(ask, [("192.0.2.12", 8472), ("192.0.2.12", 51820)], PEERS.__getitem__)
    assert [peer.device for peer in found.values()] == ["flannel.1", "flannel-wg"]
    assert [peer.is_wireguard for peer in found.values()] == [False, True]


def test_first_address_of_all_addresses_is_none():
    """A peer that carries everything does not say which address it has."""
    assert first_address(wireguard.Peer(None, [ipaddress.ip_network("0.0.0.0/0")])) is None
