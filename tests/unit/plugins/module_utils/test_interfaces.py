# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._interfaces import (
    connection_address,
    parse_addresses,
)


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
    assert connection_address() == "192.0.2.11"


@pytest.mark.parametrize("value", ["nonsense", "a b", "1 2 3 4 5"])
def test_a_connection_that_can_not_be_read_is_none(monkeypatch, value):
    monkeypatch.setenv("SSH_CONNECTION", value)
    assert connection_address() == ""


def test_without_a_connection_above_there_is_none(monkeypatch):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert connection_address() == ""


def test_a_process_above_knows_the_connection(monkeypatch):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    variables = {"SSH_CONNECTION": "198.51.100.1 40000 192.0.2.11 22"}
    pipe = subprocess.PIPE
    with subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, env=variables, bufsize=0) as child:
        # Once it answers, it has its own environment.
        child.stdin.write(b"x")
        child.stdout.read(1)
        monkeypatch.setattr(os, "getppid", lambda: child.pid)
        found = connection_address()
        child.communicate()
    assert found == "192.0.2.11"
