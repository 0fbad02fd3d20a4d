# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    arp,
    overlay,
    path_mtu,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import run as probe_run
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.icmp import Message
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.overlay import (
    HANDSHAKE_SECONDS,
    Peer,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.path_mtu import (
    Interface,
    PathResult,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.prober import Outcome
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.targets import Target
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    TOKEN,
    free_port,
    listening,
    service,
    some_free_ports,
)

UDP = socket.SOCK_DGRAM
NIC = Interface("eth0", 1500)
PEER = Peer("10.42.2.0", "flannel.1", 1450)
WIREGUARD = Peer("10.42.2.0", "flannel-wg", 1420)
PEER_IPV6 = Peer("2001:cafe:42:2::", "flannel-v6.1", 1430)
FULL, NONE = PathResult(1500, 1500), PathResult(0, 1500)
HOLE = PathResult(1400, 1500)
HOLE_TEXT = (
    "small packets pass, but none of more than 1400 bytes does: the interface eth0 says 1500; "
    "an MTU hole on the way"
)


@pytest.fixture
def world(monkeypatch):
    """Let a test say what is found out of datagrams, and note what was asked for."""

    world = SimpleNamespace(passages={}, peers=set(), peer=PEER, asked=[], first_seconds=None)

    def measure(ways, _timeout, first_seconds):
        world.first_seconds = first_seconds
        kinds = [(type(way).__name__, way.flow()[0], wanted) for way, wanted in ways]
        world.asked += kinds
        return [world.passages[address] for _kind, address, _wanted in kinds]

    monkeypatch.setattr(path_mtu, "measure", measure)
    monkeypatch.setattr(
        path_mtu, "interfaces", lambda _ask, addresses: dict.fromkeys(addresses, NIC)
    )
    monkeypatch.setattr(
        overlay,
        "find",
        lambda _ask, endpoints: {one: world.peer for one in endpoints if one[1] in world.peers},
    )
    # A raw socket takes root, and nothing is sent here.
    monkeypatch.setattr(path_mtu, "EchoWay", FakeEcho)
    return world


class FakeEcho:
    def __init__(self, address, device=""):
        self._address = address

    def flow(self):
        return self._address, "icmp", 1, 0

    def close(self):
        pass


def run(*targets):
    return list(probe_run.run(targets, TOKEN, 0.3, [], nothing).outcomes)


def nothing(_argv, _stdin):
    return []


def udp(*ports, full_size=True):
    return Target("server1", HERE, "udp", tuple((port, port) for port in ports), full_size)


@pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket takes root")
@pytest.mark.parametrize(
    ("through", "outcome"),
    [
        (FULL, Outcome("open", "through the overlay: 10.42.2.0 behind flannel.1 answered")),
        (
            NONE,
            Outcome(
                "overlay_silent",
                "through the overlay: 10.42.2.0 behind flannel.1 did not answer, though the port "
                "itself is open",
            ),
        ),
    ],
)
def test_an_overlay_is_looked_into_though_a_witness_has_seen_the_datagram(world, through, outcome):
    world.passages = {HERE: FULL, PEER.address: through}
    with service(UDP) as port, listening((HERE, "udp", port)):
        world.peers.add(port)
        assert run(udp(port)) == [outcome]


def test_full_size_packets_go_to_one_port_of_an_address(world):
    ports = [free_port(UDP), free_port(UDP)]
    world.passages = {HERE: FULL}
    with listening(*((HERE, "udp", port) for port in ports)):
        assert run(udp(*ports)) == [Outcome("open")] * 2
    assert world.asked == [("UdpWay", HERE, 1500)]


def test_a_hole_is_named_at_the_port_that_was_asked(world):
    ports = [free_port(UDP), free_port(UDP)]
    world.passages = {HERE: HOLE}
    with listening(*((HERE, "udp", port) for port in ports)):
        assert run(udp(*ports)) == [Outcome("mtu_hole", HOLE_TEXT), Outcome("open")]


LOST_TEXT = "some packets are answered and others are lost, whatever their size"


@pytest.mark.parametrize("path", [PathResult(512, 1500, is_lossy=True), NONE])
def test_packets_lost_whatever_their_size_are_not_a_hole(world, path):
    world.passages = {HERE: path}
    port = free_port(UDP)
    with listening((HERE, "udp", port)):
        assert run(udp(port)) == [Outcome("loss", LOST_TEXT)]


def test_limited_echoes_say_nothing_about_a_port(world):
    world.passages = {HERE: PathResult(512, 1500, is_lossy=True)}
    with service(UDP) as port:
        assert run(udp(port)) == [Outcome("timeout")]


def test_what_a_router_says_of_a_hole_is_named(world):
    world.passages = {HERE: PathResult(1400, 1500, Message(4, "192.0.2.9", 1400))}
    port = free_port(UDP)
    with listening((HERE, "udp", port)):
        (outcome,) = run(udp(port))
    assert "192.0.2.9 says by ICMP that fragmentation is needed (it takes 1400)" in outcome.detail


def test_where_full_size_is_not_asked_for_none_is_sent(world):
    port = free_port(UDP)
    with listening((HERE, "udp", port)):
        assert run(udp(port, full_size=False)) == [Outcome("open")]
    assert world.asked == []


def test_where_nobody_answers_over_udp_echoes_are_sent(world):
    world.passages = {HERE: HOLE}
    with service(UDP) as port:
        assert run(udp(port)) == [Outcome("timeout", HOLE_TEXT)]
    assert world.asked == [("FakeEcho", HERE, 1500)]


@pytest.mark.parametrize("passage", [FULL, NONE])
def test_echoes_that_pass_or_stay_silent_say_nothing_of_a_silent_port(world, passage):
    world.passages = {HERE: passage}
    with service(UDP) as port:
        assert run(udp(port)) == [Outcome("timeout")]


@pytest.mark.parametrize(
    ("through", "path", "outcome"),
    [
        (
            PathResult(1450, 1450),
            FULL,
            Outcome("open", "through the overlay: 10.42.2.0 behind flannel.1 answered"),
        ),
        (
            NONE,
            FULL,
            Outcome(
                "overlay_silent",
                "through the overlay: 10.42.2.0 behind flannel.1 did not answer",
            ),
        ),
        (
            PathResult(1350, 1450),
            FULL,
            Outcome(
                "mtu_hole",
                "through the overlay to 10.42.2.0 behind flannel.1: small packets pass, but none "
                "of more than 1350 bytes does: the interface flannel.1 says 1450",
            ),
        ),
        (
            PathResult(512, 1450, is_lossy=True),
            FULL,
            Outcome("loss", f"through the overlay to 10.42.2.0 behind flannel.1: {LOST_TEXT}"),
        ),
        (PathResult(1350, 1450), HOLE, Outcome("mtu_hole", HOLE_TEXT)),
        (PathResult(1350, 1350), HOLE, Outcome("mtu_hole", HOLE_TEXT)),
    ],
    ids=["open", "silent", "overlay's hole", "loss", "path's hole", "path's hole, small overlay"],
)
def test_a_port_that_a_vxlan_holds_is_proved_through_it(world, through, path, outcome):
    with service(UDP) as port:
        world.peers = {port}
        world.passages = {HERE: path, PEER.address: through}
        assert run(udp(port)) == [outcome]


@pytest.mark.parametrize(
    ("through", "outcome"),
    [
        (
            FULL,
            Outcome(
                "open",
                "through the overlay: 10.42.2.0 behind flannel-wg answered, though the port itself "
                "did not answer",
            ),
        ),
        (
            NONE,
            Outcome(
                "overlay_silent", "through the overlay: 10.42.2.0 behind flannel-wg did not answer"
            ),
        ),
    ],
)
def test_port_of_wireguard_is_probed_through_it(world, through, outcome):
    with service(UDP) as port:
        world.peers, world.peer = {port}, WIREGUARD
        world.passages = {HERE: FULL, PEER.address: through}
        assert run(udp(port)) == [outcome]
    assert world.first_seconds == HANDSHAKE_SECONDS


@pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket takes root")
def test_wireguard_behind_a_witness_is_open(world):
    world.passages = {HERE: FULL, PEER.address: FULL}
    with service(UDP) as port, listening((HERE, "udp", port)):
        world.peers, world.peer = {port}, WIREGUARD
        said = "through the overlay: 10.42.2.0 behind flannel-wg answered"
        assert run(udp(port)) == [Outcome("open", said)]


def test_port_over_ipv6_is_probed_through_the_overlay(world):
    world.passages = {PEER_IPV6.address: PathResult(1430, 1430)}
    with socket.socket(socket.AF_INET6, UDP) as held:
        held.bind(("::1", 0))
        port = held.getsockname()[1]
        world.peers, world.peer = {port}, PEER_IPV6
        target = Target("server1", "::1", "udp", ((port, port),), True)
        said = "through the overlay: 2001:cafe:42:2:: behind flannel-v6.1 answered"
        assert run(target) == [Outcome("open", said)]
    # Full-size packets are sent over IPv4 only, apart from the overlay.
    assert world.asked == [("FakeEcho", PEER_IPV6.address, 1430)]
    assert world.first_seconds == 0


def test_what_answers_without_the_overlay_is_not_asked_through_it(world):
    port = free_port(UDP)
    world.peers, world.passages = {port}, {HERE: FULL}
    with listening((HERE, "udp", port)):
        assert run(udp(port)) == [Outcome("open")]


def test_tcp_takes_no_closer_look(world):
    (port,) = some_free_ports(1)
    with listening((HERE, "tcp", port)):
        target = Target("server1", HERE, "tcp", ((port, port),), True)
        assert run(target, udp(free_port(UDP))) == [
            Outcome("open"),
            *run(udp(free_port(UDP))),
        ]
    assert world.asked == []


def test_listeners_are_renewed_and_those_that_ended_are_named():
    with listening((HERE, "tcp", free_port()), lease=0.5) as started:
        (process,) = started.processes
        target = Target("server1", HERE, "udp", ((free_port(UDP),) * 2,), False)
        assert probe_run.run([target], TOKEN, 0.1, [process], nothing).ended == []
        os.waitpid(process["pid"], 0)
        assert probe_run.run([target], TOKEN, 0.1, [process], nothing).ended == [process["pid"]]


def test_what_the_listeners_process_notes_of_duplicate_addresses_is_told(monkeypatch):
    followed = []

    class Followed:
        def found(self):
            return {HERE: ["52:54:00:12:34:56"]}

    def follow(pids):
        followed.append(list(pids))
        return Followed()

    monkeypatch.setattr(arp, "follow", follow)
    monkeypatch.setattr(arp, "watch", None)
    with listening((HERE, "tcp", free_port())) as started:
        (process,) = started.processes
        gone = {"pid": 2**22 + 1, "started": 1}
        found = probe_run.run([], TOKEN, 0.1, [gone, process], nothing)
        assert followed == [[process["pid"]]]
        assert found.duplicates == {HERE: ["52:54:00:12:34:56"]}
        assert found.ended == [gone["pid"]]


def test_who_else_has_an_address_of_this_host_is_told(monkeypatch):
    class Watch:
        def found(self):
            return {HERE: ["52:54:00:12:34:56"]}

    monkeypatch.setattr(arp, "watch", lambda _ask: Watch())
    assert probe_run.run([], TOKEN, 0.1, []).duplicates == {HERE: ["52:54:00:12:34:56"]}
