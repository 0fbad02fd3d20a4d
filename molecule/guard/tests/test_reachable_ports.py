# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of the firewall, seen from other nodes and from outside the cluster with nmap."""

from __future__ import annotations

import pytest
import wanted

NODE = "server1"
OUTSIDE = "outside1"


def rule(name, port, source):
    return {
        "name": name,
        "port": port,
        "protocol": "tcp",
        "source": source,
        "destination": ["server", "agent"],
    }


@pytest.fixture
def prepared(node):
    """Return a function that prepares the node, twice."""

    def prepare(**how):
        wanted.prepare(node, **how)
        assert wanted.prepare(node, **how)["changed"] is False
        return node

    return prepare


def tcp(*ports):
    return [("tcp", port) for port in ports]


def assert_reaches(source, opened, closed, address=None, **how):
    """Assert that a machine reaches ports, on which nobody listens, and not others."""
    address = address or wanted.address(NODE)
    seen = source.nmap(address, [*tcp(*opened), *tcp(*closed)], **how)
    assert seen == {
        **dict.fromkeys(tcp(*opened), "closed"),
        **dict.fromkeys(tcp(*closed), "filtered"),
    }


def test_unrestricted_ports_are_open_to_anyone(prepared, observer):
    node = prepared(**wanted.UNRESTRICTED)
    assert_reaches(observer(OUTSIDE), [6443, 2379, 10000, 30000, 443], [2222, 9999, 30001])
    # As plain ports, for installers that look for them.
    ports = node.run("firewall-cmd --zone=public --list-ports").split()
    assert {"6443/tcp", "8472/udp", "10000-30000/tcp"} <= set(ports)


def test_external_sources_admit_nobody_else(prepared, observer):
    outside = observer(OUTSIDE)
    prepared(k3s_topology_external_sources=[f"{wanted.address(OUTSIDE)}/32"])
    assert_reaches(outside, [443, 80, 8125], [6443, 10250])
    # A node is not an external client: ports of external clients are closed to it.
    assert_reaches(observer("agent1"), [6443, 10250], [443, 80, 8125])


def test_port_80_without_the_redirect_is_closed(prepared, observer):
    prepared(k3s_topology_http_redirect=False)
    assert_reaches(observer(OUTSIDE), [443], [80])


def test_extra_ports_admit_the_sources_they_name(prepared, observer):
    rules = [rule("from-agents", 7001, ["agent"]), rule("from-outside", "7002-7004", ["external"])]
    prepared(k3s_topology_extra_ports=rules)
    assert_reaches(observer(OUTSIDE), [7002, 7004], [7001, 7005])
    assert_reaches(observer("agent1"), [7001, 7002], [7005])
    assert_reaches(observer("server2"), [7002], [7001, 7005])


def test_segregated_ports_are_open_on_the_nic_of_their_network(prepared, observer):
    prepared(**wanted.SEGREGATED)
    outside, node = observer(OUTSIDE), observer("agent1")
    assert_reaches(node, [6443, 10250], [443, 80, 2222])
    assert_reaches(outside, [], [6443, 10250, 443, 80])
    external = wanted.address(NODE, "eth1")
    assert_reaches(outside, [443, 80, 8125], [6443, 10250, 2222], address=external)


def test_cidrs_of_pods_and_services_are_in_the_ruleset(prepared):
    node = prepared(k3s_topology_pod_cidr="10.52.0.0/16", k3s_topology_service_cidr="10.53.0.0/16")
    rules = node.run("nft list ruleset")
    assert "10.52.0.0/16" in rules
    assert "10.53.0.0/16" in rules
    assert "10.42.0.0/16" not in rules


@pytest.fixture
def ipv6(observer):
    """Give nodes and the machine outside IPv6 addresses and return them by name."""
    names = (*wanted.NODES, OUTSIDE)
    addresses = {name: f"fd00:6b33::{number}" for number, name in enumerate(names, 11)}
    for name, address in addresses.items():
        observer(name).run(
            "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0 && "
            f"ip address add {address}/64 dev eth0 nodad"
        )
    wanted.gather.cache_clear()
    yield addresses
    for name in names:
        observer(name).run("sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1")
    wanted.gather.cache_clear()


def test_nodes_with_ipv6_addresses_admit_each_other(ipv6, prepared, observer):
    hosts = {name: {"k3s_topology_node_ip": ipv6[name]} for name in wanted.NODES}
    node = prepared(
        k3s_topology_pod_cidr="fd42::/56", k3s_topology_service_cidr="fd43::/112", hosts=hosts
    )
    how = {"address": ipv6[NODE], "ipv6": True}
    assert_reaches(observer("server2"), [6443, 2379, 443], [2222], **how)
    assert_reaches(observer("agent1"), [6443, 10250], [2379, 2222], **how)
    assert_reaches(observer(OUTSIDE), [443], [6443, 10250, 2222], **how)
    entries = node.run("firewall-cmd --ipset=k3s-nodes-v6 --get-entries").split()
    assert set(entries) == {ipv6[name] for name in wanted.NODES}
