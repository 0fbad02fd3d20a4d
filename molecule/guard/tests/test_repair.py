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


def state_of(node):
    """Return the state of firewalld; firewall-cmd 2.5 first prints that it waits for D-Bus."""
    return node.run("firewall-cmd --state 2>&1; true").splitlines()[-1].strip()


@pytest.fixture
def node():
    """Return a node; a test that succeeds leaves it as it is, for the next one."""
    found = Node(NODE)
    yield found
    if state_of(found) != "running":
        clean_up(found)


@pytest.fixture(scope="module", autouse=True)
def bare():
    """Return the snapshot of the node without the collection."""
    node = Node(NODE)
    node.apply(ABSENT)
    before = node.snapshot()
    yield before
    node.bring_to(ABSENT)
    if node.snapshot() != before:
        clean_up(node)


def clean_up(node):
    """Remove everything without the collection, which may not have repaired it."""
    node.run(
        "rm -rf /etc/firewalld/*/k3s-* /var/lib/k3s-network;"
        " systemctl reset-failed firewalld; systemctl restart firewalld;"
        " for nic in eth0 eth1; do nmcli connection modify lab-$nic connection.zone '' &&"
        " nmcli connection up lab-$nic; done"
    )


def cut(node, paths, firewalld):
    """Cut files to nothing while firewalld is stopped; start it again or leave it stopped."""
    node.run(f"systemctl stop firewalld && truncate -s 0 {' '.join(paths)}")
    if firewalld == "failed":
        node.run("systemctl reset-failed firewalld; systemctl start firewalld")
        # firewalld 0.9 leaves out a policy or zone whose file it cannot read.
        old = node.run("firewall-cmd --version").startswith("0.")
        state = "running" if old and not any("/ipsets/" in path for path in paths) else "failed"
        assert state_of(node) == state


def converges(node, wanted, snapshot):
    node.apply(wanted)
    if node.run("systemctl is-active firewalld; true").strip() != "active":
        # A stopped one stays stopped.
        node.run("systemctl reset-failed firewalld; systemctl start firewalld")
    assert state_of(node) == "running"
    now = node.snapshot()
    # The unreadable record stays beside the new one.
    assert [line for line in now if line != f"{RECORD_NAME}.unreadable"] == snapshot
    assert node.bring_to(wanted)["changed"] is False


@pytest.mark.parametrize("kind", list(FILES))
def test_empty_file_after_prepare_is_repaired(node, kind):
    wanted, path = FILES[kind]
    node.apply(wanted)
    whole = node.snapshot()
    cut(node, [path], "failed")
    converges(node, wanted, whole)


def test_empty_files_of_a_stopped_firewalld_are_repaired(node):
    node.apply(SEGREGATED)
    whole = node.snapshot()
    cut(node, [path for _wanted, path in FILES.values()], "stopped")
    converges(node, SEGREGATED, whole)


@pytest.mark.parametrize("kind", list(FILES))
def test_empty_file_before_remove_is_removed(node, bare, kind):
    wanted, path = FILES[kind]
    node.apply(wanted)
    cut(node, [path], "failed")
    node.apply(ABSENT)
    # The kernel may still have an ipset that no rule names from the start that failed.
    node.run("systemctl reset-failed firewalld; systemctl restart firewalld")
    converges(node, ABSENT, bare)


def test_empty_state_file_after_prepare_is_repaired(node):
    node.apply(shared())
    whole = node.snapshot()
    node.run(f"truncate -s 0 /var/lib/k3s-network/{RECORD_NAME}")
    converges(node, shared(), whole)
