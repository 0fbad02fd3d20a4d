# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parsers read what each version of iproute2 printed; see recordings/record_iproute2.py."""

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _node_facts
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    host as default_route_host,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.plan import Wanted
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.interfaces import (
    parse_addresses,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.iproute import objects
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.routes import real_routes
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s import detection
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    arp,
    overlay,
    path_mtu,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.action import (
    test_node_facts,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils._k3s import (
    test_detection,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils._probe import test_arp
from ansible_collections.edgeops.k3s_network.tests.unit.support import fake_node
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_ip import (
    VERSIONS,
    answer,
    as_recorded,
    unreachable,
)

DETAILS = ["ip", "-json", "-details", "address", "show"]
DEFAULT = ["ip", "-json", "-4", "route", "show", "default"]
STATIC = ["192.0.2.11", "192.0.2.21", "2001:db8:0:1::13", "2001:db8::11"]


@pytest.fixture(params=VERSIONS)
def ask(request):
    def answers(argv, _stdin=""):
        return objects(answer(request.param, argv))

    return answers


def test_addresses_without_temporary_and_deprecated_ones(ask):
    found = {name: sorted(one) for name, one in parse_addresses(ask(DETAILS)).items()}
    assert found == {
        "eth0": ["192.0.2.11/24", "192.0.2.21/24", "2001:db8:0:1::13/64", "2001:db8::11/64"],
        "eth1": [],
        "eth2": ["203.0.113.254/31"],
        "flannel.1": ["10.42.1.0/32"],
        "peer0": [],
    }


def test_facts_of_preflight(ask):
    facts = _node_facts.gather(
        lambda _path: "", lambda _argv: "", ask, lambda _args, data=None: (127, "", "")
    )
    eth0 = facts["interfaces"]["eth0"]
    assert (eth0["mac"], eth0["mtu"]) == ("02:00:00:00:00:11", 1500)
    assert set(STATIC) < set(eth0["addresses"])
    assert "192.0.2.21" in eth0["dynamic"]
    assert "192.0.2.11" not in eth0["dynamic"]
    assert facts["interfaces"]["eth1"]["addresses"] == []
    routes = {route["destination"]: route for route in facts["routes"]}
    assert (routes["10.42.2.0/24"]["interface"], routes["10.42.2.0/24"]["connected"]) == (
        "flannel.1",
        False,
    )
    for destination in ("2001:db8::/64", "192.0.2.0/24"):
        assert (routes[destination]["interface"], routes[destination]["connected"]) == (
            "eth0",
            True,
        )
    destinations = {route["destination"] for route in facts["routes"]}
    assert not destinations & {"default", "192.0.2.11", "192.0.2.255", "2001:db8::11", "ff00::/8"}


def test_default_routes_that_lead_somewhere(ask):
    found = real_routes(ask(DEFAULT))
    assert [route.get("metric", 0) for route in found] == [0, 100, 1000, 2000]
    assert [route.get("metric", 0) for route in real_routes(found, "eth2")] == [0, 100]


def test_default_routes_of_other_tables_and_rules(ask):
    def run(argv):
        answers = {"systemctl": "", "nmcli": ""}
        return 0, answers[argv[0]] if argv[0] in answers else json.dumps(ask(argv)), ""

    wanted = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
    host = default_route_host.DefaultRouteHost(run, wanted).read()
    assert [route.get("metric", 0) for route in host.main_routes()][:4] == [0, 100, 1000, 2000]
    assert {route["table"] for route in host.routes if "table" in route} == {"200", "201"}
    assert host.links["flannel.1"].kind == "vxlan"
    assert host.links["eth0"].kind == "veth"


def test_addresses_that_others_could_have(ask):
    found = arp.own_addresses(ask(["ip", "-json", "address", "show", "up"]))
    assert [one for one in found if one.interface == "eth0"] == [
        arp.Own(address, "eth0", "02:00:00:00:00:11") for address in ("192.0.2.11", "192.0.2.21")
    ]


def test_interfaces_by_which_packets_leave(ask):
    found = path_mtu.interfaces(ask, [])
    assert {address: one.name for address, one in found.items()} == {
        "198.51.100.7": "eth0",
        "192.0.2.12": "eth0",
        "127.0.0.1": "lo",
        "2001:db8::2": "eth0",
    }


def test_peer_in_the_overlay(ask):
    endpoint = ("192.0.2.12", 8472)
    found = overlay.find(ask, [endpoint, ("192.0.2.13", 8472), ("192.0.2.12", 4789)])
    assert found == {endpoint: overlay.Peer("10.42.2.0", "flannel.1", 1450)}


@pytest.mark.parametrize("version", VERSIONS)
def test_route_that_leads_nowhere_is_an_error(version):
    assert unreachable(version) == [fake_node.NO_ROUTE] * 2


def test_address_that_k3s_takes(ask):
    header = test_detection.HEADER
    routes = f"{header}eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    links = ask(["ip", "-json", "address", "show"])
    detected = detection.detect(detection.parse_ipv4(routes), [], links)
    assert (detected.interface, detected.address) == ("eth0", "192.0.2.11")


def test_fakes_of_links_have_the_keys_of_iproute2():
    links = (test_node_facts.ETH0, test_node_facts.DUMMY)
    as_recorded(DETAILS, list(links))
    as_recorded(DETAILS, [test_detection.LO, test_detection.ETH0])
    as_recorded(["ip", "-json", "address", "show", "up"], [test_arp.link()])
    routes = [test_node_facts.REAL, test_node_facts.THROUGH_DUMMY]
    as_recorded(DEFAULT, routes)


@pytest.mark.parametrize("wrong", [{"ifnames": "eth0"}, {"mtu": "1500"}, {"flags": "UP"}])
def test_fake_with_another_key_or_type_is_refused(wrong):
    with pytest.raises(AssertionError, match="was not seen to print"):
        as_recorded(DETAILS, [wrong])
