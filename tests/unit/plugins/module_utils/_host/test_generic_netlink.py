# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import struct

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import generic_netlink
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.generic_netlink import (
    attribute,
    dump,
    parse_attributes,
    parse_messages,
)
from hypothesis import given
from hypothesis import strategies as st

# linux/genetlink.h: the family that each kernel has.
CONTROLLER, GET_FAMILY, FAMILY_ID, FAMILY_NAME = "nlctrl", 3, 1, 2
KERNEL, PROCESS = (0, 0), (4711, 0)
FAMILY = b"\1\2\0\0" + attribute(FAMILY_ID, struct.pack("=H", 30))
DONE = struct.pack("=i", 0)


def message(body, kind=30, sequence=1):
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body


class FakeSocket:
    """Answers with datagrams that come with their senders."""

    def __init__(self, *datagrams):
        self.datagrams = list(datagrams)

    def __call__(self, *_kind):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def bind(self, _address):
        pass

    def sendto(self, _data, _address):
        pass

    def settimeout(self, seconds):
        assert 0 < seconds <= 2

    def recvfrom(self, size):
        if not self.datagrams:
            raise TimeoutError
        data, sender = self.datagrams.pop(0)
        return data[:size], sender


@pytest.fixture
def kernel(monkeypatch):
    """Let a test say what comes from the socket after the number of the family."""

    def answer(*datagrams):
        fake = FakeSocket((message(FAMILY), KERNEL), *datagrams)
        monkeypatch.setattr(generic_netlink.socket, "socket", fake)

    return answer


def test_dump_returns_each_family_of_this_kernel():
    found = [dict(parse_attributes(one)) for one in dump(CONTROLLER, 1, GET_FAMILY, b"")]
    numbers = {one[FAMILY_NAME]: struct.unpack("=H", one[FAMILY_ID])[0] for one in found}
    assert numbers[b"nlctrl\0"] == 16
    assert len(numbers) == len(found) > 1


def test_dump_of_an_absent_family_raises():
    with pytest.raises(OSError) as raised:
        dump("k3s-net-test", 1, 0, b"")
    assert raised.value.errno == errno.ENOENT


def test_dump_that_the_kernel_refuses_raises():
    with pytest.raises(OSError) as raised:
        dump(CONTROLLER, 1, 99, b"")
    assert raised.value.errno == errno.EOPNOTSUPP


def test_dump_joins_datagrams_until_the_last(kernel):
    kernel(
        (message(b"\0" * 4 + b"one"), KERNEL),
        (message(b"\0" * 4 + b"two") + b"\0" + message(DONE, kind=3), KERNEL),
    )
    assert dump("wireguard", 1, 0, b"") == [b"one", b"two"]


def test_dump_ignores_other_processes(kernel):
    kernel(
        (message(b"\0" * 4 + b"forged"), PROCESS),
        (message(b"\0" * 4 + b"true") + message(DONE, kind=3), KERNEL),
    )
    assert dump("wireguard", 1, 0, b"") == [b"true"]


def test_dump_without_an_end_raises(kernel):
    kernel((message(b"\0" * 4 + b"one"), KERNEL))
    with pytest.raises(TimeoutError):
        dump("wireguard", 1, 0, b"")


def test_dump_of_too_many_bytes_raises(kernel):
    kernel(*[(message(bytes(65000)), KERNEL)] * 100)
    with pytest.raises(OSError, match="too long"):
        dump("wireguard", 1, 0, b"")


def test_family_without_a_number_raises(monkeypatch):
    fake = FakeSocket((message(b"\1\2\0\0"), KERNEL))
    monkeypatch.setattr(generic_netlink.socket, "socket", fake)
    with pytest.raises(OSError, match="no number of the family wireguard"):
        dump("wireguard", 1, 0, b"")


def test_parse_messages_returns_the_error_of_the_kernel():
    refused = message(struct.pack("=i", -errno.EPERM), kind=2)
    assert parse_messages(refused) == ([], errno.EPERM)


def test_parse_messages_ignores_other_sequence_numbers():
    assert parse_messages(message(b"\0" * 4 + b"late", sequence=2)) == ([], None)


def test_parse_messages_stops_at_one_that_is_cut_off():
    assert parse_messages(message(b"\0" * 8)[:-1]) == ([], None)


@given(st.binary(max_size=200))
def test_parse_of_any_bytes_ends(data):
    parse_messages(data)
    assert sum(4 + len(value) for _kind, value in parse_attributes(data)) <= len(data)


@given(st.integers(0, 0x3FFF), st.binary(max_size=50))
def test_attribute_is_read_back(kind, value):
    made = attribute(kind, value) + attribute(1, b"next")
    assert len(made) % 4 == 0
    assert list(parse_attributes(made)) == [(kind, value), (1, b"next")]
