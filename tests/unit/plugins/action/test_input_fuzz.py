# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inputs with one or more values at random, compared with rules that are written independently.

K3S_NETWORK_FUZZ is the number of inputs, K3S_NETWORK_FUZZ_SEED where they begin.
"""

from __future__ import annotations

import json
import math
import os
import random
import socket

import pytest
from ansible_collections.edgeops.k3s_network.plugins.action import cluster_inventory
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.action import (
    test_cluster_topology as actions,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support import input_rules
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import entry

COUNT = int(os.environ.get("K3S_NETWORK_FUZZ", "300"))
SEED = int(os.environ.get("K3S_NETWORK_FUZZ_SEED", "1"))
GROUPS = {"server": ["s1"], "agent": ["a1"], "all": ["s1", "a1"]}
# Only a host's own; the others hold for the cluster.
OWN = ("node_ip", "external_address")
NONSENSE = [
    None, "", "  ", "\n", True, False, 0, -1, 7, 10**30, math.nan, 1.5, [], {}, [[]], [None],
    {"a": {"b": []}}, "x" * 5000, "\x1b[31m", "\ud800", "\u202e", "{{ nowhere }}", "{% if %}",
    "__omit_place_holder__0f", "omit", "null", "~", "- ", "[", "{", "!!python/name:os.system",
    "'; reboot", "[" * 2000, [True], ["\x00"], "é", "!vault |",
]  # fmt: skip
NETWORKS = [
    "10.42.0.0/16", "10.52.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "10.42.0.0", "10.42.0.0/32",
    "10.42.0.0/31", "10.42.0.0/30", "10.42.0.1/16", "10.42.0.0/33", "10.42.0.0/016", "10.42.0/16",
    "10.42.0.0/255.255.0.0", "10.42.0.0/0.0.255.255", "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1",
    "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "169.254.0.0/16", "0.1.0.0/16", "192.0.2.0/24",
    "192.0.0.0/16", "198.51.100.0/25", "203.0.113.0/24", "fd42::/56", "fd00::/8", "::/0",
    "::ffff:10.0.0.0/104", "fe80::/64", "fd42::%eth0/64", "10_42.0.0/16", "\u0661.2.3.0/24",
    " 10.52.0.0/16 ", "10.52.0.0 /16", "10.052.0.0/16", "+10.0.0.0/8", "10.52.0.0/+16",
]  # fmt: skip
ADDRESSES = [
    "192.0.2.11", "198.51.100.11", "192.0.2.21", "192.0.2.11/24", "255.255.255.255", "240.0.0.1",
    "::ffff:192.0.2.11", "fd00::1%eth0", "fe80::1", "0.0.0.0", "127.0.0.1", "3221225995",
    3221225995, "192.0.2.011", " 192.0.2.11 ", "server1", "2001:db8::1",
]  # fmt: skip
PORTS = [
    80, "80", " 80 ", "1-65535", "2379 - 2380", 0, 65536, "6_443", "+80", "-80", "80-", "80-79",
    "\u0666\u0664\u0664\u0663", "0443", "80,81", "80-81-82", 80.0, "80.0", "http", "1e3", "0x50",
]  # fmt: skip
ENDS = [
    ["server"], ["agent", "server"], "server", "pod", ["pod"], ["external"], [], ["servers"],
    ["server", None], {"server": 1}, "server,agent", [["server"]], 7,
]  # fmt: skip
BOOLEANS = ["yes", "no", "on", "OFF", "True", " false ", 1, 0, 2, "1", "perhaps", "tru", "y", 1.0]
NAMES = ["api", "etcd", 7, "\x1b[2J", "x" * 101, " ", "ü", ["api"]]
INTERFACES = ["eth0", "eth1", "eth2", " eth0 ", "eth0;reboot", "lo", "eth0/1"]
OVERLAYS = [
    ["cni0"], ["cni0", "flannel.1"], "cni0, flannel.1", "cni0\nflannel.1", ["lo"], ["."],
    ["sixteen-letters-"], ["a/b"], ["a:b"], ["cni*"], ["eth0"], ["eth1"], [7], '["cni0"]',
    "- cni0", "- a: b", '{"cni0": 1}', ["\x1b"], ["é"],
]  # fmt: skip


def rule_of(chance):
    """Return a rule, of which some values are wrong."""
    rule = entry(name=chance.choice(["one", "two", "three", "api"]), port=chance.choice([1, "2-3"]))
    for key, values in (("port", PORTS), ("source", ENDS), ("destination", ENDS), ("name", NAMES)):
        if chance.random() < 0.1:
            rule[key] = chance.choice([*values, *NONSENSE])
    if chance.random() < 0.1:
        rule["protocol"] = chance.choice(["TCP", "udp", "icmp", 6, *NONSENSE])
    if chance.random() < 0.05:
        del rule[chance.choice(list(rule))]
    return rule


def table_of(chance):
    """Return a table of rules, perhaps as the text of a survey."""
    table = [rule_of(chance) for _number in range(chance.randint(0, 3))]
    kind = chance.random()
    if kind < 0.2:
        try:
            return json.dumps(table)
        except ValueError:
            return table
    return table if kind < 0.95 else chance.choice([*NONSENSE, {"rules": table}, [*table, "x"]])


def sources_of(chance):
    found = [chance.choice(NETWORKS) for _number in range(chance.randint(0, 3))]
    return chance.choice([found, ", ".join(found), "\n".join(found), json.dumps(found)])


POOLS = {
    "mode": ["shared", "segregated", "Shared", "both"],
    "cluster_interface": INTERFACES,
    "external_interface": INTERFACES,
    "node_ip": ADDRESSES,
    "external_address": ADDRESSES,
    "pod_cidr": NETWORKS,
    "service_cidr": NETWORKS,
    "overlay_interfaces": OVERLAYS,
    "http_redirect": BOOLEANS,
    "restrict_sources": BOOLEANS,
}
MADE = {"ports": table_of, "extra_ports": table_of, "external_sources": sources_of}


def input_of(chance):
    """Return what a user gives."""
    options = chance.sample([*POOLS, *MADE], chance.choice([1, 1, 2, 3]))
    given = {}
    for option in options:
        if option in MADE:
            given[option] = MADE[option](chance)
        else:
            given[option] = chance.choice(POOLS[option])
        if chance.random() < 0.15:
            given[option] = chance.choice(NONSENSE)
    return given


def outcome(given):
    """Return the message of a failure, empty if the input is accepted."""
    facts = {
        name: actions.asked(*(f"{one}/24" for one in nics.values()), connection=nics["eth0"])
        for name, nics in input_rules.NICS.items()
    }
    hostvars = {name: {actions.FACTS: one} for name, one in facts.items()}
    for option, value in given.items():
        for name in ("s1",) if option in OWN else ("s1", "a1"):
            hostvars[name][f"k3s_topology_{option}"] = value
    options = {option: value for option, value in given.items() if option not in OWN}
    # The role leaves an option out if these are unset.
    for option in ("cluster_interface", "external_interface"):
        if not options.get(option):
            options.pop(option, None)
    injected = {"ansible_play_hosts_all": ["s1", "a1"]}
    result = actions.run(hostvars, GROUPS, injected=injected, **options)
    return str(result["msg"]) if result.get("failed") else ""


@pytest.fixture
def no_resolver(monkeypatch):
    """Resolve no name."""

    def refuse(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(cluster_inventory.socket, "getaddrinfo", refuse)


def test_each_input_is_accepted_or_refused_as_the_rules_say(no_resolver):
    accepted = refused = 0
    for number in range(COUNT):
        chance = random.Random(f"{SEED}.{number}")
        given = input_of(chance)
        broken = input_rules.problems(given)
        message = outcome(given)
        told = f"input {number}: {input_rules.shown(given)}: {broken}: {message[:500]}"
        assert bool(message) is bool(broken), told
        if message:
            refused += 1
            assert message.startswith("No changes were made. "), told
            assert "k3s_topology_" in message, told
            problems = message.split(": ", 1)[1].split(" | ")
            assert len(problems) == len(set(problems)), told
        else:
            accepted += 1
    # Neither of them is rare, so that both were tried.
    assert accepted > COUNT / 10 and refused > COUNT / 10


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({}, []),
        ({"pod_cidr": "10.42.0.0"}, ["prefix"]),
        ({"pod_cidr": "10.52.0.0/16", "service_cidr": "10.0.0.0/8"}, ["overlap"]),
        ({"ports": [entry(port="6_443")]}, ["not a port"]),
        ({"node_ip": "255.255.255.255"}, ["node_ip"]),
        ({"http_redirect": "perhaps"}, ["not a boolean"]),
        ({"external_sources": "0.0.0.0/1 128.0.0.0/1"}, ["everybody"]),
        ({"mode": "segregated"}, ["two interfaces"]),
        ({"mode": "segregated", "cluster_interface": "eth0", "external_interface": "eth1"}, []),
    ],
)
def test_rules_for_inputs_find_what_is_broken(given, broken):
    assert input_rules.problems(given) == broken
