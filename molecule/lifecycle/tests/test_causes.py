# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a TCP connection or a small packet does not show is found, and its cause is named."""

from __future__ import annotations

import contextlib

import overlay

NODES = ("server1", "server2", "agent1")
OTHERS = {"server1", "server2"}
VXLAN = ("8472", "udp")
THERE = {(source, "agent1", *VXLAN) for source in OTHERS}
BACK = {("agent1", destination, *VXLAN) for destination in OTHERS}
# Not the MTU of a NIC, which would hold up Ansible's own connection.
NARROW = """
table ip mutation {
  chain narrow {
    type filter hook prerouting priority -300;
    ip length > 1400 ip protocol { icmp, udp } drop;
  }
}
"""
NAT = """
table ip mutation {
  chain elsewhere { type nat hook prerouting priority -150; tcp dport 9093 redirect to :9501; }
}
"""


@contextlib.contextmanager
def mutated(node, table):
    """Give a node a table of nftables for the while."""
    node.run(f"echo '{table}' | nft -f -")
    try:
        yield
    finally:
        node.run("nft delete table ip mutation")


def failures(found):
    """Return source, destination, port and protocol of each check that failed, with the check."""
    return {
        (check["source"], check["destination"], check["port"], check["protocol"]): check
        for check in found["checks"]
        if not check["ok"]
    }


def test_narrow_link_and_port_that_leads_to_another_are_found(machine, report):
    with mutated(machine("agent1"), NARROW), mutated(machine("server2"), NAT):
        run, found = report()
    assert run.returncode != 0
    failed = failures(found)
    redirected = {(source, "server2", "9093", "tcp") for source in ("server1", "agent1")}
    assert set(failed) == THERE | BACK | redirected
    for one in THERE | BACK:
        check = failed[one]
        assert check["observed"] == "timeout"
        assert "none of more than 1400 bytes does: the interface eth0 says 1500" in check["detail"]
    for one in redirected:
        assert failed[one]["observed"] == "wrong_host"
        assert "server2's port 9501 answered instead" in failed[one]["detail"]


def test_vxlan_is_probed_through_the_overlay(machine, report):
    with overlay.pods([machine(name) for name in NODES]):
        run, found = report()
        assert run.returncode == 0, run.output
        checks = [check for check in found["checks"] if check["rule"] == "flannel-vxlan"]
        assert len(checks) == len(NODES) * (len(NODES) - 1)
        for check in checks:
            assert "through the overlay: 10.42." in check["detail"]

        with overlay.without_rules(machine("agent1"), "k3s-from-nodes", '"8472"'):
            run, found = report()
        assert run.returncode != 0
        failed = failures(found)
        assert set(failed) == THERE | BACK
        for one in THERE:
            assert failed[one]["observed"] == "rejected"
            assert "agent1's firewall rejects it" in failed[one]["detail"]
        for one in BACK:
            assert failed[one]["observed"] == "timeout"
            assert "agent1's own firewall rejects what comes back" in failed[one]["detail"]
