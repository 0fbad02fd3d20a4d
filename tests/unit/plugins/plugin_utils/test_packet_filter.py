# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import shlex

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.rules import (
    Hit,
    Rule,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._packet_filter import (
    read_chains,
    read_texts,
    remedy,
    title,
    with_hit,
)
from hypothesis import given
from hypothesis import strategies as st

NFT = {
    "tool": "nft",
    "family": "inet",
    "table": "mine",
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
    "rules": {
        "input": [
            {
                "verdict": "accept",
                "text": "tcp dport 22 accept",
                "handle": 4,
                "protocols": ["tcp"],
                "ports": [[22, 22]],
                "negated": [],
                "partial": True,
            },
            {"verdict": "jump", "target": "other", "text": "jump other", "handle": 5},
        ],
        "other": [],
    },
}
IPTABLES = {
    **NFT,
    "tool": "iptables-legacy",
    "family": "ip",
    "table": "filter",
    "chain": "INPUT",
    "rule": "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
    "rule_chain": "INPUT",
    "policy": "accept",
}


def test_facts_of_a_node_are_returned_as_they_are():
    assert read_chains([NFT]) == [NFT]


@pytest.mark.parametrize("given", [None, "", 1, {}, {"a": NFT}, [None, 1, "x", []]])
def test_fact_of_another_type_is_left_out(given):
    assert read_chains(given) == []
    assert all(isinstance(one, str) for one in read_texts(given))


@pytest.mark.parametrize(
    "change",
    [
        {"tool": "nft; rm -rf /"},
        {"tool": None},
        {"family": "x"},
        {"hook": "nowhere"},
        {"drops": "none"},
        {"policy": "queue"},
        {"devices": "eth0"},
        {"devices": [1]},
        {"priority": "0"},
        {"handle": None},
        {"rule": 1},
        {"owner": ["x"]},
    ],
)
def test_chain_with_a_wrong_value_is_left_out(change):
    assert read_chains([{**NFT, **change}]) == []


@pytest.mark.parametrize(
    "rules",
    [
        None,
        [],
        {1: []},
        {"input": None},
        {"input": [{"verdict": "accept"}] * 1000},
        {f"c{n}": [] for n in range(1000)},
    ],
)
def test_rules_that_cannot_be_read_may_drop(rules):
    (chain,) = read_chains([{**NFT, "rules": rules}])
    assert [one["verdict"] for one in chain["rules"]["input"]] == ["unknown"]


@pytest.mark.parametrize(
    "rule",
    [
        None,
        {},
        {"verdict": "explode"},
        {"verdict": ["drop"]},
        {"verdict": "drop", "text": 1},
        {"verdict": "drop", "sources": "192.0.2.0/24"},
        {"verdict": "drop", "sources": ["192.0.2.0/24"] * 1000},
        {"verdict": "drop", "ports": [22]},
        {"verdict": "drop", "ports": [[22]]},
        {"verdict": "drop", "ports": [["22", "22"]]},
        {"verdict": "drop", "ports": [[0, 65536]]},
        {"verdict": "jump", "target": {}},
    ],
)
def test_rule_that_cannot_be_read_may_drop(rule):
    (chain,) = read_chains([{**NFT, "rules": {"input": [rule]}}])
    assert [one["verdict"] for one in chain["rules"]["input"]] == ["unknown"]


def test_texts_are_short_and_printable():
    text = "\x1b[31m" + "x" * 500
    (chain,) = read_chains([{**NFT, "table": text}])
    assert chain["table"] == "?[31m" + "x" * 195
    assert read_texts([text, 1]) == ["?[31m" + "x" * 195]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NFT, "verdict", "input", "sources", "ports", "text"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(NFT)), JSON, st.booleans())
def test_no_value_of_a_node_raises(key, value, in_a_rule):
    chain = copy.deepcopy(NFT)
    if in_a_rule:
        chain["rules"]["input"][0] = value
    else:
        chain[key] = value
    for one in read_chains([chain]):
        assert title(one).isprintable()
        assert remedy(one).isprintable()


def test_title_names_table_and_chain():
    assert title(NFT) == "chain input of table inet mine (nft, hook input)"
    early = {**NFT, "family": "netdev", "hook": "ingress", "devices": ["eth0", "eth1"]}
    assert title(early) == "chain input of table netdev mine (nft, hook ingress at eth0, eth1)"


def test_hit_replaces_the_rule_and_its_owner():
    rule = Rule(verdict="drop", text="tcp dport 6443 drop", handle=7, owner="fail2ban")
    chain = with_hit(NFT, Hit("other", rule, True))
    assert (chain["rule"], chain["rule_chain"], chain["handle"], chain["owner"]) == (
        "tcp dport 6443 drop",
        "other",
        7,
        "fail2ban",
    )
    assert with_hit(chain, Hit("input", None, True)) == NFT


@pytest.mark.parametrize(
    ("chain", "command"),
    [
        (NFT, "nft 'chain inet mine input { policy accept; }'"),
        (
            {**NFT, "rule": "drop", "handle": 7, "rule_chain": "last"},
            "nft delete rule inet mine last handle 7",
        ),
        ({**NFT, "rule": "40 rules like drop"}, "nft -a list chain inet mine input, and"),
        (
            IPTABLES,
            "iptables-legacy -t filter -D INPUT -j REJECT --reject-with icmp-host-prohibited;",
        ),
        (
            {**IPTABLES, "rule": "policy drop", "policy": "drop"},
            "iptables-legacy -t filter -P INPUT ACCEPT",
        ),
        (
            {**IPTABLES, "rule": "-A INPUT " + "x" * 191},
            "iptables-legacy -t filter -L INPUT -n --line-numbers, and",
        ),
        ({**IPTABLES, "rule": "40 rules like -A INPUT -j DROP"}, "--line-numbers"),
        ({**IPTABLES, "rule": '-A INPUT -m comment --comment "a'}, "--line-numbers"),
        ({**NFT, "owner": "ufw"}, "ufw disable"),
        ({**NFT, "owner": "fail2ban"}, "fail2ban-client unban --all"),
        ({**NFT, "owner": "firewalld"}, "firewall-cmd --direct --get-all-rules"),
        ({**NFT, "owner": "libvirt"}, "it is of libvirt; accept"),
    ],
)
def test_remedy_has_a_command(chain, command):
    assert command in remedy(chain)


def test_remedy_for_dockers_policy_says_that_flannel_accepts():
    docker = {**IPTABLES, "chain": "FORWARD", "rule_chain": "FORWARD", "hook": "forward"}
    text = remedy({**docker, "rule": "policy drop", "policy": "drop", "owner": "docker"})
    assert text.startswith("nothing, if pods reach each other")
    assert text.endswith("iptables-legacy -t filter -P FORWARD ACCEPT")


@pytest.mark.parametrize(
    "rule", ["-A INPUT -j DROP; reboot", "-A INPUT -m comment --comment $(reboot) -j DROP"]
)
def test_text_of_a_node_is_quoted_in_a_command(rule):
    command = remedy({**IPTABLES, "rule": rule}).partition("remove it: ")[2].partition("; then")[0]
    assert shlex.split(command)[3:] == ["-D", *shlex.split(rule)[1:]]
    assert "DROP; reboot" not in command
    assert "$(reboot)" not in command.replace("'$(reboot)'", "")


@pytest.mark.parametrize("name", ["a; reboot", "$(reboot)", "-x", ""])
def test_name_that_needs_quotes_is_in_no_command(name):
    for chain in (NFT, IPTABLES):
        assert "reboot" not in remedy({**chain, "table": name})
        assert "reboot" not in remedy({**chain, "rule_chain": name})
