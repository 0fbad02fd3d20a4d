# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A NIC that neither network uses stays in the default zone, which the collection leaves as it is.

client1 sends its packets to a node through that NIC, whichever address of the node they are for.
"""

from __future__ import annotations

import contextlib

import datagrams
import guide
import pytest

NODES = ("server1", "agent1")
NICS = ("eth0", "eth1", "eth2")
OTHER = "eth2"
ZONE = "public"
SSH = ("tcp", 22)
TCP = {one for one in guide.EVERYTHING if one[0] == "tcp"} | {SSH}
UDP = sorted(port for protocol, port in guide.EVERYTHING if protocol == "udp")
SCOPES = ("", "--permanent")


@pytest.fixture(scope="module")
def client(machine):
    """Return client1, which sends everything to the nodes through their third NIC."""
    found = machine("client1")
    gateways = {
        node.address(nic): node.address(OTHER)
        for node in map(machine, NODES)
        for nic in NICS
        if nic != OTHER
    }
    for address, gateway in gateways.items():
        found.run(f"ip route add {address}/32 via {gateway} dev eth1")
    yield found
    for address in gateways:
        found.run(f"ip route delete {address}/32")


@contextlib.contextmanager
def opened(node, *ports):
    """Open ports in the default zone, as a user does, and close them again."""
    options = " ".join(f"--add-port={port}" for port in ports)
    node.run(f"firewall-cmd --zone={ZONE} {options}")
    try:
        yield
    finally:
        node.run(f"firewall-cmd --zone={ZONE} {options.replace('add', 'remove')}")


def reachable(client, address):
    states = client.nmap(address, TCP)
    return {one for one, state in states.items() if state in ("open", "closed")}


def settings(node, scope):
    """Return the settings of the default zone, without its NICs."""
    lines = node.run(f"firewall-cmd {scope} --zone={ZONE} --list-all").splitlines()[1:]
    return [line for line in lines if not line.strip().startswith("interfaces:")]


def policy_zones(node, scope):
    """Return the ingress and egress zones of the collection's policies."""
    zones = {}
    for line in node.run(f"firewall-cmd {scope} --list-all-policies").splitlines():
        if line.startswith("k3s-"):
            zones[line.split()[0]] = named = []
        elif not line[:1].isspace():
            named = []
        elif line.strip().startswith(("ingress-zones:", "egress-zones:")):
            named += line.split()[1:]
    assert zones and all(zones.values())
    return zones


@pytest.mark.parametrize("nic", NICS)
@pytest.mark.parametrize("name", NODES)
def test_other_interface_admits_only_ssh(machine, client, name, nic):
    assert reachable(client, machine(name).address(nic)) == {SSH}


@pytest.mark.parametrize("nic", NICS)
def test_other_interface_admits_no_datagram(machine, client, nic):
    node = machine("server1")
    assert datagrams.received(client, node, node.address(nic), UDP) == set()


@pytest.mark.parametrize("nic", NICS)
def test_port_the_user_opens_in_the_zone_is_reachable(machine, client, nic):
    """Shows that the probes above would see an open port."""
    node = machine("server1")
    with opened(node, "6443/tcp", "8472/udp"):
        assert reachable(client, node.address(nic)) >= {SSH, ("tcp", 6443)}
        assert datagrams.received(client, node, node.address(nic), UDP) == {8472}


@pytest.mark.parametrize("scope", SCOPES, ids=["runtime", "permanent"])
@pytest.mark.parametrize("name", NODES)
def test_default_zone_is_unchanged(machine, name, scope):
    """client1 has the zone as it was installed."""
    assert settings(machine(name), scope) == settings(machine("client1"), scope)


@pytest.mark.parametrize("scope", SCOPES, ids=["runtime", "permanent"])
@pytest.mark.parametrize("name", NODES)
def test_default_zone_is_in_no_policy_of_the_collection(machine, name, scope):
    policies = policy_zones(machine(name), scope)
    assert [policy for policy, zones in policies.items() if ZONE in zones] == []


def test_other_interface_stays_in_the_default_zone(machine):
    for name in NODES:
        assert machine(name).run(f"firewall-cmd --get-zone-of-interface={OTHER}").strip() == ZONE
