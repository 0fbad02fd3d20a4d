# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import secrets
import socket
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import icmp
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.path_mtu import (
    SMALL,
    EchoWay,
    Interface,
    PathResult,
    SizeRange,
    UdpWay,
    interfaces,
    measure,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    TOKEN,
    free_port,
    listening,
    open_files,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_ip import (
    as_recorded,
)
from hypothesis import given
from hypothesis import strategies as st

UDP = socket.SOCK_DGRAM
TIMEOUT = 0.3


class Narrow:
    """A way on which larger packets are lost."""

    def __init__(self, largest):
        self.largest = largest
        self.sent = []
        self._near, self._far = socket.socketpair(socket.AF_UNIX, UDP)
        self._near.setblocking(False)

    def fileno(self):
        return self._near.fileno()

    def send(self, size):
        self.sent.append(size)
        if size <= self.largest:
            self._far.send(str(size).encode())

    def receive(self):
        return int(self._near.recv(100))

    def flow(self):
        return "192.0.2.1", "udp", 1, 1

    def close(self):
        self._near.close()
        self._far.close()


def measured(*ways, wanted=1500):
    try:
        return measure([(way, wanted) for way in ways], TIMEOUT)
    finally:
        for way in ways:
            way.close()


# Which sizes to try


@given(st.integers(SMALL, 9000), st.integers(SMALL, 65535))
def test_the_largest_size_that_passes_is_found_in_few_rounds(largest, wanted):
    span = SizeRange(0, wanted + 1).narrowed(
        [SMALL, wanted], {s for s in (SMALL, wanted) if s <= largest}
    )
    rounds = 0
    while sizes := span.candidates():
        assert len(sizes) <= 33
        assert all(span.passes < size < span.fails for size in sizes)
        span = span.narrowed(sizes, {size for size in sizes if size <= largest})
        rounds += 1
    assert span.passes == min(largest, wanted)
    assert rounds <= 4


def test_what_is_answered_late_counts():
    assert SizeRange(600, 1500).narrowed([700], {900}) == SizeRange(900, 1500)


# Ways


@pytest.mark.parametrize(
    ("largest", "is_hole"), [(1400, True), (1499, True), (600, True), (1500, False), (0, False)]
)
def test_the_largest_size_is_measured(largest, is_hole):
    way = Narrow(largest)
    (passage,) = measured(way)
    assert (passage.largest, passage.is_hole) == (largest, is_hole)
    # Only a hole needs more than the smallest and the full size.
    assert (set(way.sent) == {SMALL, 1500}) is not is_hole


class Limited(Narrow):
    """A way on which a rule admits a number of packets, and drops others for some seconds."""

    def __init__(self, burst, again=0):
        super().__init__(65535)
        self._left = burst
        self._again = again
        self._pending = 0

    def send(self, size):
        self._pending += 1
        if self._again and self._pending % self._again == 0:
            self._left += 1
        passes = self._left > 0
        self._left -= passes
        self.largest = 65535 if passes else 0
        super().send(size)


@pytest.mark.parametrize(("burst", "again"), [(1, 0), (1, 7), (1, 3), (1, 2)])
def test_rate_limit_is_not_a_hole(burst, again):
    (passage,) = measured(Limited(burst, again))
    assert not passage.is_hole
    assert passage.is_lossy or passage.largest == 1500


def test_rate_limit_that_admits_only_small_packets_is_lossy():
    (passage,) = measured(Limited(1))
    assert passage == PathResult(SMALL, 1500, None, is_lossy=True)


def test_hole_is_confirmed_if_a_small_packet_is_lost():
    class Unlucky(Narrow):
        def send(self, size):
            if size != SMALL - 2:
                super().send(size)

    (passage,) = measured(Unlucky(1400))
    assert (passage.is_hole, passage.is_lossy) == (True, False)


def test_hole_is_confirmed_though_send_returns_an_earlier_error():
    class Failing(Narrow):
        failed = False

        def send(self, size):
            if size < SMALL and not self.failed:
                self.failed = True
                raise OSError("the error of an earlier packet")
            self.failed = False
            super().send(size)

    (passage,) = measured(Failing(1400))
    assert passage.is_hole


def test_several_ways_are_measured_at_once():
    passages = measured(Narrow(1400), Narrow(1500), Narrow(0), Narrow(1499))
    assert [passage.largest for passage in passages] == [1400, 1500, 0, 1499]


def test_no_ways_are_no_passages():
    assert measured() == []


def test_what_icmp_said_of_a_way_goes_with_it(monkeypatch):
    message = icmp.Message(4, "192.0.2.9", 1400)

    class Said:
        def drain(self):
            pass

        def expect(self, _flow):
            pass

        def find(self, flow):
            return message if flow == ("192.0.2.1", "udp", 1, 1) else None

        def close(self):
            pass

    monkeypatch.setattr(icmp, "open_listener", Said)
    assert measured(Narrow(1400)) == [PathResult(1400, 1500, message)]
    # A router's word needs no confirmation.
    assert measured(Limited(1)) == [PathResult(SMALL, 1500, message)]


def test_our_listener_answers_full_size_packets():
    before = open_files()
    port = free_port(UDP)
    with listening((HERE, "udp", port)):
        (passage,) = measured(UdpWay(TOKEN, "server1", HERE, port), wanted=9000)
        assert passage.largest == 9000
        (passage,) = measured(UdpWay(TOKEN, "server2", HERE, port))
        assert passage.largest == 0
    assert open_files() == before


def test_what_is_larger_than_the_nic_takes_is_not_sent():
    port = free_port(UDP)
    with listening((HERE, "udp", port)):
        way = UdpWay(TOKEN, "server1", HERE, port)
        with pytest.raises(OSError, match="Message too long"):
            way.send(65540)
        way.close()


def test_the_kernel_answers_echoes():
    try:
        way, other = EchoWay(HERE), EchoWay(HERE, "lo")
    except PermissionError:
        pytest.skip("takes a raw socket")
    assert [passage.largest for passage in measured(way, other)] == [1500, 1500]


@pytest.mark.skipif(not socket.has_ipv6, reason="this kernel has no IPv6")
def test_echoes_over_ipv6_have_the_size_that_is_wanted():
    try:
        way, other = EchoWay("::1"), EchoWay("::1", "lo")
    except OSError:
        pytest.skip("takes a raw socket and the loopback address of IPv6")
    assert [passage.largest for passage in measured(way, other)] == [1500, 1500]


def test_echo_over_ipv6_is_not_cut_up():
    try:
        way = EchoWay("::1", "lo")
    except OSError:
        pytest.skip("takes a raw socket and the loopback address of IPv6")
    with pytest.raises(OSError, match="Message too long"):
        way.send(65537)
    way.close()


def test_first_answer_may_take_as_long_as_is_said():
    class Late(Narrow):
        def receive(self):
            size = super().receive()
            return size if time.monotonic() - started > TIMEOUT else None

    started = time.monotonic()
    way = Late(1500)
    (passage,) = measure([(way, 1500)], TIMEOUT, first_seconds=3 * TIMEOUT)
    way.close()
    assert passage.largest == 1500


@pytest.mark.parametrize("address", [HERE, "::1"])
def test_kernel_drops_replies_to_other_echoes(address):
    try:
        way, other = EchoWay(address), EchoWay(address)
    except OSError:
        pytest.skip("takes a raw socket, and a loopback address")
    (passage,) = measured(way)
    assert passage.largest == 1500
    with pytest.raises(BlockingIOError):
        other.receive()
    other.send(SMALL)
    assert other.receive() == SMALL
    other.close()


def test_reply_to_the_same_identifier_needs_the_nonce(monkeypatch):
    monkeypatch.setattr(secrets, "randbelow", lambda _limit: 7)
    try:
        way, other = EchoWay(HERE), EchoWay(HERE)
    except PermissionError:
        pytest.skip("takes a raw socket")
    other._sent.add(SMALL)
    # Both sockets see this reply.
    way.send(SMALL)
    assert way.receive() == SMALL
    assert other.receive() is None
    for one in (way, other):
        one.close()


def test_answer_of_a_size_that_was_not_sent_does_not_count():
    port = free_port(UDP)
    with listening((HERE, "udp", port)):
        way = UdpWay(TOKEN, "server1", HERE, port)
        way._sock.setblocking(True)
        way.send(600)
        way._sent.clear()
        assert way.receive() is None
        way.send(600)
        assert way.receive() == 600
        way.close()


def test_flood_does_not_keep_a_round_from_its_end():
    class Flooded(Narrow):
        reads = 0

        def receive(self):
            self.reads += 1
            raise OSError("another packet of the flood")

    way = Flooded(0)
    way._far.send(b"0")
    started = time.monotonic()
    assert measured(way) == [PathResult(0, 1500)]
    assert time.monotonic() - started < 10 * TIMEOUT
    assert way.reads > 64


def test_an_interface_is_where_packets_leave():
    def ask(argv, stdin):
        if "link" in argv:
            links = [{"ifname": "eth0", "mtu": 1500}, {"ifname": "lo", "mtu": 65536}, {}]
            return as_recorded(argv, links)
        assert stdin == "route get 192.0.2.1\nroute get 192.0.2.2\nroute get 127.0.0.1\n"
        routes = [{"dst": "192.0.2.1", "dev": "eth0"}, {"dst": "127.0.0.1", "dev": "lo"}]
        return as_recorded(argv, routes)

    assert interfaces(ask, ["192.0.2.1", "192.0.2.2", "127.0.0.1"]) == {
        "192.0.2.1": Interface("eth0", 1500),
        "127.0.0.1": Interface("lo", 65535),
    }
