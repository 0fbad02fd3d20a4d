# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes join and leave the inventory, or a limit names a part of them."""

from __future__ import annotations

import json
import re

import pytest

NODES = ("server1", "server2", "agent1")
SERVERS = ("server1", "server2")
KUBELET = ("tcp", 10250)
FIREWALLD = ("inet", "firewalld")


@pytest.fixture
def prepare(playbook, variables):
    """Return a function that prepares some nodes and tells on which firewalld was reloaded."""

    def run(names, *arguments):
        cluster = {
            group: {"hosts": {name: variables(name) for name in names if group in name}}
            for group in ("server", "agent")
        }
        inventory = {"k3s_cluster": {"children": cluster}}
        done = playbook("prepare", "--tags", "firewall", "-v", *arguments, inventory=inventory)
        assert done.returncode == 0, done.output
        results = re.findall(
            r"^(?:ok|changed): \[(\w+)\] => (\{.*\"reloaded\".*\})", done.output, re.M
        )
        return {name: json.loads(result)["reloaded"] for name, result in results}

    return run


def members(node):
    """Return the ipset's entries: permanent, runtime, and in the kernel."""
    kernel = node.run("nft list set inet firewalld k3s-nodes")
    return [
        *(
            set(node.run(f"firewall-cmd {permanent} --ipset=k3s-nodes --get-entries").split())
            for permanent in ("--permanent", "")
        ),
        set(re.findall(r"\d+\.\d+\.\d+\.\d+", kernel)),
    ]


def table(node):
    """Return the kernel's handle of firewalld's table; a reload makes a new one."""
    listed = json.loads(node.run("nft -j list tables"))["nftables"]
    tables = [one["table"] for one in listed if "table" in one]
    return [one["handle"] for one in tables if (one["family"], one["name"]) == FIREWALLD]


def test_members_join_and_leave_without_a_reload(machine, prepare):
    addresses = {name: machine(name).address() for name in NODES}
    everyone, servers = set(addresses.values()), {addresses[name] for name in SERVERS}
    server, agent = machine("server1"), machine("agent1")
    tables = [table(machine(name)) for name in SERVERS]

    # Only nodes within the limit know that the agent has left.
    assert prepare(SERVERS, "--limit", "server1") == {"server1": False}
    assert members(server) == [servers] * 3
    assert members(machine("server2")) == [everyone] * 3
    assert prepare(SERVERS) == dict.fromkeys(SERVERS, False)
    for name in SERVERS:
        assert members(machine(name)) == [servers] * 3
    assert agent.nmap(addresses["server1"], {KUBELET}) == {KUBELET: "filtered"}

    assert prepare(NODES) == dict.fromkeys(NODES, False)
    for name in NODES:
        assert members(machine(name)) == [everyone] * 3
    assert agent.nmap(addresses["server1"], {KUBELET}) == {KUBELET: "closed"}

    assert [table(machine(name)) for name in SERVERS] == tables
    # A reload changes the number.
    server.run("firewall-cmd --reload")
    assert table(server) != tables[0]


def test_limit_keeps_members_and_default_route(machine, playbook):
    node = machine("agent1")
    everyone = {machine(name).address() for name in NODES}
    route = node.run("ip route show")
    run = playbook("prepare", "--limit", "agent1")
    assert run.returncode == 0, run.output
    assert run.changed("agent1") == 0
    assert members(node) == [everyone] * 3
    assert node.run("ip route show") == route
