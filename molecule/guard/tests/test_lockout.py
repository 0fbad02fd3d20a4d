# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nobody is locked out: a change that would cut the controller off is refused or rolled back."""

from __future__ import annotations

import threading
import time

import pytest
from module_run import ABSENT, SEGREGATED, Node, shared
from ssh_rule import ELSEWHERE, REFUSAL, ssh_by_rule, with_ssh

NODE = "server1"


@pytest.fixture
def node():
    """Return a node whose SSH is admitted by nothing but a rule of this collection."""
    found = Node(NODE)
    with ssh_by_rule(found):
        yield found


def test_change_that_would_block_ssh_is_refused(node):
    before = node.snapshot()
    source = node.run("echo $SSH_CONNECTION").split()[0]
    for wanted in (shared(), with_ssh([ELSEWHERE]), ABSENT):
        for check_mode in (False, True):
            told = node.bring_to(wanted, check_mode=check_mode, source=source)
            for words in REFUSAL:
                assert words in told.get("failed", ""), told
        assert node.snapshot() == before
    assert node.connect()


# Whoever dies meanwhile. Nobody confirms these runs.


@pytest.fixture
def bare():
    node = Node(NODE)
    node.apply(ABSENT)
    return node


def test_swapped_interfaces_keep_ssh(bare):
    zones = [
        {"name": "k3s-cluster", "interface": "eth1", "ports": []},
        {"name": "k3s-external", "interface": "eth0", "ports": []},
    ]
    bare.apply({**SEGREGATED, "zones": zones})
    assert bare.connect()
    assert bare.run("firewall-cmd --get-zone-of-interface=eth0").strip() == "k3s-external"
    bare.apply(ABSENT)


IN_FORCE = (
    "busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1.policy getPolicies | grep k3s-from-nodes"
)


@pytest.mark.parametrize(
    "event",
    [
        "systemctl kill --signal=SIGKILL 'k3s-network-guardian-*'",
        "systemctl restart ssh",
        "systemctl daemon-reload",
        "systemctl start k3s-network-rollback && systemctl daemon-reload && "
        "systemctl start k3s-network-rollback",
    ],
    ids=["guardian-killed", "sshd-restarted", "units-read-again", "boot-unit-by-hand"],
)
def test_guardian_rolls_back_after_an_event(bare, event):
    before = bare.snapshot()
    # Long enough for the event on a busy machine.
    assert bare.bring_to(shared(), confirm_timeout=10)["changed"]
    bare.run(f"{event} && {IN_FORCE}")
    bare.settle()
    assert bare.snapshot() == before


def test_unreadable_checkpoint_is_set_aside(bare):
    """It neither restarts the guardian nor stops the next run."""
    before = bare.snapshot()
    path = "/var/lib/k3s-network/checkpoint.json"
    told = bare.bring_to(shared(), confirm_timeout=600)
    assert told["changed"]
    unit = f"k3s-network-guardian-{told['confirm']}"
    bare.run(f"truncate --size=20 {path}; systemctl kill --signal=SIGKILL {unit}")
    bare.settle()
    assert bare.run(f"journalctl -q -u {unit}").count("cannot be rolled back") == 1
    # The next run does not wait for a guardian, and continues from what is there.
    started = time.monotonic()
    bare.apply(shared())
    assert time.monotonic() - started < 30
    bare.apply(ABSENT)
    assert bare.run(f"ls {path}*").split() == [f"{path}.unreadable"]
    bare.run(f"rm {path}.unreadable; rmdir /var/lib/k3s-network")
    assert bare.snapshot() == before


@pytest.mark.parametrize("path", ["/etc/firewalld", "/etc/systemd/system", "/var/lib"])
def test_read_only_path_is_refused_before_a_change(bare, path):
    before = bare.snapshot()
    bare.run(f"mount --bind {path} {path} && mount -o remount,bind,ro {path}")
    try:
        told = bare.bring_to(shared())
        # A run that has nothing to do succeeds.
        nothing = bare.bring_to(ABSENT)
    finally:
        bare.run(f"umount {path}")
    assert f"No changes were made. Read-only on this node: {path}." in told["failed"]
    assert "failed" not in nothing
    assert bare.snapshot() == before


def test_reboot_before_the_confirmation_restores_the_old_state():
    node = Node("server2")
    node.apply(ABSENT)
    node.apply(shared(ports=["6443"]))
    state = "firewall-cmd --permanent --list-all-policies; nft list ruleset | sort"
    old = node.run(state)
    assert node.bring_to(shared(), confirm_timeout=600)["changed"]
    # When the machine's first process started.
    boot = "cut -d' ' -f22 /proc/1/stat"
    start = node.run(boot).strip()
    node.disconnect()
    # The network may be gone before the session is closed.
    node.connect("-o", "ServerAliveCountMax=2", command="systemctl reboot")
    node.wait_for(f"[ $({boot}) != {start} ] && firewall-cmd -q --state")
    assert node.run(state) == old
    assert "checkpoint" not in node.run("ls -A /var/lib/k3s-network 2>/dev/null; true")
    assert node.run("ls /etc/systemd/system | grep k3s; true") == ""
    node.apply(ABSENT)


# Two runs at once


def test_second_run_waits_for_the_confirmation_of_the_first(bare):
    first = bare.bring_to(shared(ports=["6443"]), confirm_timeout=10)
    assert first["confirm"]
    started = time.monotonic()
    assert bare.apply(shared(ports=["10250"]))["changed"]
    assert time.monotonic() - started > 2
    rules = bare.run("firewall-cmd --info-policy=k3s-from-nodes")
    assert '"10250"' in rules
    assert '"6443"' not in rules
    bare.apply(ABSENT)


def test_runs_at_once_are_never_interleaved(bare):
    before = bare.snapshot()
    states = [shared(ports=[port]) for port in ("6443", "10250", "5001")]
    snapshots = []
    for state in states:
        bare.apply(state)
        snapshots.append(bare.snapshot())
    bare.apply(ABSENT)
    threads = [threading.Thread(target=bare.bring_to, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bare.snapshot() in snapshots
    bare.apply(ABSENT)
    assert bare.snapshot() == before
