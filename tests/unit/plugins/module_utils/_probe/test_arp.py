# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import arp
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.arp import (
    Own,
    Watch,
    holder,
    own_addresses,
    question,
)
from hypothesis import given
from hypothesis import strategies as st

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
OWN = Own("192.0.2.11", "eth0", MAC)


def reply(mac=OTHER, address=OWN.address, kinds=(1, 0x0800, 6, 4, 2)):
    sender = bytes.fromhex(mac.replace(":", ""))
    ethernet = bytes.fromhex(MAC.replace(":", "")) + sender + b"\x08\x06"
    return ethernet + struct.pack(
        "!HHBBH6s4s6s4s", *kinds, sender, socket.inet_aton(address), bytes(6), bytes(4)
    )


def link(name="eth0", **others):
    addresses = [
        {"family": "inet", "scope": "global", "local": OWN.address},
        {"family": "inet", "scope": "link", "local": "169.254.0.1"},
        {"family": "inet6", "scope": "global", "local": "2001:db8::1"},
    ]
    return {
        "ifname": name,
        "link_type": "ether",
        "address": MAC,
        "flags": ["BROADCAST", "UP"],
        "addr_info": addresses,
        **others,
    }


def test_only_addresses_that_others_could_have_are_asked_for():
    links = [link(), link("lo", link_type="loopback"), link("dummy0", flags=["NOARP"]), {}]
    assert own_addresses(links) == [OWN]


def test_a_question_is_a_broadcast_that_does_not_claim_the_address():
    frame = question(OWN)
    assert frame[:6] == b"\xff" * 6
    assert holder(frame) == ("0.0.0.0", MAC)
    assert frame[-4:] == socket.inet_aton(OWN.address)


def test_an_answer_tells_who_has_the_address():
    assert holder(reply()) == (OWN.address, OTHER)
    # Frames are padded to what Ethernet has at least.
    assert holder(reply() + b"\0" * 18) == (OWN.address, OTHER)


@pytest.mark.parametrize("frame", [b"", reply()[:41], reply(kinds=(6, 0x0800, 6, 4, 2))])
def test_anything_else_is_none(frame):
    assert holder(frame) is None


@given(st.binary(max_size=80))
def test_random_bytes_never_raise(frame):
    holder(frame)


@pytest.fixture
def wire(monkeypatch):
    """Give out one end of a pair of sockets in place of one that takes root."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)

    class Packet:
        def __init__(self, *_kinds):
            pass

        def setsockopt(self, *_option):
            raise OSError("this socket takes no filter")

        def bind(self, where):
            assert where == ("eth0", 0x0806)

        def send(self, frame):
            near.send(frame)

        def recv(self, size):
            return near.recv(size)

        def close(self):
            near.close()

    monkeypatch.setattr(arp.socket, "socket", Packet)
    monkeypatch.setattr(arp, "_SECONDS", 0.01)
    yield far
    far.close()


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        ([], {}),
        ([reply(), reply()], {OWN.address: [OTHER]}),
        # Another NIC of this host answers on the same network.
        ([reply(MAC)], {}),
        ([reply(address="192.0.2.12"), b"noise"], {}),
    ],
    ids=["nobody", "another", "ourselves", "others"],
)
def test_another_host_with_the_address_is_found(wire, frames, found):
    watch = Watch([OWN], [MAC])
    assert wire.recv(100) == question(OWN)
    for frame in frames:
        wire.send(frame)
    assert watch.found() == found


@pytest.fixture
def notes():
    number = os.memfd_create("notes")
    path = f"/proc/{os.getpid()}/fd/{number}"
    yield number, path
    os.close(number)


@pytest.mark.parametrize("has_ended", [False, True])
def test_notes_of_a_process_are_followed_also_after_its_end(wire, notes, has_ended):
    number, path = notes
    watch = Watch([OWN], [MAC])
    watch.note(number)
    followed = arp.Followed(path)
    wire.send(reply())
    for sock in watch.sockets:
        watch.read(sock)
    watch.note(number)
    if has_ended:
        followed = arp.Followed(path)
        os.ftruncate(number, 0)
    assert followed.found() == {OWN.address: [OTHER]}


def test_the_wait_counts_from_the_question_on(monkeypatch, notes):
    slept = []
    monkeypatch.setattr(arp.time, "sleep", slept.append)
    number, path = notes
    Watch([], []).note(number)
    followed = arp.Followed(path)
    later = time.monotonic() + 100
    monkeypatch.setattr(arp.time, "monotonic", lambda: later)
    assert followed.found() == {}
    assert slept == [0.0]


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{}", b"other"])
def test_a_standard_output_that_holds_no_notes_is_not_followed(tmp_path, text):
    file = tmp_path / "stdout"
    file.write_bytes(text)
    with file.open() as stdout, subprocess.Popen(["cat"], stdin=-1, stdout=stdout) as process:
        assert arp.follow([2**22 + 1, process.pid]) is None


def test_where_there_is_no_raw_socket_nobody_is_found(monkeypatch):
    def denied(*_kinds):
        raise PermissionError

    monkeypatch.setattr(arp.socket, "socket", denied)
    assert arp.watch(lambda *_arguments: [link()]).found() == {}
