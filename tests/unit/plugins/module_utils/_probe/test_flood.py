# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What readers keep of the packets that anyone on the network can forge."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import tracemalloc
from types import SimpleNamespace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    arp,
    icmp,
    prober,
    wire,
    witness,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.targets import Endpoint
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import MESSAGES, TOKEN

PACKETS = 200_000
BYTES = 10_000_000
# For readers that have nowhere to keep anything: a quicker test with a limit that is as strict.
FEW_PACKETS = 20_000
FEW_BYTES = 1_000_000
DESTINATION, OWN = "192.0.2.13", "192.0.2.11"


class Flood:
    """A socket to which different packets arrive, made by a function of their number."""

    def __init__(self, make):
        self._make = make
        self.read = 0
        self.sent = 0

    def recv(self, _size, *_flags):
        if self.read == PACKETS:
            raise BlockingIOError
        self.read += 1
        return self._make(self.read)

    def sendto(self, _data, _peer):
        self.sent += 1

    def fileno(self):
        return -1

    def close(self):
        pass


@contextlib.contextmanager
def bounded_memory(limit=BYTES):
    """Fail if the peak of memory grows by the limit or more."""
    tracemalloc.start()
    try:
        before, _peak = tracemalloc.get_traced_memory()
        yield
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < limit


def ip_header(source, destination, protocol):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, protocol, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(destination)


_ICMP_START = (
    ip_header("192.0.2.9", OWN, 1)
    + struct.pack("!BBHI", 3, 13, 0, 0)
    + ip_header(OWN, DESTINATION, 6)
)
_ARP_START = bytes(12) + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 2)
_ARP_END = socket.inet_aton(OWN) + bytes(10)


def icmp_error(number):
    """Return an ICMP error about a flow that no other number has."""
    return _ICMP_START + struct.pack("!HHI", number & 0xFFFF, 6443 + (number >> 16), 0)


def arp_frame(number):
    """Return an ARP frame in which a MAC that no other number has claims the node's address."""
    return _ARP_START + number.to_bytes(6, "big") + _ARP_END


def forged_datagram(number):
    """Return a datagram that begins as a question and as an answer of the run do."""
    return MESSAGES.tag + (b"Qu", b"Au")[number % 2] + number.to_bytes(500, "big")


def test_icmp_reader_keeps_only_flows_of_probes():
    flood = Flood(icmp_error)
    listener = icmp.Listener(flood)
    flow = (DESTINATION, "tcp", 40000, 6443)
    listener.expect(flow)
    with bounded_memory():
        while flood.read < PACKETS:
            before = flood.read
            listener.drain()
            # One call does not read forever.
            assert flood.read - before <= 4096
    assert listener._messages == {flow: icmp.Message(13, "192.0.2.9")}


def test_arp_reader_keeps_eight_macs_of_an_address():
    flood = Flood(arp_frame)
    watch = arp.Watch([], [])
    watch._own[flood] = arp.Own(OWN, "eth0", "52:54:00:00:00:01")
    news = 0
    with bounded_memory():
        while flood.read < PACKETS:
            before = flood.read
            news += watch.read(flood)
            assert flood.read - before <= 512
    assert news == 1
    assert watch.is_full(flood)
    assert {address: len(macs) for address, macs in watch.found().items()} == {OWN: 8}


def test_arp_notes_have_a_bounded_size():
    """The size of what a node returns does not depend on what others send."""
    watch = arp.Watch([], [])
    flood = Flood(arp_frame)
    watch._own[flood] = arp.Own(OWN, "eth0", "52:54:00:00:00:01")
    while flood.read < PACKETS:
        watch.read(flood)
    number = os.memfd_create("notes")
    try:
        watch.note(number)
        data = os.pread(number, 1 << 20, 0)
    finally:
        os.close(number)
    assert len(data) < 400
    assert len(json.loads(data)["found"][OWN]) == 8


def test_witness_keeps_nothing_and_answers_nobody():
    def packet(number):
        datagram = witness.datagram(40000, 8125, forged_datagram(number))
        return ip_header(DESTINATION, OWN, 17) + datagram

    flood = Flood(packet)
    with bounded_memory(FEW_BYTES):
        for _number in range(FEW_PACKETS):
            witness.answer(flood, {8125}, MESSAGES, "server1")
    assert (flood.read, flood.sent) == (FEW_PACKETS, 0)


def test_listener_answers_no_forged_question():
    with bounded_memory(FEW_BYTES):
        for number in range(FEW_PACKETS):
            assert MESSAGES.answer(forged_datagram(number), "udp", 8472, "server1") is None


@pytest.mark.parametrize(
    ("make", "doubt"),
    [
        (forged_datagram, None),
        (lambda number: number.to_bytes(512, "big"), prober.Outcome(prober.ACCEPTED)),
    ],
    ids=["as of the run", "of others"],
)
def test_prober_keeps_waiting_and_nothing_else(make, doubt):
    source = prober.Prober(TOKEN, 1.0)
    source.run([])
    flood = Flood(make)
    probe = prober._Probe(0, Endpoint("server1", DESTINATION, "udp", 8472), flood, 1.0)
    probe.question = MESSAGES.question("udp", 8472, wire.nonce(), wire.ANSWER_MAX)
    finished = []
    source._finish = lambda *given: finished.append(SimpleNamespace(given=given))
    with bounded_memory(FEW_BYTES):
        for _number in range(FEW_PACKETS):
            source._advance(probe)
    assert (probe.doubt, probe.received, finished) == (doubt, b"", [])
