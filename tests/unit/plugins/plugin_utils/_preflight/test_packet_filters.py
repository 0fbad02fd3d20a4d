# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import packet_filter
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._preflight.packet_filters import (
    findings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support import factories
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_filters import (
    UFW_VERSION,
    VERSIONS,
    Recorded,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import LOADED

SERVER, AGENT = CLUSTER = (factories.node(), factories.node("agent1", "agent", "192.0.2.21"))
TOPOLOGY = factories.topology(CLUSTER, factories.default_rules())


@pytest.fixture
def facts(monkeypatch):
    """Return the function that returns the facts of a recorded machine."""

    def read(version, scenario):
        machine = Recorded(version, scenario)
        monkeypatch.setattr(packet_filter, "find_program", machine.find_program)
        found = packet_filter.read(machine.run, machine.read_file)
        return made(json.loads(json.dumps(found["chains"])), found["unknown"])

    return read


def made(chains, unknown=(), **others):
    return {
        "packet_filters": chains,
        "packet_filters_unknown": list(unknown),
        "units": {},
        **others,
    }


def told(found):
    return [
        (one.severity, one.problem.partition(" (")[0], one.problem.partition(": ")[2])
        for one in found
    ]


REJECT = "-j REJECT --reject-with icmp-host-prohibited"
EXPECTED = {
    "empty": [],
    "k3s": [],
    "k3s-nft": [],
    # Who is banned is not of the cluster.
    "fail2ban": [],
    "fail2ban-nft": [],
    "docker-flannel": [],
    # It admits external clients to some of the ports only.
    "nft-admits": [("warning", "chain input of table inet guard", "policy drop")],
    "nft-drop": [
        ("error", "chain input of table inet guard", "policy drop"),
        ("error", "chain forward of table inet guard", "policy drop"),
    ],
    "nft-in-filter": [("error", "chain INPUT of table ip filter", "policy drop")],
    "iptables-reject": [
        ("error", "chain INPUT of table ip filter", f"-A INPUT {REJECT}"),
        ("error", "chain FORWARD of table ip filter", f"-A FORWARD {REJECT}"),
    ],
    # Flannel appends its rules behind the one that rejects.
    "reject-flannel": [
        ("error", "chain INPUT of table ip filter", f"-A INPUT {REJECT}"),
        ("error", "chain FORWARD of table ip filter", f"-A FORWARD {REJECT}"),
    ],
    # Those of IPv6 do not matter to a cluster of IPv4.
    "iptables-legacy": [
        ("error", "chain INPUT of table ip filter", f"-A INPUT {REJECT}"),
        ("error", "chain FORWARD of table ip filter", f"-A FORWARD {REJECT}"),
    ],
    "docker": [("info", "chain FORWARD of table ip filter", "policy drop")],
    "docker-28": [("info", "chain FORWARD of table ip filter", "policy drop")],
    "firewalld-nftables": [
        ("error", "chain INPUT of table ip filter", "-A INPUT -p tcp -m tcp --dport 6443 -j DROP")
    ],
    "firewalld-iptables": [
        (
            "error",
            "chain INPUT of table ip filter",
            "-A INPUT_direct -p tcp -m tcp --dport 6443 -j DROP in chain INPUT_direct",
        )
    ],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scenario", EXPECTED)
def test_filters_that_drop_the_clusters_packets_are_found(facts, version, scenario):
    found = list(findings(SERVER, facts(version, scenario), TOPOLOGY))
    assert sorted(told(found)) == sorted(EXPECTED[scenario])
    assert all(one.remedy and one.nodes == ("server1",) for one in found)


@pytest.mark.parametrize("version", VERSIONS)
def test_forms_of_conditions_are_told_apart(facts, version):
    found = list(findings(SERVER, facts(version, "nft-forms"), TOPOLOGY))
    problems = {one.problem.rpartition(": ")[2]: (one.severity, one.problem) for one in found}
    api = problems["meta l4proto tcp reject with tcp reset in chain api"]
    assert "drops kubernetes-api (6443/tcp)," in api[1]
    severity, vxlan = problems["udp dport 8472 drop"]
    assert (severity, "hook ingress at eth0) drops flannel-vxlan (8472/udp)," in vxlan) == (
        "error",
        True,
    )
    assert problems["tcp dport 10250 reject"][0] == "error"
    # A mark is not evaluated.
    severity, marked = problems["meta mark 0x00000001 drop in chain cluster"]
    assert (severity, "may drop" in marked) == ("warning", True)
    # Neither of both can meet a packet of the cluster.
    assert "ip saddr @blocked drop" not in problems
    assert "ether type ip6 drop" not in problems


def test_ufw_is_found_once(facts):
    machine = facts(UFW_VERSION, "ufw")
    found = list(findings(SERVER, machine, TOPOLOGY))
    assert [(one.severity, one.remedy) for one in found] == [
        ("error", "ufw disable"),
        ("warning", "ufw disable"),
    ]
    # Another finding names the service.
    machine["units"] = {"ufw.service": LOADED}
    assert list(findings(SERVER, machine, TOPOLOGY)) == []


def chain(*rules, policy="accept", hook="input", **others):
    """Return a chain of nft with these rules, as a node reports it."""
    return {
        "tool": "nft",
        "family": "inet",
        "table": "mine",
        "chain": "base",
        "hook": hook,
        "priority": 0,
        "policy": policy,
        "devices": [],
        "drops": "some",
        "rule": "",
        "rule_chain": "base",
        "handle": 0,
        "owner": "",
        "policy_owner": "",
        "rules": {"base": [{"verdict": "drop", "text": "X", **one} for one in rules]},
        **others,
    }


def severities(one, node=SERVER, topology=TOPOLOGY):
    return [found.severity for found in findings(node, made([one]), topology)]


PODS = {"verdict": "accept", "sources": ["10.42.0.0/16"]}
NODES = {"verdict": "accept", "sources": ["192.0.2.0/24"]}
CLIENTS = {
    "verdict": "accept",
    "ports": [
        [one["first"], one["last"]] for one in TOPOLOGY["rules"] if "external" in one["source"]
    ],
}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([PODS, NODES, CLIENTS], []),
        # Nobody but nodes and pods.
        ([PODS, NODES], ["warning"]),
        ([], ["error"]),
        ([NODES, CLIENTS], ["error"]),
        # The other node is not in it.
        ([PODS, {**NODES, "sources": ["192.0.2.0/28"]}, CLIENTS], ["error"]),
        # Only the node itself is not in it.
        ([PODS, {**NODES, "sources": ["192.0.2.21/32"]}, CLIENTS], []),
        ([PODS, {**NODES, "partial": True}, CLIENTS], ["warning"]),
        # Some external clients, of those that the inventory expects.
        ([PODS, NODES, {**CLIENTS, "sources": ["10.0.0.0/8"]}], ["warning"]),
    ],
)
def test_policy_counts_unless_all_packets_are_accepted(rules, expected):
    assert severities(chain(*rules, policy="drop")) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, ["error"]),
        ({"states": ["invalid"]}, []),
        ({"inputs": ["eth9"]}, []),
        ({"inputs": ["lo"]}, []),
        ({"sources": ["203.0.113.0/24"]}, []),
        ({"sources": ["192.0.2.21/32"]}, ["error"]),
        ({"sources": ["10.42.3.0/24"]}, ["warning"]),
        ({"ports": [[22, 22]]}, []),
        ({"ports": [[10250, 10250]]}, ["error"]),
        ({"partial": True}, ["warning"]),
        ({"partial": True, "owner": "docker"}, ["info"]),
        ({"partial": True, "owner": "fail2ban"}, ["info"]),
        ({"owner": "fail2ban"}, ["warning"]),
        ({"partial": True, "owner": "firewalld"}, ["warning"]),
        ({"verdict": "unknown"}, ["warning"]),
    ],
)
def test_rule_counts_if_it_can_meet_the_clusters_packets(rule, expected):
    assert severities(chain(rule)) == expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (chain(policy="drop", hook="forward"), ["error"]),
        (chain({"ports": [[22, 22]]}, hook="forward"), ["warning"]),
        (chain({"outputs": ["docker0"]}, hook="forward"), []),
        (chain({"inputs": ["flannel.1"]}, hook="forward"), ["error"]),
        (chain({"inputs": ["flannel-wg"]}, hook="forward"), []),
        # Both kinds of packets arrive there.
        (chain({"sources": ["10.42.0.0/16"]}, hook="prerouting"), ["error"]),
        (chain({"sources": ["192.0.2.0/24"]}, hook="prerouting"), ["error"]),
        (chain({}, hook="ingress", family="netdev", devices=["eth0"]), ["error"]),
        (chain({}, hook="ingress", family="netdev", devices=["eth9"]), []),
        (chain({}, family="ip6"), []),
        (chain({}, hook="output"), ["error"]),
        (chain({}, hook="postrouting"), ["error"]),
        (chain({"ports": [[10250, 10250]]}, hook="output"), ["error"]),
        (chain({"ports": [[22, 22]]}, hook="output"), []),
        (chain({"outputs": ["eth0"]}, hook="output"), ["error"]),
        (chain({"outputs": ["eth9"]}, hook="output"), []),
        (chain({"inputs": ["eth9"]}, hook="output"), []),
        (chain({"destinations": ["192.0.2.21"]}, hook="output"), ["error"]),
        (chain({"destinations": ["198.51.100.0/24"]}, hook="output"), []),
        (chain({"states": ["invalid"]}, hook="output"), []),
        (chain({"partial": True}, hook="output"), ["warning"]),
        (
            chain(
                {"verdict": "accept", "destinations": ["192.0.2.0/24"]},
                policy="drop",
                hook="output",
            ),
            [],
        ),
    ],
)
def test_hook_and_interface_say_which_packets_count(one, expected):
    # Two rules drop at prerouting: packets to the node, and those between pods.
    assert severities(one) == expected


@pytest.mark.parametrize(("device", "expected"), [("eth0", ["error"]), ("eth1", [])])
def test_chain_at_ingress_is_for_packets_of_its_interfaces(device, expected):
    node = {**SERVER, "external_interface": "eth1"}
    one = chain({"ports": [[6443, 6443]]}, hook="ingress", family="netdev", devices=[device])
    assert severities(one, node) == expected


@pytest.mark.parametrize(
    ("backend", "expected"),
    [("vxlan", []), ("wireguard-native", ["error"]), ("host-gw", [])],
)
def test_interface_of_pods_follows_the_backend_of_flannel(backend, expected):
    node = {**SERVER, "k3s": {"settings": {"flannel-backend": {"value": backend, "source": "x"}}}}
    assert severities(chain({"inputs": ["flannel-wg"]}, hook="forward"), node) == expected


def test_policy_of_forward_of_another_program_is_a_warning():
    one = {
        **chain(policy="drop", hook="forward"),
        "tool": "iptables-nft",
        "family": "ip",
        "table": "filter",
        "chain": "FORWARD",
        "rules": {"FORWARD": []},
    }
    assert severities(one) == ["warning"]


def test_interfaces_of_segregated_networks_are_told_apart():
    server = factories.segregated()
    topology = factories.topology(
        [server, factories.segregated("agent1", "agent", 21)], factories.default_rules()
    )
    accepts = [PODS, {"verdict": "accept", "inputs": ["eth0"]}]
    assert severities(chain(*accepts, {"ports": [[22, 22]]}), server, topology) == []
    # External clients arrive at the other interface.
    (found,) = findings(server, made([chain(*accepts, {})]), topology)
    assert found.problem.startswith(
        "chain base of table inet mine (nft, hook input) may drop external-http (80/tcp)"
    )


def test_sources_of_external_clients_are_those_of_the_inventory():
    topology = {**TOPOLOGY, "external_sources": ["10.9.0.0/16"]}
    rules = [PODS, NODES, {**CLIENTS, "sources": ["10.0.0.0/8"]}]
    assert severities(chain(*rules, policy="drop"), SERVER, topology) == []


def test_single_node_has_no_peers():
    topology = factories.topology([SERVER], [factories.port_rule(10250, source=("server",))])
    assert severities(chain(policy="drop"), SERVER, topology) == []


def test_findings_of_a_chain_are_few():
    many = chain(*({"text": f"rule {n}", "partial": True} for n in range(100)))
    found = list(findings(SERVER, made([many]), TOPOLOGY))
    assert len(found) == 5
    assert " and " in found[0].problem
    assert len(found[0].problem) < 400


@pytest.mark.parametrize(
    ("target", "expected"), [("ACCEPT", 1), ("default", 0), ("", 0), (None, 0)]
)
def test_default_zone_that_accepts_is_a_warning(target, expected):
    found = list(findings(SERVER, made([], default_zone_target=target), TOPOLOGY))
    assert [one.severity for one in found] == ["warning"] * expected


@pytest.mark.parametrize(
    ("zone", "command"),
    [
        ("trusted", "firewall-cmd --set-default-zone=public"),
        ("open", "firewall-cmd --permanent --zone=open --set-target=default"),
        ("$(reboot)", "firewall-cmd --set-default-zone=public"),
        (None, "firewall-cmd --set-default-zone=public"),
    ],
)
def test_remedy_for_the_default_zone_follows_its_name(zone, command):
    facts = made([], default_zone=zone, default_zone_target="ACCEPT")
    (found,) = findings(SERVER, facts, TOPOLOGY)
    assert found.remedy.startswith(command)


def test_what_could_not_be_read_is_named():
    (found,) = findings(SERVER, made([], ["nft is not installed"]), TOPOLOGY)
    assert found.severity == "info"
    assert "nft is not installed" in found.problem


@pytest.mark.parametrize("wrong", [None, 1, "x", {}, [1], [{}]])
def test_facts_of_a_wrong_type_are_left_out(wrong):
    facts = made(wrong, default_zone_target=wrong)
    facts["packet_filters_unknown"] = wrong
    assert [one.severity for one in findings(SERVER, facts, TOPOLOGY)] in ([], ["info"])
    assert list(findings(SERVER, {"units": {}}, TOPOLOGY)) == []


def test_finding_names_what_a_chain_drops_as_it_leaves():
    (found,) = findings(SERVER, made([chain({"ports": [[10250, 10250]]}, hook="output")]), TOPOLOGY)
    assert "drops kubelet (10250/tcp) to other nodes, whatever firewalld" in found.problem
