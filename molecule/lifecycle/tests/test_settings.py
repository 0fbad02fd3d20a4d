# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of the firewall, seen from outside: bare1 is no node of the cluster."""

from __future__ import annotations

import json

import pytest

NODE = "server1"
# The others are as they were prepared before, and are what it is seen from.
HERE = ("--limit", NODE)


def row(name, port, source):
    return {
        "name": name,
        "port": port,
        "protocol": "tcp",
        "source": source,
        "destination": ["server", "agent"],
    }


@pytest.fixture(scope="module")
def outsider(machine):
    return machine("bare1")


@pytest.fixture
def prepared(machine, playbook):
    """Prepare the node with settings, hand it, and remove."""

    def prepare(**extra):
        run = playbook("prepare", "--tags", "firewall", *HERE, **extra)
        assert run.returncode == 0, run.output
        again = playbook("prepare", "--tags", "firewall", *HERE, **extra)
        assert again.changed(NODE) == 0, again.output
        return machine(NODE)

    yield prepare
    assert playbook("remove", *HERE).returncode == 0


def tcp(*ports):
    return [("tcp", port) for port in ports]


def reaches(source, address, opened, closed, **how):
    """Tell that a machine gets through to ports, on which nobody listens, and not to others."""
    seen = source.nmap(address, [*tcp(*opened), *tcp(*closed)], **how)
    assert seen == {
        **dict.fromkeys(tcp(*opened), "closed"),
        **dict.fromkeys(tcp(*closed), "filtered"),
    }


@pytest.mark.also_on("trixie")
def test_unrestricted_ports_are_open_to_anyone(prepared, outsider):
    node = prepared(k3s_firewall_restrict_sources=False)
    reaches(outsider, node.address(), [6443, 2379, 10000, 30000, 443], [2222, 9999, 30001])
    ports = node.run("firewall-cmd --zone=public --list-ports").split()
    assert {"6443/tcp", "8472/udp", "10000-30000/tcp"} <= set(ports), "as plain ports"


def test_external_sources_keep_everybody_else_out(prepared, outsider, machine):
    node = prepared(k3s_firewall_external_sources=[f"{outsider.address()}/32"])
    reaches(outsider, node.address(), [443, 80, 8125], [6443, 10250])
    # A node is no client: what only clients may reach is closed to it.
    reaches(machine("agent1"), node.address(), [6443, 10250], [443, 80, 8125])


@pytest.mark.also_on("bullseye")
def test_without_the_redirect_80_is_closed(prepared, outsider):
    node = prepared(k3s_firewall_http_redirect=False)
    reaches(outsider, node.address(), [443], [80])


@pytest.mark.also_on("bullseye")
def test_extra_ports_admit_whom_they_name(prepared, outsider, machine):
    rows = [row("from-agents", 7001, ["agent"]), row("from-outside", "7002-7004", ["external"])]
    node = prepared(k3s_topology_extra_ports=rows)
    reaches(outsider, node.address(), [7002, 7004], [7001, 7005])
    reaches(machine("agent1"), node.address(), [7001, 7002], [7005])
    reaches(machine("server2"), node.address(), [7002], [7001, 7005])


@pytest.mark.also_on("trixie")
def test_own_networks_of_pods_and_services(prepared):
    node = prepared(k3s_topology_pod_cidr="10.52.0.0/16", k3s_topology_service_cidr="10.53.0.0/16")
    rules = node.run("nft list ruleset")
    assert "10.52.0.0/16" in rules
    assert "10.53.0.0/16" in rules
    assert "10.42.0.0/16" not in rules


def test_nodes_with_ipv6_addresses(prepared, machine, variables):
    names = ("server1", "server2", "agent1")
    addresses = {name: f"fd00:6b33::{number}" for number, name in enumerate(names, 11)}
    outside = "fd00:6b33::99"
    everyone = {**addresses, "bare1": outside}
    hosts = {name: {**variables(name), "k3s_topology_node_ip": addresses[name]} for name in names}
    inventory = {
        "k3s_cluster": {
            "children": {
                "server": {"hosts": {name: hosts[name] for name in names[:2]}},
                "agent": {"hosts": {"agent1": hosts["agent1"]}},
            }
        }
    }
    for name, address in everyone.items():
        machine(name).run(
            "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0 && "
            f"ip address add {address}/64 dev eth0 nodad"
        )
    try:
        node = prepared(inventory=json.loads(json.dumps(inventory)))
        target = addresses[NODE]
        reaches(machine("server2"), target, [6443, 2379, 443], [2222], ipv6=True)
        reaches(machine("agent1"), target, [6443, 10250], [2379, 2222], ipv6=True)
        reaches(machine("bare1"), target, [443], [6443, 10250, 2222], ipv6=True)
        entries = node.run("firewall-cmd --ipset=k3s-nodes-v6 --get-entries").split()
        assert sorted(entries) == sorted(addresses.values())
    finally:
        for name in everyone:
            machine(name).run("sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1")
