# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of this collection that was cut to nothing: firewalld fails, and the next run repairs it.

A power loss does so to files that were not synced; see test_durable.py.
"""

from __future__ import annotations

import pytest
from module_run import ABSENT, SEGREGATED, Node, shared

NODE = "server1"
RECORD_NAME = "firewalld.json"
# A kind of file, the state in which there is one, and where it is.
FILES = {
    "policy": (shared(), "/etc/firewalld/policies/k3s-from-nodes.xml"),
    "ipset": (shared(), "/etc/firewalld/ipsets/k3s-nodes.xml"),
    "overlay-zone": (shared(), "/etc/firewalld/zones/k3s-pods.xml"),
    "interface-zone": (SEGREGATED, "/etc/firewalld/zones/k3s-cluster.xml"),
}


@pytest.fixture
def node():
    found = Node(NODE)
    assert "failed" not in found.bring_to(ABSENT)
    yield found
    # Without the collection, which may not have repaired it.
    found.run(
        "rm -rf /etc/firewalld/*/k3s-* /var/lib/k3s-network;"
        " systemctl reset-failed firewalld; systemctl restart firewalld;"
        " for nic in eth0 eth1; do nmcli connection modify lab-$nic connection.zone '' &&"
        " nmcli connection up lab-$nic; done"
    )


def cut(node, path, firewalld):
    """Cut a file to nothing while firewalld is stopped; start it again or leave it stopped."""
    node.run(f"systemctl stop firewalld && truncate -s 0 {path}")
    if firewalld == "failed":
        node.run("systemctl reset-failed firewalld; systemctl start firewalld")
        # firewalld 0.9 leaves out a policy or zone whose file it cannot read.
        old = node.run("firewall-cmd --version").startswith("0.")
        state = "running" if old and "/ipsets/" not in path else "failed"
        assert node.run("firewall-cmd --state 2>&1; true").strip() == state


def converges(node, wanted, snapshot):
    told = node.bring_to(wanted)
    assert "failed" not in told, told
    # A stopped one stays stopped.
    node.run("systemctl reset-failed firewalld; systemctl start firewalld")
    assert node.run("firewall-cmd --state 2>&1; true").strip() == "running"
    now = node.snapshot()
    # The unreadable record stays beside the new one.
    assert [line for line in now if line != f"{RECORD_NAME}.unreadable"] == snapshot
    assert node.bring_to(wanted)["changed"] is False


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.parametrize("firewalld", ["failed", "stopped"])
def test_empty_file_after_prepare_is_repaired(node, kind, firewalld):
    wanted, path = FILES[kind]
    assert "failed" not in node.bring_to(wanted)
    whole = node.snapshot()
    cut(node, path, firewalld)
    converges(node, wanted, whole)


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.also_on()
def test_empty_file_before_remove_is_removed(node, kind):
    wanted, path = FILES[kind]
    bare = node.snapshot()
    assert "failed" not in node.bring_to(wanted)
    cut(node, path, "failed")
    assert "failed" not in node.bring_to(ABSENT)
    # The kernel may still have an ipset that no rule names from the start that failed.
    node.run("systemctl reset-failed firewalld; systemctl restart firewalld")
    converges(node, ABSENT, bare)


def test_empty_state_file_after_prepare_is_repaired(node):
    assert "failed" not in node.bring_to(shared())
    whole = node.snapshot()
    node.run(f"truncate -s 0 /var/lib/k3s-network/{RECORD_NAME}")
    converges(node, shared(), whole)
