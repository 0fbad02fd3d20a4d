# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import itertools
import random
import re

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import (
    PRIORITIES,
    firewall_wanted,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_rules,
    node,
    port_rule,
    segregated,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.model import (
    Packet,
    admits,
    clusters,
    packets,
)
from hypothesis import given, settings
from hypothesis import strategies as st

RULE = re.compile(
    r'rule( family="ipv(?P<version>[46])")?'
    r'( source (?P<how>ipset|address)="(?P<source>[^"]+)")?'
    r'( port port="(?P<port>[\d-]+)" protocol="(?P<protocol>tcp|udp)")?'
    r" accept"
)
AGENT = node("agent1", "agent", "192.0.2.21")


def policies_of(wanted):
    return {policy["name"]: policy for policy in wanted["policies"]}


def ipsets_of(wanted):
    return {ipset["name"]: ipset["entries"] for ipset in wanted["ipsets"]}


def lets_in(wanted, packet: Packet) -> bool:
    """Do with a packet to the host what firewalld would do with these objects of ours."""
    zones = {zone["interface"]: zone for zone in wanted["zones"]}
    plain = [zone["ports"] for name, zone in zones.items() if name == packet.interface]
    plain += [
        one["ports"] for one in wanted["interface_ports"] if one["interface"] == packet.interface
    ]
    for text in itertools.chain(*plain):
        port, _slash, protocol = text.partition("/")
        if protocol == packet.protocol and _holds(port, packet.port):
            return True
    zone = zones[packet.interface]["name"] if packet.interface in zones else "bound_elsewhere"
    for overlay in wanted["overlay_zones"]:
        zone = overlay["name"] if packet.interface in overlay["interfaces"] else zone
    return any(
        _rule_accepts(RULE.fullmatch(rule), ipsets_of(wanted), packet)
        for policy in wanted["policies"]
        if "HOST" in policy["egress_zones"]
        and ("ANY" in policy["ingress_zones"] or zone in policy["ingress_zones"])
        for rule in policy["rules"]
    )


def _rule_accepts(rule, ipsets, packet: Packet) -> bool:
    assert rule is not None, "a rule of another shape than firewalld prints"
    source = ipaddress.ip_address(packet.source)
    if rule["version"] and source.version != int(rule["version"]):
        return False
    if rule["how"] == "address" and source not in ipaddress.ip_network(rule["source"]):
        return False
    if rule["how"] == "ipset" and not any(
        source in ipaddress.ip_network(one) for one in ipsets[rule["source"]]
    ):
        return False
    return rule["protocol"] == packet.protocol and _holds(rule["port"], packet.port)


def _holds(port: str, number: int) -> bool:
    first, _dash, last = port.partition("-")
    return int(first) <= number <= int(last or first)


# By example


def test_a_server_admits_etcd_from_servers_and_the_api_from_all_nodes():
    rules = [port_rule(2379, 2380, source=["server"], destination=["server"]), port_rule(6443)]
    wanted = firewall_wanted(topology([node(), AGENT], rules), "server1")
    assert policies_of(wanted)["k3s-from-nodes"] == {
        "name": "k3s-from-nodes",
        "priority": 1010,
        "ingress_zones": ["ANY"],
        "ingress_interfaces": [],
        "egress_zones": ["HOST"],
        "rules": [
            'rule family="ipv4" source ipset="k3s-servers" '
            'port port="2379-2380" protocol="tcp" accept',
            'rule family="ipv4" source ipset="k3s-nodes" port port="6443" protocol="tcp" accept',
        ],
    }
    assert ipsets_of(wanted) == {
        "k3s-nodes": ["192.0.2.11", "192.0.2.21"],
        "k3s-servers": ["192.0.2.11"],
    }


def test_an_agent_has_no_rule_of_a_rule_for_servers():
    rules = [port_rule(2379, source=["server"], destination=["server"]), port_rule(10250)]
    wanted = firewall_wanted(topology([node(), AGENT], rules), "agent1")
    assert "2379" not in str(wanted)
    assert set(ipsets_of(wanted)) == {"k3s-nodes"}


def test_a_shared_node_gets_no_zone_of_ours():
    wanted = firewall_wanted(topology(rules=default_rules()), "server1")
    assert wanted["zones"] == []
    assert wanted["interface_ports"] == []


def test_a_segregated_node_gets_a_zone_for_each_nic():
    cluster = topology([segregated(), AGENT], default_rules())
    wanted = firewall_wanted(cluster, "server1")
    assert wanted["zones"] == [
        {"name": "k3s-cluster", "interface": "eth0", "ports": []},
        {"name": "k3s-external", "interface": "eth1", "ports": []},
    ]
    policies = policies_of(wanted)
    assert policies["k3s-from-nodes"]["ingress_zones"] == ["k3s-cluster"]
    assert policies["k3s-from-clients"]["ingress_zones"] == ["k3s-external"]


def test_unrestricted_rules_become_plain_ports_of_the_cluster_interfaces_zone():
    cluster = topology([node(), AGENT], default_rules(), restrict_sources=False)
    wanted = firewall_wanted(cluster, "server1")
    assert wanted["interface_ports"] == [
        {
            "interface": "eth0",
            "ports": [
                "2049/tcp", "2379-2380/tcp", "3260/tcp", "5001/tcp", "6379/tcp", "6443/tcp",
                "8086/tcp", "8500-8504/tcp", "9093/tcp", "9095/tcp", "9500-9503/tcp",
                "10000-30000/tcp", "8472/udp",
            ],
        }
    ]  # fmt: skip
    assert wanted["zones"] == []
    assert "k3s-from-nodes" not in policies_of(wanted)
    assert "k3s-nodes" not in ipsets_of(wanted)


def test_unrestricted_rules_of_a_segregated_node_are_in_its_cluster_zone_alone():
    cluster = topology([segregated()], [port_rule(6443)], restrict_sources=False)
    wanted = firewall_wanted(cluster, "server1")
    assert wanted["zones"] == [
        {"name": "k3s-cluster", "interface": "eth0", "ports": ["6443/tcp"]},
        {"name": "k3s-external", "interface": "eth1", "ports": []},
    ]
    assert wanted["interface_ports"] == []


def test_anyone_outside_is_a_rule_without_a_source():
    wanted = firewall_wanted(topology(rules=[port_rule(443, source=["external"])]), "server1")
    assert policies_of(wanted)["k3s-from-clients"]["rules"] == [
        'rule port port="443" protocol="tcp" accept'
    ]
    assert wanted["ipsets"] == []


def test_external_sources_become_one_set_per_family():
    cluster = topology(
        rules=[port_rule(443, source=["external"])],
        external_sources=["198.51.100.0/24", "198.51.100.128/25", "2001:db8:c::/48"],
    )
    wanted = firewall_wanted(cluster, "server1")
    assert wanted["ipsets"] == [
        {
            "name": "k3s-clients",
            "type": "hash:net",
            "family": "inet",
            "entries": ["198.51.100.0/24"],
        },
        {
            "name": "k3s-clients-v6",
            "type": "hash:net",
            "family": "inet6",
            "entries": ["2001:db8:c::/48"],
        },
    ]
    assert len(policies_of(wanted)["k3s-from-clients"]["rules"]) == 2


def test_a_cluster_of_both_families_has_a_rule_for_each():
    six = node("agent1", "agent", "2001:db8::21")
    wanted = firewall_wanted(topology([node(), six]), "server1")
    assert ipsets_of(wanted) == {"k3s-nodes": ["192.0.2.11"], "k3s-nodes-v6": ["2001:db8::21"]}
    assert policies_of(wanted)["k3s-from-nodes"]["rules"] == [
        'rule family="ipv4" source ipset="k3s-nodes" port port="6443" protocol="tcp" accept',
        'rule family="ipv6" source ipset="k3s-nodes-v6" port port="6443" protocol="tcp" accept',
    ]


def test_pods_are_admitted_by_the_overlay_and_their_network():
    wanted = firewall_wanted(topology(rules=[port_rule(6379, source=["pod"])]), "server1")
    assert wanted["overlay_zones"] == [
        {
            "name": "k3s-pods",
            "interfaces": ["cni0", "flannel.1", "flannel-wg", "flannel-wg-v6", "flannel-v6.1"],
        }
    ]
    assert policies_of(wanted)["k3s-from-pods"]["ingress_zones"] == ["k3s-pods"]
    assert policies_of(wanted)["k3s-from-pods"]["rules"] == [
        'rule family="ipv4" source address="10.42.0.0/16" port port="6379" protocol="tcp" accept'
    ]


def test_an_ipv6_overlay_is_admitted_as_such():
    cluster = topology(rules=[], pod_cidr="2001:db8:42::/56", service_cidr="2001:db8:43::/112")
    assert policies_of(firewall_wanted(cluster, "server1"))["k3s-overlay"]["rules"] == [
        'rule family="ipv6" source address="2001:db8:42::/56" accept',
        'rule family="ipv6" source address="2001:db8:43::/112" accept',
    ]


def test_the_overlay_passes_from_its_interfaces_to_anywhere():
    wanted = firewall_wanted(topology(rules=[]), "server1")
    assert wanted["policies"] == [
        {
            "name": "k3s-overlay",
            "priority": -1010,
            "ingress_zones": ["k3s-pods"],
            "ingress_interfaces": [],
            "egress_zones": ["ANY"],
            "rules": [
                'rule family="ipv4" source address="10.42.0.0/16" accept',
                'rule family="ipv4" source address="10.43.0.0/16" accept',
            ],
        }
    ]


@pytest.mark.parametrize("make_node", [node, segregated])
def test_pods_without_encapsulation_pass_from_the_cluster_nic_to_pods(make_node):
    routed = {**make_node(), "overlay_interfaces": ["cni0", "eth0"]}
    wanted = firewall_wanted(topology([routed, AGENT], rules=[]), "server1")
    assert wanted["overlay_zones"] == [{"name": "k3s-pods", "interfaces": ["cni0"]}]
    assert policies_of(wanted)["k3s-routed-pods"] == {
        "name": "k3s-routed-pods",
        "priority": -1020,
        "ingress_zones": [],
        "ingress_interfaces": ["eth0"],
        "egress_zones": ["k3s-pods"],
        "rules": [
            'rule family="ipv4" source address="10.42.0.0/16" accept',
            'rule family="ipv4" source ipset="k3s-nodes" accept',
        ],
    }
    assert ipsets_of(wanted)["k3s-nodes"] == ["192.0.2.11", "192.0.2.21"]


def test_a_rule_from_agents_of_a_cluster_without_any_admits_nobody():
    wanted = firewall_wanted(topology([node()], [port_rule(6443, source=["agent"])]), "server1")
    assert set(policies_of(wanted)) == {"k3s-overlay"}
    assert wanted["ipsets"] == []


def test_a_node_that_is_not_of_the_cluster_is_a_key_error():
    with pytest.raises(KeyError):
        firewall_wanted(topology(), "nobody")


def test_plain_ports_need_an_interface_and_say_whose_is_missing():
    unknown = node(cluster_interface=None, external_interface=None)
    with pytest.raises(ValueError, match="server1: its cluster interface"):
        firewall_wanted(topology([unknown], restrict_sources=False), "server1")


# For any cluster and table


@settings(max_examples=250)
@given(st.data())
def test_the_objects_admit_exactly_what_the_table_says(data):
    cluster = data.draw(clusters())
    destination = data.draw(st.sampled_from(cluster["nodes"]))
    wanted = firewall_wanted(cluster, destination["name"])
    for packet in data.draw(st.lists(packets(cluster, destination), min_size=5, max_size=15)):
        assert lets_in(wanted, packet) == admits(cluster, destination, packet), packet


@given(clusters())
def test_names_are_ours_short_enough_and_apart(cluster):
    for one in cluster["nodes"]:
        wanted = firewall_wanted(cluster, one["name"])
        policies = [policy["name"] for policy in wanted["policies"]]
        zones = [zone["name"] for zone in wanted["zones"]]
        ipsets = [ipset["name"] for ipset in wanted["ipsets"]]
        assert all(name.startswith("k3s-") for name in policies + zones + ipsets)
        assert all(len(name) <= 17 for name in policies + zones)
        assert all(len(name) <= 31 for name in ipsets)
        assert len(set(policies + zones)) == len(policies + zones)
        assert len(set(ipsets)) == len(ipsets)


@given(clusters())
def test_entries_of_an_ipset_do_not_overlap_and_are_of_its_family(cluster):
    for one in cluster["nodes"]:
        for ipset in firewall_wanted(cluster, one["name"])["ipsets"]:
            networks = [ipaddress.ip_network(text) for text in ipset["entries"]]
            assert networks
            version = 4 if ipset["family"] == "inet" else 6
            assert all(network.version == version for network in networks)
            for left, right in itertools.combinations(networks, 2):
                assert not left.overlaps(right)


@given(clusters(), st.integers())
def test_the_order_of_hosts_does_not_matter(cluster, seed):
    nodes = list(cluster["nodes"])
    random.Random(seed).shuffle(nodes)
    sources = list(reversed(cluster["external_sources"]))
    for one in nodes:
        shuffled = {**cluster, "nodes": nodes, "external_sources": sources}
        assert firewall_wanted(shuffled, one["name"]) == firewall_wanted(cluster, one["name"])


@given(clusters())
def test_every_ipset_is_used_and_every_used_one_is_there(cluster):
    for one in cluster["nodes"]:
        wanted = firewall_wanted(cluster, one["name"])
        rules = " ".join(rule for policy in wanted["policies"] for rule in policy["rules"])
        assert set(re.findall(r'ipset="([^"]+)"', rules)) == set(ipsets_of(wanted))


def test_no_two_policies_share_a_priority():
    # firewalld 2.0 to 2.4 would put them in front of zones of sources.
    assert len(set(PRIORITIES.values())) == len(PRIORITIES)


def test_only_what_is_forwarded_comes_before_the_rules_of_a_zone():
    assert {name for name, priority in PRIORITIES.items() if priority < 0} == {
        "k3s-overlay",
        "k3s-routed-pods",
    }
