# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe each NIC of the nodes from other machines, with tools other than the collection."""

from __future__ import annotations

import datagrams
import guide
import pytest
import topology

TCP = {one for one in guide.EVERYTHING if one[0] == "tcp"}
UDP = guide.EVERYTHING - TCP


@pytest.mark.parametrize(("source", "destination", "nic"), topology.VIEWS)
def test_tcp_path_is_open_only_where_the_guide_says(machine, source, destination, nic):
    states = machine(source).nmap(machine(destination).address(nic), TCP)
    seen = {one for one, state in states.items() if state == "closed"}
    assert seen == topology.admitted(source, destination, nic) & TCP
    assert {states[one] for one in TCP - seen} <= {"filtered"}


@pytest.mark.parametrize(("source", "destination", "nic"), topology.VIEWS)
def test_datagram_arrives_only_where_the_guide_says(machine, source, destination, nic):
    sender, receiver = machine(source), machine(destination)
    ports = {port for _protocol, port in UDP}
    received = datagrams.received(sender, receiver, receiver.address(nic), ports)
    expected = topology.admitted(source, destination, nic) & UDP
    assert {("udp", port) for port in received} == expected


@pytest.mark.parametrize("nic", topology.ZONES)
def test_ssh_is_still_admitted_from_anywhere(machine, nic):
    client = "client2" if topology.SEGREGATED else "client1"
    states = machine(client).nmap(machine("agent1").address(nic), {("tcp", 22)})
    assert states == {("tcp", 22): "open"}


@pytest.mark.parametrize(("nic", "zone"), topology.ZONES.items())
def test_nic_is_in_its_zone_and_so_is_its_profile(machine, nic, zone):
    node = machine("server1")
    assert node.run(f"firewall-cmd --get-zone-of-interface={nic}").strip() == zone
    profile = node.run(f"nmcli -g connection.zone connection show lab-{nic}").strip()
    # The default zone needs no name.
    assert profile == ("" if zone == "public" else zone)


def test_zone_of_the_user_is_unchanged(machine):
    node = machine("server1")
    for what in ("ports", "rich-rules", "interfaces --permanent"):
        assert not node.run(f"firewall-cmd --zone=public --list-{what}").strip()


def test_no_listener_is_left(machine):
    for name in topology.NODES:
        assert "k3s-listener" not in machine(name).run("ps -eo comm")
