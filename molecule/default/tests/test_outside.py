# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at the nodes from other machines, with tools that know nothing of the collection."""

from __future__ import annotations

import datagrams
import guide
import pytest

NODES = ("server1", "server2", "agent1", "agent2")


@pytest.mark.parametrize("destination", NODES)
@pytest.mark.parametrize("source", ["server1", "agent1", "client1"])
def test_path_is_open_just_where_the_guide_says(machine, source, destination):
    if source == destination:
        pytest.skip("a node reaches itself by its loopback")
    tcp = {one for one in guide.EVERYTHING if one[0] == "tcp"}
    states = machine(source).nmap(machine(destination).address(), tcp)
    seen = {one for one, state in states.items() if state == "closed"}
    assert seen == guide.admitted(source, destination) & tcp
    assert {states[one] for one in tcp - seen} <= {"filtered"}


@pytest.mark.parametrize(
    ("source", "destination", "port", "arrives"),
    [
        ("agent1", "server1", 8472, True),
        ("server1", "agent2", 8472, True),
        ("client1", "server1", 8472, False),
        ("client1", "agent1", 8125, True),
    ],
)
def test_datagram_arrives_just_where_the_guide_says(machine, source, destination, port, arrives):
    sender, receiver = machine(source), machine(destination)
    received = datagrams.received(sender, receiver, receiver.address(), {port})
    assert received == ({port} if arrives else set())


def test_ssh_is_still_admitted_from_anywhere(machine):
    states = machine("client1").nmap(machine("server1").address(), {("tcp", 22)})
    assert states == {("tcp", 22): "open"}


def test_zone_of_the_interface_is_still_the_users(machine):
    node = machine("server1")
    assert node.run("firewall-cmd --get-zone-of-interface=eth0").strip() == "public"
    for what in ("ports", "rich-rules", "interfaces --permanent"):
        assert not node.run(f"firewall-cmd --zone=public --list-{what}").strip()


def test_no_listener_is_left(machine):
    for name in NODES:
        assert "k3s-listener" not in machine(name).run("ps -eo comm")
