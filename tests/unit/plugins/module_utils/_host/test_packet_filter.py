# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of each scenario that was recorded; see recordings/record_packet_filters.py."""

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import packet_filter
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_filters import (
    LISTING,
    UFW_VERSION,
    VERSIONS,
    Recorded,
)


@pytest.fixture
def read(monkeypatch):
    """Return the function that reads a recorded machine."""

    def reads(version, scenario, change=lambda machine: None):
        machine = Recorded(version, scenario)
        change(machine)
        monkeypatch.setattr(packet_filter, "find_program", machine.find_program)
        return packet_filter.read(machine.run, machine.read_file)

    return reads


def told(found):
    """Return what a finding names of each chain."""
    return sorted(
        (one["tool"], one["family"], one["table"], one["chain"], one["drops"], one["rule"])
        for one in found["chains"]
    )


REJECT = "-j REJECT --reject-with icmp-host-prohibited"
EXPECTED = {
    "empty": [],
    "k3s": [],
    "k3s-nft": [],
    "nft-drop": [
        ("nft", "inet", "guard", "forward", "all", "policy drop"),
        ("nft", "inet", "guard", "input", "all", "policy drop"),
    ],
    "nft-admits": [
        ("nft", "inet", "guard", "forward", "all", "policy drop"),
        ("nft", "inet", "guard", "input", "all", "policy drop"),
    ],
    "nft-forms": [
        ("nft", "bridge", "pods", "forward", "all", "ether type ip6 drop"),
        ("nft", "inet", "forms", "input", "some", "ip saddr @blocked drop"),
        ("nft", "inet", "forms", "prerouting", "all", "meta nfproto ipv6 drop"),
        ("nft", "ip", "filter2", "input", "some", "tcp dport 10250 reject"),
        ("nft", "netdev", "early", "ingress", "some", "ip saddr 203.0.113.0/24 drop"),
    ],
    "nft-in-filter": [("nft", "ip", "filter", "INPUT", "all", "policy drop")],
    "iptables-reject": [
        ("iptables-nft", "ip", "filter", "FORWARD", "all", f"-A FORWARD {REJECT}"),
        ("iptables-nft", "ip", "filter", "INPUT", "all", f"-A INPUT {REJECT}"),
    ],
    "iptables-legacy": [
        ("ip6tables-legacy", "ip6", "filter", "FORWARD", "all", "policy drop"),
        ("ip6tables-legacy", "ip6", "filter", "INPUT", "all", "policy drop"),
        ("iptables-legacy", "ip", "filter", "FORWARD", "all", f"-A FORWARD {REJECT}"),
        ("iptables-legacy", "ip", "filter", "INPUT", "all", f"-A INPUT {REJECT}"),
    ],
    "docker": [("iptables-nft", "ip", "filter", "FORWARD", "all", "policy drop")],
    "docker-28": [
        ("iptables-nft", "ip", "filter", "FORWARD", "all", "policy drop"),
        (
            *("iptables-nft", "ip", "raw", "PREROUTING", "some"),
            "-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP",
        ),
    ],
    "fail2ban": [
        (
            *("iptables-nft", "ip", "filter", "INPUT", "some"),
            "-A f2b-recidive -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable",
        )
    ],
    # A direct rule, which looks as if somebody else had made it with the backend nftables.
    "firewalld-nftables": [
        (
            *("iptables-nft", "ip", "filter", "INPUT", "some"),
            "-A INPUT -p tcp -m tcp --dport 6443 -j DROP",
        )
    ],
    "firewalld-iptables": [
        (
            *("iptables-nft", "ip", "filter", "INPUT", "some"),
            "-A INPUT_direct -p tcp -m tcp --dport 6443 -j DROP",
        )
    ],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scenario", EXPECTED)
def test_chains_that_can_drop_are_found(read, version, scenario):
    found = read(version, scenario)
    assert told(found) == EXPECTED[scenario]
    assert found["unknown"] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("scenario", "owner"),
    [
        ("docker", "docker"),
        ("fail2ban", "fail2ban"),
        ("fail2ban-nft", "fail2ban"),
        ("firewalld-iptables", "firewalld"),
        ("iptables-reject", ""),
        ("nft-drop", ""),
    ],
)
def test_owner_of_a_chain_is_recognized(read, version, scenario, owner):
    assert {one["owner"] for one in read(version, scenario)["chains"]} == {owner}


def test_ufw_is_recognized(read):
    chains = read(UFW_VERSION, "ufw")["chains"]
    # It drops some packets with a routing header of IPv6 as they leave.
    (leaves,) = (one for one in chains if one["chain"] == "OUTPUT")
    assert (leaves["family"], leaves["owner"], leaves["drops"]) == ("ip6", "ufw", "some")
    chains.remove(leaves)
    assert {(one["family"], one["chain"]) for one in chains} == {
        (family, chain) for family in ("ip", "ip6") for chain in ("INPUT", "FORWARD")
    }
    assert {(one["owner"], one["drops"], one["rule"]) for one in chains} == {
        ("ufw", "all", "policy drop")
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_interface_of_an_ingress_chain_is_read(read, version):
    (chain,) = (one for one in read(version, "nft-forms")["chains"] if one["family"] == "netdev")
    assert (chain["devices"], chain["priority"]) == (["eth0"], -500)


@pytest.mark.parametrize("version", VERSIONS)
def test_text_of_a_rule_is_that_of_nft_without_counters(read, version):
    (chain,) = (
        one
        for one in read(version, "nft-forms")["chains"]
        if (one["table"], one["chain"]) == ("forms", "input")
    )
    assert [one["text"] for one in chain["rules"]["input"]] == [
        "ip saddr @blocked drop",
        'ip saddr @timed drop comment "timed"',
        'iifname "eth*" jump by_nic',
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_facts_are_small_and_can_be_sent(read, version):
    for scenario in EXPECTED:
        chains = read(version, scenario)["chains"]
        assert len(json.dumps(chains)) < 20_000
        assert json.loads(json.dumps(chains)) == chains


def without(*names):
    def change(machine):
        machine.missing.update(names)

    return change


def answering(command, *answer):
    def change(machine):
        machine.answers[command] = list(answer)

    return change


def test_missing_nft_is_named_and_iptables_is_read(read):
    found = read("1.0.6", "iptables-reject", without("nft"))
    assert told(found) == EXPECTED["iptables-reject"]
    assert found["unknown"] == ["nft is not installed"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((1, "", "Operation not permitted\n(try as root)"), "failed: Operation not permitted (try"),
        ((0, "not JSON", ""), "is not a ruleset"),
        ((0, "x" * 20_000_001, ""), "more than 20000000"),
    ],
)
def test_ruleset_that_cannot_be_read_is_named(read, answer, words):
    found = read("1.0.6", "nft-drop", answering(LISTING, *answer))
    assert found["chains"] == []
    (unknown,) = found["unknown"]
    assert words in unknown
    assert len(unknown) <= 200


def test_nft_names_what_iptables_save_does_not(read):
    machine = without("iptables-nft-save", "iptables-save")
    found = read("1.0.6", "iptables-reject", lambda one: (machine(one), listed(one)))
    assert {(one["tool"], one["chain"], one["drops"]) for one in found["chains"]} == {
        ("nft", "INPUT", "all"),
        ("nft", "FORWARD", "all"),
    }


def listed(machine):
    machine.answers["nft -a list ruleset"] = [0, "", ""]


def test_plain_iptables_is_used_if_it_is_the_variant_for_nft(read):
    def change(machine):
        machine.missing.add("iptables-nft-save")
        machine.answers["iptables-save"] = machine.answers["iptables-nft-save"]
        machine.answers["iptables-save -V"] = [0, "iptables-save v1.8.9 (nf_tables)\n", ""]

    assert {one[0] for one in told(read("1.0.6", "iptables-reject", change))} == {"iptables"}


def test_legacy_tables_that_cannot_be_read_are_named(read):
    def change(machine):
        machine.missing.update({"iptables-legacy-save", "ip6tables-legacy-save"})
        for name in ("iptables", "ip6tables"):
            machine.answers[f"{name}-save -V"] = [0, "v1.8.9 (nf_tables)\n", ""]

    found = read("1.0.6", "iptables-legacy", change)
    assert found["chains"] == []
    assert [one.split()[5] for one in found["unknown"]] == [
        "iptables-legacy,",
        "ip6tables-legacy,",
    ]


def test_plain_iptables_is_used_if_it_is_the_legacy_variant(read):
    def change(machine):
        machine.missing.update({"iptables-legacy-save", "ip6tables-legacy-save"})
        for name in ("iptables", "ip6tables"):
            machine.answers[f"{name}-save -V"] = [0, "v1.4.21\n", ""]
            machine.answers[f"{name}-save"] = machine.answers[f"{name}-legacy-save"]

    found = read("1.0.6", "iptables-legacy", change)
    assert {one[0] for one in told(found)} == {"iptables", "ip6tables"}


def test_chains_beyond_the_limit_are_left_out(read):
    def change(machine):
        entries = json.loads(machine.answers[LISTING][1])["nftables"]
        copies = []
        for number in range(60):
            for entry in entries[1:]:
                ((kind, what),) = entry.items()
                key = "name" if kind == "table" else "table"
                copies.append({kind: {**what, key: f"guard{number}"}})
        text = json.dumps({"nftables": copies})
        machine.answers[LISTING] = [0, text, ""]

    found = read("1.0.6", "nft-drop", change)
    assert len(found["chains"]) == 50
    assert found["unknown"] == ["70 more chains can drop packets"]
