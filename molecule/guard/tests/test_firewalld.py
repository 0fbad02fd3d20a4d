# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A firewalld that is stopped, masked, absent or in panic, and a disk that is full."""

from __future__ import annotations

import json

import pytest
from module_run import ABSENT, CODE, Node, shared


def one_line(run):
    return " ".join(run.output.split())


@pytest.fixture
def node():
    node = Node("agent1")
    node.bring_to(ABSENT)
    before = node.snapshot()
    yield node
    node.run(
        "umount /etc/firewalld 2>/dev/null && systemctl restart firewalld; "
        "systemctl unmask -q firewalld; "
        "systemctl enable -q --now firewalld"
    )
    node.bring_to(ABSENT)
    assert node.snapshot() == before


def prepare(playbook, *arguments):
    return playbook("prepare", "--tags", "firewall", "--limit", "agent1", *arguments)


def test_stopped_firewalld_gets_its_permanent_configuration(node, playbook):
    node.run("systemctl stop firewalld")
    told = prepare(playbook, "--check", "--diff")
    assert told.returncode == 0, told.output
    assert "firewalld, permanent" in told.output
    assert "firewalld, runtime" not in told.output
    run = prepare(playbook)
    assert run.returncode == 0, run.output
    assert run.changed("agent1") == 1
    assert "becomes active when it starts (systemctl enable --now firewalld)" in one_line(run)
    assert node.run("systemctl is-active firewalld || true").strip() == "inactive"
    again = prepare(playbook)
    assert again.changed("agent1") == 0
    node.run("systemctl start firewalld")
    # It starts with exactly what a run on the running one makes.
    again = prepare(playbook)
    assert again.returncode == 0, again.output
    assert again.changed("agent1") == 0
    node.run("firewall-cmd --info-policy=k3s-from-nodes")


def test_what_a_stopped_firewalld_got_is_removed_from_it(node, playbook):
    before = node.snapshot()
    assert prepare(playbook).returncode == 0
    node.run("systemctl stop firewalld")
    run = playbook("remove", "--tags", "firewall", "--limit", "agent1")
    assert run.returncode == 0, run.output
    node.run("systemctl start firewalld")
    assert node.snapshot() == before


def assert_refused(node, playbook, *words):
    before = node.run("find /etc/firewalld /var/lib/k3s-network -type f | sort | xargs sha256sum")
    for arguments in ([], ["--check"]):
        run = prepare(playbook, *arguments)
        assert run.returncode != 0
        for word in ("No changes were made", *words):
            assert word in one_line(run)
    after = node.run("find /etc/firewalld /var/lib/k3s-network -type f | sort | xargs sha256sum")
    assert after == before


@pytest.mark.also_on("trixie")
def test_masked_firewalld_is_refused(node, playbook):
    node.run("systemctl stop firewalld; systemctl mask -q firewalld")
    assert_refused(node, playbook, "firewalld is masked", "systemctl unmask firewalld")


@pytest.mark.also_on("trixie")
def test_panic_mode_is_refused(node):
    # No packet passes then, so that the node does it by itself and is asked afterwards.
    command = (
        f"PYTHONPATH={CODE} python3 {CODE}/break_at.py 0 < /var/tmp/asked > /var/tmp/told 2>&1"
    )
    node.run("cat > /var/tmp/asked", json.dumps({"wanted": shared()}))
    node.run(
        "systemd-run --quiet --collect sh -c "
        f"'sleep 1; firewall-cmd --panic-on; {command}; firewall-cmd --panic-off'; true"
    )
    node.wait_for("! firewall-cmd -q --query-panic && grep -q failed /var/tmp/told")
    told = json.loads(node.run("cat /var/tmp/told"))
    assert "No changes were made. firewalld is in panic mode" in told["failed"]
    assert "firewall-cmd --panic-off" in told["failed"]


@pytest.mark.also_on("trixie")
def test_firewalld_that_is_not_installed_is_refused(node, playbook):
    node.run("systemctl stop firewalld; mv /etc/firewalld /etc/firewalld.away")
    try:
        run = prepare(playbook)
        assert run.returncode != 0
        assert "Install firewalld on this node" in one_line(run)
    finally:
        node.run("mv /etc/firewalld.away /etc/firewalld")


@pytest.mark.also_on("trixie")
def test_full_disk_is_refused_before_anything_changes(node, playbook):
    node.run(
        "cp -a /etc/firewalld /var/tmp/firewalld && "
        "mount -t tmpfs -o size=1m,mode=750 tmpfs /etc/firewalld && "
        "cp -a /var/tmp/firewalld/. /etc/firewalld/ && rm -r /var/tmp/firewalld && "
        "systemctl restart firewalld && "
        "dd if=/dev/zero of=/etc/firewalld/full bs=4k 2>/dev/null; true"
    )
    before = node.snapshot()
    run = prepare(playbook)
    assert run.returncode != 0
    assert "No changes were made" in one_line(run)
    assert "No space left on device" in one_line(run)
    assert node.snapshot() == before
    node.run("rm /etc/firewalld/full")
    assert prepare(playbook).returncode == 0
    assert playbook("remove", "--limit", "agent1").returncode == 0
    node.run("umount /etc/firewalld && systemctl restart firewalld")


@pytest.mark.thorough
@pytest.mark.also_on("trixie")
def test_disk_that_fills_up_on_the_way_leaves_the_old_state(node):
    node.run(
        "cp -a /etc/firewalld /var/tmp/firewalld && "
        "mount -t tmpfs -o size=2m,mode=750 tmpfs /etc/firewalld && "
        "cp -a /var/tmp/firewalld/. /etc/firewalld/ && rm -r /var/tmp/firewalld && "
        "systemctl restart firewalld"
    )
    before = node.snapshot()
    whole = node.bring_to(shared())
    node.bring_to(ABSENT)
    first = next(n for n, step in enumerate(whole["steps"], 1) if step.startswith("after "))
    fill = "cat /dev/zero > /etc/firewalld/full 2>/dev/null"
    broken = 0
    with Node.reached_once("agent1") as node_at_hand:
        for step in range(first - 1, len(whole["steps"]) + 1):
            told = node_at_hand.bring_to(shared(), step=step, do=fill)
            node_at_hand.settle()
            node_at_hand.run("rm -f /etc/firewalld/full")
            if "failed" in told:
                broken += 1
            else:
                node_at_hand.bring_to(ABSENT)
            assert node_at_hand.snapshot() == before, (step, told)
    assert broken, "the disk was never full at the wrong moment"
    node.run("umount /etc/firewalld && systemctl restart firewalld")
