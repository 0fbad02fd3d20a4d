# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _node_facts as host
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_filters import (
    Recorded,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_ip import (
    as_recorded,
)


def test_a_commented_flush_is_none():
    assert host.flushes("#!/usr/sbin/nft -f\n\nflush ruleset\n")
    assert not host.flushes("# flush ruleset\ntable inet mine {}\n")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["unmanaged-devices=interface-name:cni*;interface-name:flannel*;interface-name:veth*"],
            True,
        ),
        (
            [
                "unmanaged-devices=interface-name:flannel*",
                "unmanaged-devices+=interface-name:cni0;interface-name:veth*",
            ],
            True,
        ),
        # The veth devices of pods are lost.
        (["unmanaged-devices=interface-name:cni*;interface-name:flannel*"], False),
        (["#unmanaged-devices=interface-name:cni*;interface-name:flannel*;driver:veth"], False),
        ([], False),
    ],
)
def test_devices_that_networkmanager_leaves_alone(lines, expected):
    assert host.spares_cni("\n".join(["[keyfile]", *lines, ""])) is expected


def test_a_driver_may_be_loaded_built_in_or_a_module():
    files = {
        "/lib/modules/6.1/modules.dep": "kernel/fs/overlayfs/overlay.ko.xz: \n",
        "/lib/modules/6.1/modules.builtin": "kernel/net/bridge/br_netfilter.ko\n",
    }

    def read(path):
        return files.get(path, "")

    assert host.missing_drivers("6.1", read, lambda path: False) == ["vxlan"]
    assert host.missing_drivers("6.1", read, lambda path: path == "/sys/module/vxlan") == []
    # The kernel of a container is another's.
    assert host.missing_drivers("6.2", read, lambda path: False) == []


def nothing(_args, data=None):
    return 127, "", ""


def test_packet_filters_are_among_the_facts(monkeypatch):
    machine = Recorded("1.0.6", "nft-drop")
    monkeypatch.setattr(host.packet_filter, "find_program", machine.find_program)
    monkeypatch.setattr(host.connect, "default_zone", lambda _run: ("trusted", "ACCEPT"))
    found = host.gather(
        lambda path: machine.files.get(path, ""), lambda argv: "", lambda *_: [], machine.run
    )
    assert [one["chain"] for one in found["packet_filters"]] == ["input", "forward"]
    assert found["packet_filters_unknown"] == []
    assert (found["default_zone"], found["default_zone_target"]) == ("trusted", "ACCEPT")


def test_facts_of_a_host():
    def ask(argv, stdin):
        if "address" in argv:
            # Asked for a family, iproute2 leaves out the hardware's address.
            assert argv == ("ip", "-json", "address", "show")
            links = [
                {"ifname": "lo", "mtu": 65536},
                {
                    "ifname": "eth0",
                    "mtu": 1500,
                    "address": "02:00:00:00:00:01",
                    "addr_info": [
                        {"local": "192.0.2.11", "scope": "global", "dynamic": True},
                        {"local": "2001:db8::11", "scope": "global"},
                        {"local": "fe80::1", "scope": "link"},
                    ],
                },
            ]
            return as_recorded(argv, links)
        if "-6" in argv:
            routes = [
                {"dst": "default", "dev": "eth0"},
                {"dst": "2001:db8::", "dev": "eth0", "type": "anycast"},
                {"dst": "2001:db8:42::/56", "dev": "eth0"},
            ]
            return as_recorded(argv, routes)
        routes = [
            {"dst": "default", "dev": "eth0"},
            {"dst": "192.0.2.11", "dev": "eth0", "type": "local"},
            {"dst": "10.42.7.0/24", "dev": "eth0"},
            {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link"},
        ]
        return as_recorded(argv, routes)

    files = {"/etc/machine-id": "abc\n"}
    found = host.gather(lambda path: files.get(path, ""), lambda argv: "", ask, nothing)
    assert found["hostname"] == socket.gethostname()
    assert found["machine_id"] == "abc"
    assert found["interfaces"] == {
        "eth0": {
            "mtu": 1500,
            "mac": "02:00:00:00:00:01",
            "addresses": ["192.0.2.11", "2001:db8::11"],
            "dynamic": ["192.0.2.11"],
        }
    }
    assert found["routes"] == [
        {"destination": "10.42.7.0/24", "interface": "eth0", "connected": False},
        {"destination": "192.0.2.0/24", "interface": "eth0", "connected": True},
        {"destination": "2001:db8:42::/56", "interface": "eth0", "connected": False},
    ]


def test_read_only_paths_are_found(monkeypatch):
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: False if path == "/etc" else access(path, mode)
    )
    # Neither of these exists here, so what counts is the directory above them.
    monkeypatch.setattr(host, "_WRITTEN", ("/etc/no-firewalld", "/etc/no/k3s", "/var/lib/no"))
    assert host.gather()["read_only"] == ["/etc"]


def test_the_hardwares_addresses_of_this_very_host_are_found():
    links = host.gather()["interfaces"]
    known = [name for name in links if name != "lo" and not name.startswith("tun")]
    assert not known or any(links[name]["mac"] for name in known)


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("", False),
        ("StrictForwardPorts=no\n", False),
        ("# StrictForwardPorts=yes\n", False),
        ("DefaultZone=public\nStrictForwardPorts=yes\n", True),
        ("StrictForwardPorts = Yes", True),
        ("StrictForwardPorts=yes\nStrictForwardPorts=no\n", False),
    ],
)
def test_strict_forward_ports_are_read_from_the_configuration(text, strict):
    assert host.strict_forward_ports(text) is strict


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("", False),
        ("# ENABLED=yes\nENABLED=no\n", False),
        ("ENABLED=yes\nLOGLEVEL=low\n", True),
        ('ENABLED="yes"\n', True),
    ],
)
def test_ufw_is_enabled_by_its_configuration(text, enabled):
    assert host.ufw_enabled(text) is enabled
