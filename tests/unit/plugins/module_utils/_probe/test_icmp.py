# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import struct

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.icmp import (
    Listener,
    Message,
    echo,
    echo_ipv6,
    parse,
    parse_echo_reply,
    parse_echo_reply_ipv6,
)
from hypothesis import given
from hypothesis import strategies as st

SENDER, SOURCE, DESTINATION = "192.0.2.11", "192.0.2.12", "192.0.2.13"
ICMP, TCP, UDP, GRE = 1, 6, 17, 47


def ip_header(source, destination, protocol, options=b""):
    words = 5 + len(options) // 4
    return (
        bytes([0x40 | words, 0])
        + struct.pack("!HHHBBH", 0, 0, 0, 64, protocol, 0)
        + socket.inet_aton(source)
        + socket.inet_aton(destination)
        + options
    )


def packet(kind=3, code=13, protocol=TCP, outer_options=b"", inner_options=b"", rest=b"\0" * 4):
    original = ip_header(SOURCE, DESTINATION, protocol, inner_options)
    original += struct.pack("!HH", 40000, 6443) + rest
    icmp = struct.pack("!BBHI", kind, code, 0, 0) + original
    return ip_header(SENDER, SOURCE, 1, outer_options) + icmp


@pytest.mark.parametrize(("protocol", "name"), [(TCP, "tcp"), (UDP, "udp")])
def test_an_error_tells_the_packet_and_the_sender(protocol, name):
    flow = (DESTINATION, name, 40000, 6443)
    assert parse(packet(protocol=protocol)) == (flow, Message(13, SENDER))


def test_an_error_about_an_echo_is_told_by_its_identifier_and_sequence():
    inner = struct.pack("!HH", 0x1234, 7)
    assert parse(packet(protocol=ICMP, rest=inner)) == (
        (DESTINATION, "icmp", 0x1234, 7),
        Message(13, SENDER),
    )
    assert parse(packet(protocol=ICMP, rest=inner[:2])) is None


def test_fragmentation_needed_tells_what_the_next_hop_takes():
    original = packet(code=4)
    # RFC 1191: the lower half of the unused word.
    told = original[:26] + struct.pack("!H", 1400) + original[28:]
    _flow, message = parse(told)
    assert (message.is_too_big, message.next_hop_mtu) == (True, 1400)
    assert (parse(original)[1].is_too_big, parse(original)[1].next_hop_mtu) == (True, 0)
    assert parse(packet(code=13))[1].is_too_big is False


@given(st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=99))
def test_an_echo_is_read_from_its_reply(identifier, sequence, payload):
    request = echo(identifier, sequence, payload)
    # A packet with a right checksum adds up to nothing.
    words = request + b"\0" * (len(request) % 2)
    assert sum(struct.unpack(f"!{len(words) // 2}H", words)) % 0xFFFF == 0
    answer = ip_header(SENDER, SOURCE, ICMP) + b"\0" + request[1:]
    assert parse_echo_reply(answer) == (identifier, sequence, payload)


@given(st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=99))
def test_echo_of_ipv6_is_read_from_its_reply(identifier, sequence, payload):
    request = echo_ipv6(identifier, sequence, payload)
    assert request[0] == 128
    assert parse_echo_reply_ipv6(bytes([129]) + request[1:]) == (identifier, sequence, payload)
    for other in (request, bytes([129]) + request[1:7], b""):
        assert parse_echo_reply_ipv6(other) is None


@pytest.mark.parametrize("other", [packet(), b"", packet(kind=8), packet(kind=0)[:27]])
def test_anything_else_is_no_echo_reply(other):
    assert parse_echo_reply(other) is None


def test_options_in_either_header_are_skipped():
    expected = parse(packet())
    assert parse(packet(outer_options=b"\1" * 8)) == expected
    assert parse(packet(inner_options=b"\1" * 40)) == expected


def test_the_shortest_error_that_holds_the_ports_is_enough():
    assert parse(packet(rest=b"")) is not None


@pytest.mark.parametrize(
    "other",
    [packet(kind=0), packet(kind=8), packet(kind=11), packet(protocol=GRE), b"", packet()[:48]],
    ids=["echo reply", "echo", "time exceeded", "gre", "nothing", "cut off"],
)
def test_anything_else_is_none(other):
    assert parse(other) is None


@given(st.binary(max_size=120))
def test_random_bytes_never_raise(data):
    parse(data)
    parse_echo_reply(data)


@given(st.integers(0, 70), st.binary(max_size=4), st.integers(0, 70))
def test_a_damaged_error_never_raises(length, damage, where):
    good = packet()
    parse((good[:where] + damage + good[where + len(damage) :])[:length])


@pytest.mark.parametrize(
    ("code", "prohibited", "text"),
    [
        (0, False, "network unreachable"),
        (1, False, "host unreachable"),
        (3, False, "port unreachable"),
        (9, True, "network prohibited"),
        (10, True, "host prohibited"),
        (13, True, "administratively prohibited"),
        (99, False, "unreachable (code 99)"),
    ],
)
def test_only_a_firewalls_codes_are_prohibitions(code, prohibited, text):
    message = Message(code, SENDER)
    assert message.is_prohibited is prohibited
    assert message.is_port_unreachable is (code == 3)
    assert message.text == text


def test_a_listener_finds_the_error_of_a_flow():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    listener = Listener(ours)
    flow = (DESTINATION, "tcp", 40000, 6443)
    listener.expect(flow)
    theirs.send(packet(code=10))
    theirs.send(b"noise")
    listener.drain()
    assert listener.find(flow) == Message(10, SENDER)
    assert listener.find((DESTINATION, "tcp", 40001, 6443)) is None
    assert listener.find((DESTINATION, "udp", 40000, 6443)) is None
    listener.forget(flow)
    assert listener.find(flow) is None
    listener.close()
    theirs.close()
