# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel runs the programs, on packets of the loopback network and of a pair of sockets."""

from __future__ import annotations

import os
import socket
import struct

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    icmp,
    socket_filter,
    wire,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import HERE, MESSAGES

UDP = socket.SOCK_DGRAM
QUESTION = MESSAGES.question("udp", 8472, wire.nonce())
OTHERS = (
    b"",
    b"hello",
    MESSAGES.tag[:7],
    MESSAGES.tag[:4] + b"else, and more than a tag",
    b"else" + MESSAGES.tag[4:] + b"and more",
    wire.Messages("f" * 32).question("udp", 8472, bytes(16)),
)

root = pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket takes root")


def all_of(sock):
    """Return what arrives, until the end or nothing more is there."""
    sock.setblocking(False)
    found = []
    while True:
        try:
            found.append(sock.recv(2048))
        except BlockingIOError:
            return found


@pytest.mark.parametrize("address", [HERE, "::1"])
def test_udp_socket_gets_only_what_begins_with_the_tag(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, UDP) as receiver, socket.socket(family, UDP) as sender:
        socket_filter.attach(receiver, socket_filter.of_questions(MESSAGES.tag))
        try:
            receiver.bind((address, 0))
        except OSError:
            pytest.skip("this host has no IPv6")
        for data in (*OTHERS, QUESTION, *OTHERS):
            sender.sendto(data, receiver.getsockname()[:2])
        assert all_of(receiver) == [QUESTION]


@root
def test_raw_socket_gets_only_datagrams_that_begin_with_the_tag():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw,
        socket.socket(socket.AF_INET, UDP) as receiver,
        socket.socket(socket.AF_INET, UDP) as sender,
    ):
        socket_filter.attach(raw, socket_filter.of_raw_questions(MESSAGES.tag))
        raw.bind((HERE, 0))
        receiver.bind((HERE, 0))
        # Options make the header longer.
        for options in (b"", b"\1" * 8):
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
            for data in (*OTHERS, QUESTION):
                sender.sendto(data, receiver.getsockname())
        assert [packet[-len(QUESTION) :] for packet in all_of(raw)] == [QUESTION] * 2


def arp_frame(address, size=42):
    packet = struct.pack("!14xHHBBH6s4s", 1, 0x0800, 6, 4, 2, b"\2" * 6, socket.inet_aton(address))
    return packet.ljust(size, b"\0")


def test_arp_socket_gets_only_frames_of_the_address():
    near, far = socket.socketpair(socket.AF_UNIX, UDP)
    with near, far:
        socket_filter.attach(near, socket_filter.of_arp_sender("192.0.2.11"))
        for frame in (arp_frame("192.0.2.12"), b"", bytes(30), arp_frame("192.0.2.11")):
            far.send(frame)
        assert all_of(near) == [arp_frame("192.0.2.11")]


def test_echo_socket_gets_only_replies_of_the_identifier():
    """As a raw socket of ICMPv6 gets them, without a header."""
    reply = icmp.echo_ipv6(0x1234, 7, b"payload")
    reply = bytes([icmp.ECHO_REPLY_IPV6]) + reply[1:]
    near, far = socket.socketpair(socket.AF_UNIX, UDP)
    with near, far:
        program = socket_filter.of_echo_replies(icmp.ECHO_REPLY_IPV6, 0x1234, is_ipv6=True)
        socket_filter.attach(near, program)
        for data in (icmp.echo_ipv6(0x1234, 7, b""), reply[:4] + b"\0\0" + reply[6:], reply[:5]):
            far.send(data)
        far.send(reply)
        assert all_of(near) == [reply]


def test_program_that_the_kernel_refuses_is_an_error():
    with socket.socket(socket.AF_INET, UDP) as sock:
        with pytest.raises(OSError, match="Invalid argument"):
            socket_filter.attach(sock, b"\xff" * 8)
        socket_filter.try_to_attach(sock, b"\xff" * 8)
