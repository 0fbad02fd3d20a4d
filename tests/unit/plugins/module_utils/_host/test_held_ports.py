# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import held_ports
from hypothesis import given
from hypothesis import strategies as st

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LISTEN, ESTABLISHED, WAITING = "0A", "01", "07"


def line(address, port, state):
    """Return what the kernel prints of a socket: words in the processor's byte order."""
    packed = ipaddress.ip_address(address).packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    text = "".join(f"{word:08X}" for word in words)
    return f"   0: {text}:{port:04X} {'0' * len(text)}:0000 {state} 00000000:00000000\n"


def held(*sockets):
    found = {}
    for address, protocol, port in sockets:
        found.setdefault((protocol, port), set()).add(address)
    return {key: frozenset(addresses) for key, addresses in found.items()}


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_address_is_read_as_it_was_bound(address, port):
    expected = str(getattr(address, "ipv4_mapped", None) or address)
    text = HEAD + line(str(address), port, LISTEN)
    assert list(held_ports.parse(text, "tcp")) == [(expected, port)]


def test_only_those_that_wait_for_anybody_count():
    text = HEAD + line("192.0.2.11", 6443, ESTABLISHED) + line("127.0.0.1", 8125, WAITING)
    assert list(held_ports.parse(text, "tcp")) == []
    assert list(held_ports.parse(text, "udp")) == [("127.0.0.1", 8125)]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_kernel_tells_of_a_real_socket(protocol):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            sock.listen()
        port = sock.getsockname()[1]
        found = held_ports.read()
    assert held_ports.is_held(found, "127.0.0.1", protocol, port)
    assert held_ports.elsewhere(found, "192.0.2.11", protocol, port) == ["127.0.0.1"]


def test_a_host_without_a_protocol_holds_nothing_by_it(tmp_path):
    (tmp_path / "tcp").write_text(HEAD + line("192.0.2.11", 6443, LISTEN))
    assert held_ports.read(str(tmp_path)) == held(("192.0.2.11", "tcp", 6443))


@pytest.mark.parametrize("at", ["192.0.2.11", "0.0.0.0", "::"])
def test_a_service_that_listens_on_the_address_is_not_elsewhere(at):
    found = held((at, "tcp", 6379), ("127.0.0.1", "tcp", 6379))
    assert held_ports.is_held(found, "192.0.2.11", "tcp", 6379)
    assert held_ports.elsewhere(found, "192.0.2.11", "tcp", 6379) == []


def test_a_service_that_listens_on_others_alone_is_elsewhere():
    found = held(("127.0.0.1", "tcp", 6379), ("::1", "tcp", 6379), ("192.0.2.11", "udp", 6379))
    assert held_ports.elsewhere(found, "192.0.2.11", "tcp", 6379) == ["127.0.0.1", "::1"]
    assert not held_ports.is_held(found, "192.0.2.11", "tcp", 6379)


@pytest.mark.parametrize(("at", "expected"), [("0.0.0.0", False), ("::", True)])
def test_any_address_of_ipv4_holds_nothing_of_ipv6(at, expected):
    assert held_ports.is_held(held((at, "tcp", 6379)), "2001:db8::11", "tcp", 6379) is expected


def test_a_port_that_nobody_holds_is_not_elsewhere():
    assert held_ports.elsewhere({}, "192.0.2.11", "tcp", 6379) == []
