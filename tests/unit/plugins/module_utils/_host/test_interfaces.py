# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.interfaces import (
    SshConnection,
    interface_of,
    parse_addresses,
    ssh_connection,
)


def address_of_the_connection():
    connection = ssh_connection()
    return connection.address if connection else ""


def address(local, prefixlen=24, scope="global", **others):
    return {"local": local, "prefixlen": prefixlen, "scope": scope, **others}


def link(name, *addresses):
    return {"ifname": name, "addr_info": list(addresses)}


def test_addresses_are_in_cidr_form_and_in_the_kernels_order():
    links = [link("eth0", address("192.0.2.9"), address("192.0.2.3", 25)), link("eth1")]
    assert parse_addresses(links) == {"eth0": ["192.0.2.9/24", "192.0.2.3/25"], "eth1": []}


def test_loopback_and_nameless_links_are_left_out():
    assert parse_addresses([link("lo", address("127.0.0.1", 8)), {}, link("")]) == {}


def test_an_interface_without_the_list_has_no_address():
    assert parse_addresses([{"ifname": "eth0"}]) == {"eth0": []}


@pytest.mark.parametrize(
    "unusable",
    [
        address("fe80::1", 64, "link"),
        address("169.254.1.1", 16, "link"),
        address("2001:db8::99", 64, temporary=True),
        address("2001:db8::98", 64, deprecated=True),
    ],
)
def test_addresses_that_peers_can_not_rely_on_are_left_out(unusable):
    links = [link("eth0", unusable, address("192.0.2.9"))]
    assert parse_addresses(links) == {"eth0": ["192.0.2.9/24"]}


def test_the_address_of_the_connection_is_our_end_of_it(monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.1 40000 192.0.2.11 22")
    assert address_of_the_connection() == "192.0.2.11"


@pytest.mark.parametrize("value", ["nonsense", "a b", "1 2 3 4 5"])
def test_a_connection_that_can_not_be_read_is_none(monkeypatch, value):
    monkeypatch.setenv("SSH_CONNECTION", value)
    assert address_of_the_connection() == ""


def test_without_a_connection_above_there_is_none(monkeypatch):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert address_of_the_connection() == ""


def test_a_process_above_knows_the_connection(monkeypatch):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    variables = {"SSH_CONNECTION": "198.51.100.1 40000 192.0.2.11 22"}
    pipe = subprocess.PIPE
    with subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, env=variables, bufsize=0) as child:
        # Once it answers, it has its own environment.
        child.stdin.write(b"x")
        child.stdout.read(1)
        monkeypatch.setattr(os, "getppid", lambda: child.pid)
        found = address_of_the_connection()
        child.communicate()
    assert found == "192.0.2.11"


@pytest.mark.parametrize(
    ("value", "connection"),
    [
        ("198.51.100.1 40000 192.0.2.11 22", ("198.51.100.1", "192.0.2.11", 22)),
        ("2001:db8::9 40000 2001:db8::11 2222", ("2001:db8::9", "2001:db8::11", 2222)),
        ("fe80::9%eth0 40000 fe80::11%eth0 22", ("fe80::9%eth0", "fe80::11%eth0", 22)),
    ],
)
def test_a_connection_has_a_source_and_our_address_and_port(monkeypatch, value, connection):
    monkeypatch.setenv("SSH_CONNECTION", value)
    assert ssh_connection() == SshConnection(*connection)


@pytest.mark.parametrize("value", ["", "198.51.100.1 40000 192.0.2.11", "a 1 b ssh", "a 1 b -22"])
def test_without_all_of_its_parts_there_is_no_connection(monkeypatch, value):
    monkeypatch.setattr(os, "getppid", lambda: 1)
    monkeypatch.setenv("SSH_CONNECTION", value)
    assert ssh_connection() is None


def test_a_process_far_above_knows_the_connection(monkeypatch):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    # As sudo does, the shell's children have it no more.
    script = "env -u SSH_CONNECTION sh -c 'echo $$; exec cat'; true"
    variables = {"PATH": os.environ["PATH"], "SSH_CONNECTION": "198.51.100.1 40000 192.0.2.11 22"}
    pipe = subprocess.PIPE
    command = ["sh", "-c", script]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=variables, text=True) as shell:
        child = int(shell.stdout.readline())
        assert child != shell.pid
        monkeypatch.setattr(os, "getppid", lambda: child)
        found = ssh_connection()
        shell.communicate()
    assert found == SshConnection("198.51.100.1", "192.0.2.11", 22)


def test_a_process_above_that_has_ended_knows_nothing(monkeypatch):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    with subprocess.Popen(["true"]) as child:
        child.wait()
    monkeypatch.setattr(os, "getppid", lambda: child.pid)
    assert ssh_connection() is None


LINKS = [
    {},
    link("lo", address("127.0.0.1", 8, "host")),
    link("eth0", address("192.0.2.11"), address("2001:db8::11", 64)),
    link("eth1", address("198.51.100.11"), address("fe80::11", 64, "link")),
    {"ifname": "eth2"},
]


@pytest.mark.parametrize(
    ("wanted", "interface"),
    [
        ("192.0.2.11", "eth0"),
        ("198.51.100.11", "eth1"),
        ("127.0.0.1", "lo"),
        # However it is spelled.
        ("2001:0DB8:0::0011", "eth0"),
        ("fe80::11%eth1", "eth1"),
        ("192.0.2.1", ""),
        ("2001:db8::1", ""),
    ],
)
def test_the_interface_is_the_one_that_has_the_address(wanted, interface):
    assert interface_of(LINKS, wanted) == interface


def test_a_connection_that_is_not_over_ip_is_none(monkeypatch):
    # What sshd writes for a socket of another kind.
    monkeypatch.setenv("SSH_CONNECTION", "UNKNOWN 65535 UNKNOWN 65535")
    assert ssh_connection() is None
    assert address_of_the_connection() == ""
