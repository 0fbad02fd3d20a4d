# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A firewalld that is stopped, masked, absent or in panic mode, and a disk that is full."""

from __future__ import annotations

import json

import pytest
from module_run import ABSENT, Node, shared, some_of_each_kind
from task_server import COMMAND

FILES = "find /etc/firewalld /var/lib/k3s-network -type f 2>/dev/null | sort | xargs sha256sum"
# Replaces a directory by one of this size.
MOUNT = (
    "cp -a /etc/firewalld /var/tmp/firewalld && "
    "mount -t tmpfs -o size={},mode=750 tmpfs /etc/firewalld && "
    "cp -a /var/tmp/firewalld/. /etc/firewalld/ && rm -r /var/tmp/firewalld && "
    "systemctl restart firewalld"
)
FULL = "/etc/firewalld/full"


@pytest.fixture
def node():
    node = Node("agent1")
    node.apply(ABSENT)
    before = node.snapshot()
    yield node
    # A guardian that is about to end has the directory open.
    node.settle()
    node.run(
        "set -e; if mountpoint -q /etc/firewalld; then"
        " umount /etc/firewalld; systemctl restart firewalld; fi; "
        "systemctl unmask -q firewalld; "
        "systemctl enable -q --now firewalld"
    )
    node.apply(ABSENT)
    assert node.snapshot() == before


def refused(node, wanted, *words):
    """Assert that a wanted state is refused with these words, and that no file changes."""
    before = node.run(FILES)
    for check_mode in (False, True):
        told = node.bring_to(wanted, check_mode=check_mode)
        for word in ("No changes were made", *words):
            assert word in told.get("failed", ""), told
    assert node.run(FILES) == before


def test_stopped_firewalld_gets_its_permanent_configuration(node):
    node.run("systemctl stop firewalld")
    planned = node.bring_to(shared(), check_mode=True)
    assert [part["after_header"] for part in planned["diff"]] == ["firewalld, permanent"]
    told = node.apply(shared())
    assert (told["changed"], told["active"]) == (True, False)
    assert node.run("systemctl is-active firewalld || true").strip() == "inactive"
    assert not node.apply(shared())["changed"]
    node.run("systemctl start firewalld")
    # It starts with exactly what a run on the running one makes.
    assert not node.apply(shared())["changed"]
    node.run("firewall-cmd --info-policy=k3s-from-nodes")


def test_objects_of_a_stopped_firewalld_are_removed(node):
    before = node.snapshot()
    node.apply(shared())
    node.run("systemctl stop firewalld")
    node.apply(ABSENT)
    node.run("systemctl start firewalld")
    assert node.snapshot() == before


def test_masked_firewalld_is_refused(node):
    node.run("systemctl stop firewalld; systemctl mask -q firewalld")
    refused(node, shared(), "firewalld is masked", "systemctl unmask firewalld")


def test_masked_firewalld_of_a_prepared_node_is_refused(node):
    assert node.apply(shared())["changed"]
    node.run("systemctl stop firewalld; systemctl mask -q firewalld")
    refused(node, shared(), "firewalld is masked", "systemctl unmask firewalld")
    node.run("systemctl unmask -q firewalld; systemctl start firewalld")


def test_panic_mode_is_refused(node):
    # No packet passes meanwhile.
    told = node.run(
        f"firewall-cmd -q --panic-on; {COMMAND}; firewall-cmd -q --panic-off",
        json.dumps({"task": "firewall", "wanted": shared()}),
    )
    failed = json.loads(told)["failed"]
    assert "No changes were made. firewalld is in panic mode" in failed
    assert "firewall-cmd --panic-off" in failed


def test_firewalld_that_is_not_installed_is_refused(node):
    node.run("systemctl stop firewalld; mv /etc/firewalld /etc/firewalld.away")
    try:
        told = node.bring_to(shared())
    finally:
        node.run("mv /etc/firewalld.away /etc/firewalld")
    assert "Install firewalld on this node" in told["failed"]


def test_full_disk_is_refused_before_anything_changes(node):
    node.run(f"{MOUNT.format('1m')} && dd if=/dev/zero of={FULL} bs=4k 2>/dev/null; true")
    before = node.snapshot()
    told = node.bring_to(shared())
    assert "No changes were made" in told["failed"]
    assert "No space left on device" in told["failed"]
    assert node.snapshot() == before
    node.run(f"rm {FULL}")
    assert node.apply(shared())["changed"]
    node.apply(ABSENT)


def test_disk_that_fills_up_during_a_change_leaves_the_old_state(node):
    node.run(MOUNT.format("2m"))
    before = node.snapshot()
    steps = node.apply(shared())["steps"]
    node.apply(ABSENT)
    calls = [number for number, step in enumerate(steps, 1) if step.startswith("after ")]
    broken = 0
    for step in some_of_each_kind(steps, calls[0] - 1, calls[-1] + 1):
        told = node.bring_to(shared(), step=step, do=f"cat /dev/zero > {FULL} 2>/dev/null")
        node.settle()
        node.run(f"rm -f {FULL}")
        if "failed" in told:
            broken += 1
        else:
            node.apply(ABSENT)
        assert node.snapshot() == before, (step, told)
    assert broken, "the disk was never full at the wrong moment"
