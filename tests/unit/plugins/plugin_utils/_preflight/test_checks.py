# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._preflight import (
    checks,
    finding,
    table,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._preflight.checks import Answer
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._preflight.finding import Finding
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import (
    CLUSTER,
    LOADED,
    NAMES,
    NODES,
    facts,
)
from hypothesis import given
from hypothesis import strategies as st


def evaluated(first=None, **both):
    """Return what is found where the first node has these facts, and all have the others."""
    answers = {
        name: Answer(facts(name, **both, **((first or {}) if name == NAMES[0] else {})), 999, 1001)
        for name in NAMES
    }
    return checks.evaluate(CLUSTER, answers, NAMES)


DROPPING = {
    "tool": "nft",
    "family": "inet",
    "table": "guard",
    "chain": "input",
    "hook": "input",
    "priority": 0,
    "policy": "drop",
    "devices": [],
    "drops": "all",
    "rule": "policy drop",
    "rule_chain": "input",
    "handle": 0,
    "owner": "",
    "policy_owner": "",
    "rules": {"input": []},
}


def nic(name=NAMES[0], **others):
    return {"interfaces": {"eth0": {**facts(name)["interfaces"]["eth0"], **others}}}


def units(*names):
    return {"units": {"firewalld.service": LOADED, **dict.fromkeys(names, LOADED)}}


def routes(destination, *interfaces):
    return {"routes": [route(destination, name) for name in interfaces]}


def route(destination, interface, connected=True):
    return {"destination": destination, "interface": interface, "connected": connected}


def test_segregated_nics_in_one_subnet_are_an_error():
    first, other = CLUSTER["nodes"]
    split = {**first, "mode": "segregated", "external_interface": "eth1"}
    one = facts(first["name"], **routes("192.0.2.0/24", "eth0", "eth1"))
    answers = {first["name"]: Answer(one, 1000.0, 1000.0)}
    found = checks.evaluate({**CLUSTER, "nodes": [split, other]}, answers, [first["name"]])
    [error] = [one for one in found if one.severity == "error"]
    assert "not apart" in error.problem
    assert error.nodes == (first["name"],)


def test_nodes_without_a_fault_have_no_finding():
    assert evaluated() == []


@pytest.mark.parametrize(
    ("fault", "severity", "words"),
    [
        ({"hostname": "Bad_Name"}, "error", "'Bad_Name'"),
        ({**units("nftables.service"), "flushes_ruleset": True}, "error", "flush ruleset"),
        (units("ufw.service"), "error", "ufw"),
        (units("netfilter-persistent.service"), "warning", "netfilter-persistent"),
        (units("nm-cloud-setup.timer"), "error", "nm-cloud-setup"),
        (units("NetworkManager.service"), "warning", "rke2#786"),
        (
            {"units": {"firewalld.service": {**LOADED, "active": "inactive", "file": "disabled"}}},
            "warning",
            "neither running nor enabled",
        ),
        ({"units": {"firewalld.service": {**LOADED, "load": "masked"}}}, "error", "masked"),
        ({"default_zone_target": "ACCEPT"}, "warning", "has the target ACCEPT"),
        ({"packet_filters": [DROPPING]}, "error", "chain input of table inet guard"),
        ({"packet_filters_unknown": ["nft is not installed"]}, "info", "nft is not installed"),
        ({"missing_drivers": ["vxlan"]}, "error", "no driver vxlan"),
        ({"strict_forward_ports": True}, "error", "StrictForwardPorts=yes"),
        ({"read_only": ["/etc/firewalld", "/var"]}, "error", "/etc/firewalld, /var is read-only"),
        (nic(dynamic=[NODES[NAMES[0]]["address"]]), "warning", "DHCP"),
        (
            {"held": [{"protocol": "tcp", "port": 6443, "addresses": ["0.0.0.0"]}]},
            "error",
            "6443/tcp is taken, which api",
        ),
        (
            {"held": [{"protocol": "tcp", "port": 10250, "addresses": ["::"]}]},
            "warning",
            "longhorn (10000-30000)",
        ),
        (
            routes("192.0.2.0/24", "eth0", "eth1"),
            "warning",
            "eth0 and eth1 are both in 192.0.2.0/24",
        ),
        (
            {"routes": [route("192.0.0.0/16", "eth0"), route("192.0.2.0/24", "eth1")]},
            "warning",
            "eth0 and eth1 are both in 192.0.0.0/16",
        ),
        ({"routes": [route("10.42.7.0/24", "eth1")]}, "error", "10.42.7.0"),
        ({"routes": [route("10.0.0.0/8", "eth1")]}, "warning", "10.0.0.0/8"),
    ],
)
def test_a_fault_of_one_node_is_named(fault, severity, words):
    found = evaluated(fault)
    assert found
    assert {(one.severity, one.nodes) for one in found} == {(severity, (NAMES[0],))}
    assert all(words in one.problem and one.remedy for one in found if "10.0.0.0" not in words)


@pytest.mark.parametrize(
    "harmless",
    [
        {**units("nftables.service"), "flushes_ruleset": False},
        {**units("ufw.service"), "ufw_enabled": False},
        {"flushes_ruleset": True},
        {**units("NetworkManager.service"), "networkmanager_spares_cni": True},
        {"held": [{"protocol": "tcp", "port": 6443, "addresses": ["127.0.0.1"]}]},
        {"held": [{"protocol": "udp", "port": 6443, "addresses": ["0.0.0.0"]}]},
        {
            **units("k3s.service"),
            "held": [{"protocol": "tcp", "port": 6443, "addresses": ["0.0.0.0"]}],
        },
        {"routes": [route("10.42.0.0/24", "cni0")]},
        # Ways to the same network, as a VPN or a second gateway gives.
        {"routes": [route("192.0.2.0/24", "eth0"), route("192.0.0.0/8", "eth1", connected=False)]},
        routes("fe80::/64", "eth0", "eth1"),
        routes("198.18.0.0/15", "eth1", "eth2"),
        routes("192.0.2.0/24", "eth0", "eth0"),
    ],
)
def test_what_does_no_harm_is_no_finding(harmless):
    assert evaluated(harmless) == []


@pytest.mark.parametrize(
    ("shared", "severity"),
    [({"hostname": "localhost"}, "error"), ({"machine_id": "a" * 32}, "warning")],
)
def test_what_nodes_share_is_told_once_with_all_of_them(shared, severity):
    (found,) = evaluated(**shared)
    assert (found.severity, found.nodes) == (severity, tuple(NAMES))


def test_a_mac_address_that_nodes_share_is_an_error():
    (found,) = evaluated(nic(mac="02:00:00:00:00:01"))
    assert (found.severity, found.nodes) == ("error", tuple(NAMES[:2]))


def test_differing_mtus_are_told_with_who_has_which():
    (found,) = evaluated(nic(mtu=1400))
    assert f"1400 ({NAMES[0]})" in found.problem


def with_k3s(**record):
    """Return the cluster, of which one node has this record of K3s's settings."""
    nodes = [
        {**node, "k3s": record if node["name"] == NAMES[0] else {}} for node in CLUSTER["nodes"]
    ]
    return {**CLUSTER, "nodes": nodes}


def of_k3s(record, **first):
    answers = {
        name: Answer(facts(name, **(first if name == NAMES[0] else {})), 999, 1001)
        for name in NAMES
    }
    return checks.evaluate(with_k3s(**record), answers, NAMES)


def test_name_that_k3s_is_told_counts_instead_of_the_hostname():
    told = {"settings": {"node-name": {"value": "edge-1", "source": "extra_server_args"}}}
    assert of_k3s(told, hostname=NAMES[1]) == []
    (found,) = of_k3s({}, hostname=NAMES[1])
    assert "have the same hostname" in found.problem
    told["settings"]["node-name"]["value"] = "Bad_Name"
    (found,) = of_k3s(told)
    assert "'Bad_Name'" in found.problem


@pytest.mark.parametrize("kind", ["differences", "unreadable"])
def test_settings_of_k3s_that_are_not_clear_are_a_warning(kind):
    (found,) = of_k3s({kind: ["/etc/rancher/k3s/config.yaml: it has tabs"]})
    assert (found.severity, found.nodes) == ("warning", (NAMES[0],))
    assert "config.yaml: it has tabs" in found.problem


def test_who_did_not_answer_and_who_is_outside_the_play():
    answers = {NAMES[0]: Answer(facts(NAMES[0]), 999, 1001)}
    (found,) = checks.evaluate(CLUSTER, answers, NAMES)
    assert (found.severity, found.nodes) == ("error", (NAMES[1],))
    (found,) = checks.evaluate(CLUSTER, answers, NAMES[:1])
    assert (found.severity, found.nodes) == ("info", (NAMES[1],))


FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(finding.SEVERITIES),
        st.tuples(st.sampled_from(["a", "b", "c"])),
        st.sampled_from(["p", "q"]),
        st.just("r"),
    )
)


@given(FINDINGS)
def test_grouping_loses_nothing_and_tells_the_worst_first(findings):
    merged = finding.grouped(findings)
    apart = {(one.severity, name, one.problem) for one in merged for name in one.nodes}
    assert apart == {(one.severity, one.nodes[0], one.problem) for one in findings}
    ranks = [finding.SEVERITIES.index(one.severity) for one in merged]
    assert ranks == sorted(ranks)
    assert finding.grouped(merged) == merged


@pytest.mark.parametrize(
    ("fail_on", "severity", "ok"),
    [
        ("error", "error", False),
        ("error", "warning", True),
        ("warning", "warning", False),
        ("warning", "info", True),
        ("never", "error", True),
    ],
)
def test_from_which_severity_on_the_play_fails(fail_on, severity, ok):
    assert table.is_ok([Finding(severity, ("a",), "p", "r")], fail_on) is ok


def test_the_table_is_short_however_much_is_found():
    found = [Finding("error", ("a",), f"problem {number}", "r") for number in range(500)]
    lines = table.table(found, [], False)
    assert len(lines) < 140
    assert "and 460 more" in lines


@given(FINDINGS)
def test_the_message_names_the_worst_and_is_short(findings):
    text = table.message(findings, False)
    assert len(text) <= 800
    assert not findings or table.sentence(findings[0]) in text


def test_what_prepare_would_say_is_found():
    error, warning = checks.predicted("a", "firewall", "no", ["beware"])
    assert (error.severity, warning.severity) == ("error", "warning")
    assert "no" in error.problem
    assert "beware" in warning.problem
