# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.vxlan import (
    Peer,
    addresses_behind,
    find,
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


def asked(links=(LINK,), forwarding=tuple(FORWARDING), neighbours=tuple(NEIGHBOURS)):
    def ask(argv, _stdin):
        if argv[0] == "bridge":
            assert argv[-2:] == ["dev", "flannel.1"]
            return as_recorded(argv, list(forwarding))
        return as_recorded(argv, list(links if "link" in argv else neighbours))

    return ask


def test_the_address_behind_a_node_is_found():
    found = find(asked(), [("192.0.2.12", 8472)])
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
    assert find(ask, [endpoint]) == {}


def test_a_neighbour_without_an_address_of_its_own_is_behind_nobody():
    assert addresses_behind("192.0.2.14", FORWARDING, NEIGHBOURS) == []
    assert addresses_behind("192.0.2.12", [{"mac": "x"}], [{"dst": "10.42.2.0"}]) == []


@pytest.mark.parametrize(
    "link", [{}, {"linkinfo": {"info_kind": "bridge", "info_data": {"port": 8472}}}]
)
def test_another_device_has_no_port(link):
    assert vxlan_port(link) == 0
