# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection owns what its state file lists, and brings that to the wanted state.

The module runs on the node itself, without Ansible around it.
"""

from __future__ import annotations

import pytest
from module_run import ABSENT, NODES, SEGREGATED, shared

NODE = "agent1"
CONF = "/etc/firewalld/firewalld.conf"
STATE = "/var/lib/k3s-network/firewalld.json"
CLIENT_RULE = 'rule family="ipv4" source ipset="k3s-clients" port port="443" protocol="tcp" accept'


def applied(node, wanted):
    """Apply a wanted state, twice, and return the first result."""
    first = node.apply(wanted)
    assert not node.apply(wanted)["changed"]
    return first


def refused(node, wanted, *words):
    """Assert that a wanted state is refused, and that the node stays as it is."""
    before = node.snapshot()
    result = node.bring_to(wanted)
    for word in ("No changes were made", *words):
        assert word in result.get("failed", ""), result
    assert node.snapshot() == before


def version(node):
    major, minor = node.run("firewall-cmd --version").split(".")[:2]
    return int(major), int(minor)


def restricted_clients():
    wanted = shared()
    clients = {"name": "k3s-clients", "type": "hash:net", "family": "inet"}
    return {
        **wanted,
        "ipsets": [*wanted["ipsets"], {**clients, "entries": ["198.51.100.0/24"]}],
        "policies": [wanted["policies"][0], {**wanted["policies"][1], "rules": [CLIENT_RULE]}],
    }


# Ownership


def test_zone_of_the_user_with_our_name_is_kept(node):
    node.run(
        "firewall-cmd -q --permanent --new-zone=k3s-cluster && "
        "firewall-cmd -q --permanent --zone=k3s-cluster --add-port=8443/tcp && "
        "firewall-cmd -q --reload"
    )
    try:
        refused(node, SEGREGATED, "zone k3s-cluster", "--permanent --delete-zone=k3s-cluster")
        # It does not conflict with the shared mode, and a removal leaves it.
        before = node.snapshot()
        applied(node, shared())
        removed = node.bring_to(ABSENT)
        assert "zone k3s-cluster" in " ".join(removed["warned"])
        assert node.snapshot() == before
    finally:
        node.run("firewall-cmd -q --permanent --delete-zone=k3s-cluster; firewall-cmd -q --reload")
        node.run("rm -f /etc/firewalld/zones/k3s-cluster.xml*")


def test_removal_of_an_unprepared_node_keeps_an_ipset_with_our_name(node):
    node.run("firewall-cmd -q --permanent --new-ipset=k3s-nodes --type=hash:ip")
    try:
        before = node.snapshot()
        removed = node.bring_to(ABSENT)
        assert not removed["changed"]
        assert "ipset k3s-nodes" in " ".join(removed["warned"])
        assert node.snapshot() == before
        refused(node, shared(), "ipset k3s-nodes", "--permanent --delete-ipset=k3s-nodes")
    finally:
        node.run("firewall-cmd -q --permanent --delete-ipset=k3s-nodes")
        node.run("rm -f /etc/firewalld/ipsets/k3s-nodes.xml*")


@pytest.mark.parametrize("wanted", [shared(), SEGREGATED], ids=["shared", "segregated"])
def test_lost_state_file_adopts_objects_that_are_equal(node, wanted):
    before = node.snapshot()
    applied(node, wanted)
    node.run(f"rm {STATE}")
    adopted = node.bring_to(wanted)
    assert adopted.get("changed") is False, adopted
    node.run(f"test -s {STATE}")
    assert node.bring_to(ABSENT)["changed"]
    assert without_profiles(node.snapshot()) == without_profiles(before)


def without_profiles(lines):
    # The zone that a NIC had before is lost with the state file: it returns to the default zone.
    return [line for line in lines if "system-connections" not in line]


def test_lost_state_file_and_another_wanted_state_is_refused(node):
    applied(node, shared())
    state = node.run(f"cat {STATE}")
    node.run(f"rm {STATE}")
    refused(node, shared([*NODES, "192.0.2.13"]), "ipset k3s-nodes", STATE)
    node.run(f"mkdir -p -m 700 $(dirname {STATE}); umask 077; cat > {STATE}", state)


def test_removal_is_refused_while_a_policy_of_the_user_names_our_zone(node):
    """firewalld would not start with such a policy."""
    applied(node, shared())
    node.run(
        "firewall-cmd -q --permanent --new-policy=mine && "
        "firewall-cmd -q --permanent --policy=mine --add-ingress-zone=k3s-pods && "
        "firewall-cmd -q --permanent --policy=mine --add-egress-zone=HOST && "
        "firewall-cmd -q --reload"
    )
    try:
        refused(node, ABSENT, "mine", "k3s-pods", "firewall-cmd --permanent")
    finally:
        node.run(
            "firewall-cmd -q --permanent --delete-policy=mine; "
            "rm -f /etc/firewalld/policies/mine.xml*; firewall-cmd -q --reload"
        )


# Settings that somebody changed


def test_settings_that_are_not_wanted_are_reset(node):
    changes = [
        "--policy=k3s-from-nodes --add-service=ftp",
        "--policy=k3s-from-nodes --set-target=DROP",
        "--policy=k3s-from-nodes --set-priority=55",
        "--zone=k3s-pods --add-masquerade",
        "--zone=k3s-cluster --add-source=203.0.113.0/24",
        "--zone=k3s-cluster --set-target=ACCEPT",
    ]
    if version(node) >= (2, 0):
        changes += ["--zone=k3s-cluster --set-priority=10", "--zone=k3s-pods --set-priority=-10"]
    if version(node) >= (2, 4):
        changes += ["--policy=k3s-from-nodes --add-disable"]
    applied(node, SEGREGATED)
    prepared = node.snapshot()
    for change in changes:
        node.run(f"firewall-cmd -q --permanent {change}")
    node.run("firewall-cmd -q --reload")
    assert applied(node, SEGREGATED)["changed"]
    assert node.snapshot() == prepared


def test_a_priority_of_the_default_zone_comes_and_goes(node):
    if version(node) < (2, 0):
        pytest.skip("zones have no priority before firewalld 2.0")
    for priority in (10, 0):
        node.run(
            f"firewall-cmd -q --permanent --zone=public --set-priority={priority}; "
            "firewall-cmd -q --reload"
        )
        applied(node, SEGREGATED)
        applied(node, shared())
    applied(node, ABSENT)
    node.run("rm -f /etc/firewalld/zones/public.xml*; firewall-cmd -q --reload")


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_runtime_that_a_reload_does_not_flush(node, backend):
    original = node.run(f"cat {CONF}")
    node.run(
        f"sed -i -e 's/^FlushAllOnReload=.*/FlushAllOnReload=no/' "
        f"-e 's/^FirewallBackend=.*/FirewallBackend={backend}/' {CONF} && "
        "systemctl restart firewalld"
    )
    try:
        before = node.snapshot()
        for wanted in (shared(), restricted_clients(), shared(), SEGREGATED, shared()):
            applied(node, wanted)
        applied(node, ABSENT)
        # What may stay is an ipset that no rule names, until firewalld starts again.
        node.run("systemctl restart firewalld")
        assert node.snapshot() == before
    finally:
        node.run(f"cat > {CONF}", original)
        # The iptables backend leaves its empty tables behind.
        node.run("systemctl stop firewalld; nft flush ruleset; systemctl start firewalld")
