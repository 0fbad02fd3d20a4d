# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import (
    firewall_findings,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.firewalls import (
    Difference,
    Firewall,
    Opening,
    Zone,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_rules,
    node,
    topology,
)

MISSING = Difference("runtime", "policy", "k3s-from-nodes", "missing")
SOUND = Firewall(
    running=True,
    prepared=True,
    default_zone="public",
    zones={"public": Zone(("eth0",))},
    overlay_interfaces={"cni0": True, "flannel.1": True},
    udp_ports=frozenset({8472}),
    kubernetes=("k3s-server",),
)
NODES = [node("server1"), node("server2", address="192.0.2.12")]


def found(**changes):
    both = {"server1": replace(SOUND, **changes), "server2": SOUND}
    return firewall_findings.findings(topology(NODES, default_rules()), both)


def brief(findings):
    return [(one["level"], one["hosts"], one["cause"], one["remedy"]) for one in findings]


def test_findings_of_sound_nodes_are_none():
    assert found() == []


def test_findings_name_the_object_that_is_missing():
    assert brief(found(differences=(MISSING,))) == [
        (
            "error",
            ["server1"],
            "policy k3s-from-nodes is missing in the runtime configuration of firewalld",
            "run the playbook prepare",
        )
    ]


def test_findings_name_both_configurations_in_one_sentence():
    both = (replace(MISSING, configuration="permanent"), MISSING)
    (finding,) = found(differences=both)
    assert finding["cause"] == (
        "policy k3s-from-nodes is missing in the permanent and the runtime configuration of "
        "firewalld"
    )


@pytest.mark.parametrize(
    ("difference", "level", "cause"),
    [
        (
            Difference("runtime", "zone", "k3s-pods", "different", ("ports",)),
            "info",
            "zone k3s-pods differs from the topology in the runtime configuration of firewalld "
            "(ports)",
        ),
        (
            Difference("runtime", "zone", "k3s-pods", "different", ("ports", "target")),
            "error",
            "zone k3s-pods differs from the topology in the runtime configuration of firewalld "
            "(ports, target)",
        ),
        (
            Difference("runtime", "policy", "k3s-from-nodes", "different", ("rich_rules",)),
            "error",
            "policy k3s-from-nodes differs from the topology in the runtime configuration of "
            "firewalld (rich_rules)",
        ),
        (
            Difference("runtime", "interface", "eth1", "different", ("zone",), "k3s-external"),
            "error",
            "interface eth1 is not in zone k3s-external in the runtime configuration of firewalld",
        ),
        (
            Difference("permanent", "policy", "k3s-routed-pods", "unwanted"),
            "error",
            "policy k3s-routed-pods is not wanted, and is still in the permanent configuration of "
            "firewalld",
        ),
    ],
)
def test_findings_describe_each_kind_of_difference(difference, level, cause):
    (finding,) = found(differences=(difference,))
    assert (finding["level"], finding["hosts"], finding["cause"]) == (level, ["server1"], cause)
    assert finding["remedy"].startswith("run the playbook prepare")


WITHOUT_ZONE = Difference(
    "runtime", "policy", "k3s-from-nodes", "different", ("ingress_zones",), "", ("office",)
)
OFFICE = {"public": Zone(("eth0",)), "office": Zone((), ("192.0.2.0/24",))}


@pytest.mark.parametrize(
    ("version", "zones", "levels"),
    [
        ("0.9.3", OFFICE, ["info"]),
        ("1.3.3", OFFICE, ["info"]),
        ("2.3.1", OFFICE, ["error"]),
        ("", OFFICE, ["error"]),
        # The zone that holds the NIC itself, or one that is not known.
        ("1.3.3", {"office": Zone(("eth0",), ("192.0.2.0/24",))}, ["error"]),
        ("1.3.3", {"public": Zone(("eth0",))}, ["error"]),
    ],
)
def test_policy_without_the_zone_of_a_source_is_an_error_since_2_0(version, zones, levels):
    both = (WITHOUT_ZONE, replace(WITHOUT_ZONE, configuration="permanent"))
    findings = found(version=version, zones=zones, differences=both)
    assert [one["level"] for one in findings if "k3s-from-nodes" in one["cause"]] == levels * (
        2 if levels == ["info"] else 1
    )


def test_policy_without_the_zone_of_a_source_is_named_before_an_upgrade():
    (finding,) = found(version="1.3.3", zones=OFFICE, differences=(WITHOUT_ZONE,))
    assert brief([finding]) == [
        (
            "info",
            ["server1"],
            "zone office of firewalld takes packets by their source, and policy k3s-from-nodes "
            "does not name it; firewalld 1.3.3 admits them nevertheless, firewalld 2.0 and later "
            "does not",
            "run the playbook prepare before firewalld is upgraded",
        )
    ]


def test_findings_of_a_node_that_was_never_prepared_are_one_warning():
    findings = found(prepared=False, differences=(MISSING, replace(MISSING, name="k3s-overlay")))
    assert brief(findings) == [
        (
            "warning",
            ["server1"],
            "firewalld is not prepared for K3s",
            "run the playbook prepare",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"problem": "not authorized"}, "warning", "firewalld could not be read: not authorized"),
        ({"running": False}, "error", "firewalld does not run"),
        ({"running": False, "prepared": False}, "warning", "firewalld does not run"),
        ({"strict_forward_ports": True}, "error", "StrictForwardPorts=yes"),
        ({"unknown": ("nft failed",)}, "info", "not all packet filters are known: nft failed"),
        ({"refused": "a conflict"}, "error", "prepare would fail here: a conflict"),
        ({"overlay_interfaces": {"flannel.1": False}, "udp_ports": frozenset()}, "error",
         "flannel.1 is down"),
        ({"overlay_interfaces": {}, "udp_ports": frozenset()}, "error",
         "nothing holds UDP port 8472"),
    ],
)  # fmt: skip
def test_findings_name_what_else_is_wrong(changes, level, words):
    (finding,) = found(**changes)
    assert (finding["level"], finding["hosts"]) == (level, ["server1"])
    assert words in finding["cause"]
    assert finding["remedy"]


def test_overlay_port_is_not_needed_before_k3s_runs():
    assert found(kubernetes=("containerd-shim",), udp_ports=frozenset()) == []


def test_cluster_without_overlay_is_told_that_pods_were_not_probed():
    bare = replace(SOUND, overlay_interfaces={}, kubernetes=(), udp_ports=frozenset())
    (finding,) = firewall_findings.findings(
        topology(NODES, default_rules()), {"server1": bare, "server2": bare}
    )
    assert (finding["level"], finding["hosts"]) == ("info", ["server1", "server2"])
    assert "not by packets" in finding["cause"]


@pytest.mark.parametrize(("hook", "what"), [("input", "etcd"), ("forward", "between pods")])
def test_packet_filters_of_other_software_are_errors(hook, what):
    chain = {
        "tool": "nft",
        "family": "inet",
        "table": "other",
        "chain": hook,
        "hook": hook,
        "priority": 0,
        "policy": "drop",
        "devices": [],
        "drops": "all",
        "rule": "policy drop",
        "rule_chain": hook,
        "handle": 0,
        "owner": "",
        "policy_owner": "",
        "rules": {hook: []},
    }
    findings = found(packet_filters=(chain,))
    assert {(one["level"], *one["hosts"]) for one in findings} == {("error", "server1")}
    assert any(f"chain {hook} of table inet other" in one["cause"] for one in findings)
    assert any(what in one["cause"] for one in findings)


def test_ports_that_the_user_opens_to_everyone_are_information():
    opening = Opening("zone", "public", "service=kube", ("10250/tcp", "443/tcp"))
    assert brief(found(openings=(opening,))) == [
        (
            "info",
            ["server1"],
            "zone public of firewalld opens ports to everyone that only nodes should reach: "
            "kubelet 10250/tcp",
            "firewall-cmd --zone=public --remove-service=kube, and the same with --permanent",
        )
    ]
    # The zone holds no interface, or the port is for clients.
    assert found(openings=(replace(opening, name="home"),)) == []
    assert found(openings=(replace(opening, ports=("443/tcp", "22/tcp")),)) == []
