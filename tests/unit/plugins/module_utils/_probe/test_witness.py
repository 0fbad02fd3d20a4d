# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import struct

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    prober,
    wire,
    witness,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.prober import (
    Outcome,
    Prober,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.targets import Endpoint
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    MESSAGES,
    TOKEN,
    listening,
    service,
)
from hypothesis import given
from hypothesis import strategies as st

UDP = socket.SOCK_DGRAM
QUESTION = MESSAGES.question("udp", 8125, wire.nonce(), wire.ANSWER_MAX)
PORTS = st.integers(1, 65535)

root = pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket takes root")


def packet(payload, port=8125, peer_port=40000, options=b""):
    """Return a datagram from 192.0.2.21 as a raw socket gets it."""
    header = bytes([0x45 + len(options) // 4]) + bytes(11) + socket.inet_aton("192.0.2.21")
    datagram = witness.datagram(port=peer_port, peer_port=port, payload=payload)
    return header + socket.inet_aton("192.0.2.11") + options + datagram


@given(st.binary(max_size=600), PORTS, PORTS, st.sampled_from([b"", bytes(4), bytes(40)]))
def test_what_was_sent_is_read(payload, port, peer_port, options):
    read = witness.parse(packet(payload, port, peer_port, options))
    assert read == ("192.0.2.21", peer_port, port, payload)


@given(st.binary(max_size=80))
def test_what_is_no_whole_datagram_is_none(data):
    whole = packet(QUESTION)
    assert witness.parse(whole[:-1]) is None
    assert witness.parse(data) is None or len(data) >= 28


@root
def test_a_silent_service_does_not_hide_the_path():
    with service(UDP) as port, listening((HERE, "udp", port)) as started:
        assert started.busy == started.witnessed == [(HERE, "udp", port)]
        outcomes = Prober(TOKEN, 1.0).run([Endpoint("server1", HERE, "udp", port)])
    assert list(outcomes) == [Outcome("open", prober.WITNESSED)]


@root
def test_a_witness_speaks_for_its_own_ports_and_run_alone():
    with service(UDP) as port, service(UDP) as other, listening((HERE, "udp", port)):
        asked = [Endpoint("server1", HERE, "udp", other)]
        assert [one.observed for one in Prober(TOKEN, 0.3).run(asked)] == ["timeout"]
        asked = [Endpoint("server1", HERE, "udp", port)]
        assert [one.observed for one in Prober("f" * 32, 0.3).run(asked)] == ["timeout"]
        assert [one.observed for one in Prober(TOKEN[:31] + "0", 0.3).run(asked)] == ["timeout"]


@root
def test_the_kernel_keeps_what_is_none_of_the_run_from_a_witness():
    with (
        service(UDP) as port,
        witness.open_socket(HERE, MESSAGES.tag) as sock,
        socket.socket(socket.AF_INET, UDP) as asking,
    ):
        asking.sendto(b"payload of an overlay", (HERE, port))
        asking.sendto(QUESTION, (HERE, port))
        assert sock.recv(2048)[28:] == QUESTION
        with pytest.raises(BlockingIOError):
            sock.recv(2048)


def test_a_host_that_allows_no_raw_socket_has_no_witness(monkeypatch):
    def refuse(_address, _tag):
        raise PermissionError

    monkeypatch.setattr(witness, "open_socket", refuse)
    with service(UDP) as port, listening((HERE, "udp", port)) as started:
        assert (started.busy, started.witnessed) == ([(HERE, "udp", port)], [])
        assert started.processes == []


def test_an_answer_carries_no_checksum_and_its_length():
    assert (
        witness.datagram(8125, 40000, b"abc") == struct.pack("!HHHH", 8125, 40000, 11, 0) + b"abc"
    )
