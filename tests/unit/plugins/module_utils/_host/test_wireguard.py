# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages are built after linux/wireguard.h.

They are not recorded: the kernels that these tests run on have no WireGuard device to read.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import (
    generic_netlink,
    wireguard,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.wireguard import (
    Peer,
    parse,
    peers,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.wireguard import (
    allowed,
    attribute,
    device,
    endpoint,
    peer,
)
from hypothesis import given
from hypothesis import strategies as st

KEY, OTHER = b"k" * 32, b"o" * 32
NETWORK, SECOND = ipaddress.ip_network("10.42.2.0/24"), ipaddress.ip_network("10.42.3.0/24")


def test_peer_has_its_endpoint_and_networks():
    message = device(peer(KEY, endpoint("192.0.2.12", 51820), allowed("10.42.2.0", 24)))
    assert parse([message]) == [Peer(("192.0.2.12", 51820), [NETWORK])]


def test_peer_of_ipv6_has_its_endpoint_and_networks():
    message = device(peer(KEY, endpoint("2001:db8::2", 51821), allowed("2001:cafe:42:1::", 64)))
    network = ipaddress.ip_network("2001:cafe:42:1::/64")
    assert parse([message]) == [Peer(("2001:db8::2", 51821), [network])]


def test_peer_that_continues_in_the_next_message_is_one():
    messages = [
        device(peer(KEY, endpoint("192.0.2.12", 51820), allowed("10.42.2.0", 24))),
        device(peer(KEY, allowed("10.42.3.0", 24)), peer(OTHER, endpoint("192.0.2.13", 51820))),
    ]
    assert parse(messages) == [
        Peer(("192.0.2.12", 51820), [NETWORK, SECOND]),
        Peer(("192.0.2.13", 51820), []),
    ]


def test_keys_are_not_returned():
    found = parse([device(peer(KEY, allowed("10.42.2.0", 24)), private_key=b"s" * 32)])
    assert found == [Peer(None, [NETWORK])]
    assert "kkkk" not in repr(found)
    assert "ssss" not in repr(found)


@pytest.mark.parametrize("one", [peer(b"", endpoint("192.0.2.12", 51820)), attribute(0, b"")])
def test_peer_without_a_key_is_skipped(one):
    assert parse([device(one)]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        attribute(4, b"\2\0"),
        attribute(4, struct.pack("=H", socket.AF_UNIX) + bytes(30)),
        attribute(4, struct.pack("=H", socket.AF_INET6) + bytes(14)),
        allowed("10.42.2.0", 33),
        attribute(9, attribute(0, attribute(2, b"\x0a\x2a\2"))),
        attribute(9, attribute(0, attribute(2, b"\x0a\x2a\2\0"))),
    ],
    ids=["short", "other family", "short IPv6", "prefix", "short address", "no prefix"],
)
def test_attribute_that_is_wrong_is_left_out(wrong):
    assert parse([device(peer(KEY, wrong))]) == [Peer(None, [])]


def test_number_of_peers_is_bounded(monkeypatch):
    monkeypatch.setattr(wireguard, "_PEERS_MAX", 2)
    message = device(*[peer(bytes([number]) * 32) for number in range(1, 5)])
    assert len(parse([message])) == 2


@given(st.lists(st.binary(max_size=100), max_size=3))
def test_parse_of_any_bytes_returns(messages):
    wrapped = [attribute(8, attribute(0, attribute(1, KEY) + one)) for one in messages]
    assert len(parse(wrapped)) == bool(messages)
    parse(messages)


def test_peers_calls_the_kernel_with_the_name(monkeypatch):
    message = device(peer(KEY, endpoint("192.0.2.12", 51820)))
    called = []

    def dump(*arguments):
        called.append(arguments)
        return [message]

    monkeypatch.setattr(generic_netlink, "dump", dump)
    assert peers("flannel-wg") == [Peer(("192.0.2.12", 51820))]
    assert called == [("wireguard", 1, 0, attribute(2, b"flannel-wg\0"))]


def test_peers_of_no_device_are_none():
    """The kernel has no such family, or no such device, or this process is not root."""
    assert peers("k3s-net-test") == []
