# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    TopologyError,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.verify import (
    resolve_targets,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    host,
    settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only, problems_of

OWN = "192.0.2.11"
FALSE = "203.0.113.77"
VERIFIED = "so the node's address can't be verified"


def reached(address=OWN, connection=OWN, known=(OWN,), **others):
    """Return a host to which the controller connects, with what the host reports."""
    given = {"interfaces": {"eth0": [f"{address}/24"]}, **others}
    return host(connection_address=connection, ssh_addresses=known, **given)


def built(one, *others, clients=None):
    return build(settings(), [one, *others], clients or (), clients)["nodes"][0]


# The address of the connection


def test_node_that_agrees_with_the_controller_is_accepted():
    assert built(reached())["address"] == OWN


@pytest.mark.parametrize(
    ("one", "part"),
    [
        (reached(FALSE, FALSE), f"the node reports a connection to {FALSE}"),
        (reached(FALSE, None), "no interface that the node reports has this address"),
        (reached(FALSE, OWN), "no interface that the node reports has this address"),
        # It has the address, and names another.
        (
            reached(interfaces={"eth0": [f"{FALSE}/24"], "eth1": [f"{OWN}/24"]}, connection=FALSE),
            f"the node reports a connection to {FALSE}",
        ),
        (
            reached(interfaces={"eth0": [f"{OWN}/24", f"{FALSE}/24"]}, connection=FALSE),
            f"the node reports a connection to {FALSE}",
        ),
        # A named NIC changes nothing.
        (reached(FALSE, FALSE, cluster_interface="eth0"), "the node reports a connection"),
        # The file of a node says what the node says.
        (
            reached(FALSE, FALSE, node_ip=FALSE, node_ip_is_reported=True),
            "the node reports a connection",
        ),
    ],
)
def test_node_that_contradicts_the_controller_is_refused(one, part):
    only(
        problems_of(build, settings(), [one]),
        f"host server1: Ansible connects to {OWN}, and {part}",
        VERIFIED,
        "set k3s_topology_node_ip for this host",
    )


def test_false_ipv4_address_beside_the_ipv6_of_the_connection_is_refused():
    six = "2001:db8::11"
    # The NIC of the connection appears twice, once without the false address.
    nics = {"eth0": [f"{six}/64", f"{FALSE}/24"], "eth1": [f"{six}/64"]}
    one = reached(interfaces=nics, connection=six, known=(six,))
    only(problems_of(build, settings(), [one]), f"the node reports {FALSE} on eth0", VERIFIED)


def test_name_with_both_families_admits_the_ipv4_address():
    six = "2001:db8::11"
    nics = {"eth0": [f"{six}/64", f"{OWN}/24"]}
    assert built(reached(interfaces=nics, connection=six, known=(OWN, six)))["address"] == OWN


@pytest.mark.parametrize(
    "nics",
    [
        {"eth0": [f"{FALSE}/24", f"{OWN}/32"]},
        {"eth0": [f"{FALSE}/24", f"{OWN}/24"]},
        {"eth0": [f"{FALSE}/24"], "eth1": [f"{OWN}/24"]},
    ],
)
@pytest.mark.parametrize("connection", [None, OWN])
def test_node_does_not_choose_among_its_interfaces(nics, connection):
    one = reached(interfaces=nics, connection=connection)
    try:
        found = build(settings(), [one])["nodes"][0]["address"]
    except TopologyError as error:
        assert "several addresses" in str(error)
    else:
        assert found == OWN


def test_controller_tells_the_nic_if_the_node_does_not_know():
    nics = {"eth0": ["198.51.100.11/24"], "eth1": [f"{OWN}/24"]}
    assert built(reached(interfaces=nics, connection=None))["cluster_interface"] == "eth1"


@pytest.mark.parametrize(
    "others",
    [
        {"cluster_interface": "eth1"},
        {"cluster_interface": "eth1", "mode": "segregated", "external_interface": "eth0"},
        {"node_ip": "198.51.100.11", "node_ip_is_reported": True},
    ],
)
def test_address_of_another_nic_is_not_compared(others):
    nics = {"eth0": [f"{OWN}/24"], "eth1": ["198.51.100.11/24"]}
    assert built(reached(interfaces=nics, **others))["address"] == "198.51.100.11"


def test_address_of_the_inventory_needs_no_connection_to_it():
    # As with NAT.
    assert built(reached(known=("198.51.100.5",), node_ip=OWN))["address"] == OWN


def test_nothing_is_compared_if_the_controller_does_not_know():
    assert built(reached(FALSE, FALSE, known=()))["address"] == FALSE


# The addresses of other hosts

NEIGHBOR = "198.51.100.21"


@pytest.mark.parametrize(
    "others",
    [
        {"cluster_interface": "eth1"},
        {"node_ip": NEIGHBOR, "node_ip_is_reported": True},
        {"cluster_interface": "eth1", "known": ()},
    ],
)
@pytest.mark.parametrize("is_client", [False, True])
def test_node_with_the_address_of_another_host_is_refused(others, is_client):
    nics = {"eth0": [f"{OWN}/24"], "eth1": [f"{NEIGHBOR}/24"]}
    hosts = [reached(interfaces=nics, **others)]
    clients = {"client1": [NEIGHBOR]} if is_client else {}
    if not is_client:
        hosts.append(
            host("agent1", "agent", node_ip="192.0.2.21", interfaces=None, ssh_addresses=[NEIGHBOR])
        )
    only(
        problems_of(build, settings(), hosts, clients, clients),
        f"host server1: its address is {NEIGHBOR}, to which Ansible connects as host "
        + ("client1" if is_client else "agent1"),
        "set k3s_topology_node_ip to the address of host server1",
    )


def test_hosts_that_share_the_address_of_a_gateway_are_no_neighbors():
    # The same machine is in the inventory twice, or two ports of one address lead to two hosts.
    assert built(reached(), clients={"client1": [OWN]})["address"] == OWN


def test_a_thousand_hosts_are_compared_in_a_moment():
    hosts = []
    for number in range(1000):
        address = f"10.0.{number // 250}.{number % 250 + 1}"
        nics = {"eth0": [f"{address}/16"]}
        hosts.append(
            host(f"n{number}", interfaces=nics, connection_address=address, ssh_addresses=[address])
        )
    started = time.process_time()
    assert len(build(settings(), hosts)["nodes"]) == len(hosts)
    assert time.process_time() - started < 5


# What the controller connects to


def resolver(known):
    """Return a resolver, and the names that it was given."""
    given = []

    def look_up(names):
        given.extend(names)
        return [known.get(name, []) for name in names]

    return look_up, given


def test_address_needs_no_resolver():
    look_up, given = resolver({})
    found = resolve_targets({"a": OWN, "b": "2001:DB8::1", "c": "::ffff:192.0.2.3"}, ["a"], look_up)
    assert found == {"a": [OWN], "b": ["2001:db8::1"], "c": ["192.0.2.3"]}
    assert given == []


def test_each_name_is_resolved_once_and_only_if_it_is_wanted():
    look_up, given = resolver({"gateway": [OWN], "agent.example": ["2001:db8::1", OWN, OWN]})
    targets = {"a": "gateway", "b": "gateway", "c": "agent.example", "d": "other", "e": "unknown"}
    found = resolve_targets(targets, ["a", "b", "c", "e"], look_up)
    assert found == {"a": [OWN], "b": [OWN], "c": [OWN, "2001:db8::1"]}
    assert sorted(given) == ["agent.example", "gateway", "unknown"]


@pytest.mark.parametrize("local", ["127.0.0.1", "127.0.1.1", "::1", "fe80::1%eth0", "0.0.0.0"])
def test_address_that_each_machine_has_tells_nothing(local):
    look_up, _given = resolver({"own": [local], "both": [local, OWN]})
    targets = {"a": local, "b": "own", "c": "both"}
    assert resolve_targets(targets, targets, look_up) == {"c": [OWN]}
