# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nobody is locked out: a change that would cut the controller off is refused, or taken back."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from module_run import ABSENT, Node, shared

SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()
NODE = "server1"
HERE = ("--limit", NODE)
SSH_ROW = {
    "name": "ssh",
    "port": 22,
    "protocol": "tcp",
    "source": ["external"],
    "destination": ["server", "agent"],
}
ELSEWHERE = ["198.51.100.0/24"]
# Nobody here has it, and nothing on the node tells so.
MAC = "02:00:5e:00:53:01"


def one_line(run):
    return " ".join(run.output.split())


@pytest.fixture
def node(machine, playbook):
    """Hand a node whose SSH is admitted by nothing but a rule of this collection."""
    host = machine(NODE)
    assert playbook("remove", *HERE).returncode == 0
    done = playbook("prepare", "--tags", "firewall", *HERE, k3s_topology_extra_ports=[SSH_ROW])
    assert done.returncode == 0, done.output
    host.run(
        "for where in '' --permanent; do"
        " firewall-cmd -q $where --zone=public --remove-service=ssh; done"
    )
    yield host
    host.run(
        "for where in '' --permanent; do"
        " firewall-cmd -q $where --zone=public --add-service=ssh; done"
    )
    assert playbook("remove", *HERE).returncode == 0
    host.run("rm -f /etc/firewalld/zones/public.xml* && firewall-cmd -q --reload")


def test_a_change_that_would_cut_ssh_is_refused(node, playbook):
    before = node.run(SNAPSHOT)
    for name, extra in (
        ("prepare", {"k3s_topology_extra_ports": []}),
        (
            "prepare",
            {
                "k3s_topology_extra_ports": [SSH_ROW],
                "k3s_firewall_external_sources": ELSEWHERE,
            },
        ),
        ("remove", {}),
    ):
        for mode in ([], ["--check"]):
            run = playbook(name, "--tags", "firewall", *HERE, *mode, **extra)
            assert run.returncode != 0, run.output
            text = one_line(run)
            assert (
                "No changes were made. The change would block Ansible's own SSH connection" in text
            )
            assert "to port 22/tcp" in text
            assert "It is admitted now by: policy k3s-from-clients" in text
            assert "firewall-cmd --permanent --zone=ZONE --add-service=ssh" in text
        assert node.run(SNAPSHOT) == before


def test_a_change_that_locks_the_controller_out_is_taken_back_by_the_node(node, playbook):
    # A rule of the user's that may admit the controller, for all that the node can tell.
    rule = f'rule source mac="{MAC}" service name="ssh" accept'
    for where in ("", "--permanent"):
        node.run(f"firewall-cmd -q {where} --zone=public --add-rich-rule='{rule}'")
    before = node.run(SNAPSHOT).splitlines()
    started = time.monotonic()
    run = playbook(
        "prepare",
        *("--tags", "firewall", *HERE),
        k3s_topology_extra_ports=[SSH_ROW],
        k3s_firewall_external_sources=ELSEWHERE,
        k3s_firewall_confirm_timeout=12,
    )
    assert run.returncode != 0
    text = one_line(run)
    assert "could not be confirmed over a new connection" in text
    assert "The node has rolled it back by itself and answers again" in text
    assert time.monotonic() - started > 12
    assert node.run(SNAPSHOT).splitlines() == before


@pytest.mark.also_on("trixie")
def test_a_wrong_interface_locks_nobody_out(machine, playbook):
    wrong = {
        "k3s_topology_mode": "segregated",
        "k3s_topology_cluster_interface": "eth1",
        "k3s_topology_external_interface": "eth0",
    }
    done = playbook("prepare", "--tags", "firewall", *HERE, **wrong)
    assert done.returncode == 0, done.output
    assert machine(NODE).run("firewall-cmd --get-zone-of-interface=eth0").strip() == "k3s-external"
    assert playbook("remove", *HERE).returncode == 0


# Whoever dies meanwhile. Nobody confirms these runs.


@pytest.fixture
def bare():
    node = Node(NODE)
    node.bring_to(ABSENT)
    return node


@pytest.mark.parametrize(
    "event",
    [
        "systemctl kill --signal=SIGKILL 'k3s-network-guardian-*'",
        pytest.param("systemctl restart ssh", marks=pytest.mark.also_on("bullseye")),
        pytest.param("systemctl daemon-reload", marks=pytest.mark.also_on("trixie")),
        "systemctl start k3s-network-rollback; systemctl daemon-reload; "
        "systemctl start k3s-network-rollback",
    ],
    ids=["guardian-killed", "sshd-restarted", "units-read-again", "boot-unit-by-hand"],
)
def test_the_guardian_outlasts(bare, event):
    before = bare.snapshot()
    assert bare.bring_to(shared(), confirm_timeout=4)["changed"]
    bare.run(f"{event}; true")
    bare.run("sleep 1; firewall-cmd --info-policy=k3s-from-nodes")
    bare.settle()
    assert bare.snapshot() == before


def test_an_unreadable_checkpoint_neither_restarts_the_guardian_nor_stops_the_next_run(bare):
    before = bare.snapshot()
    path = "/var/lib/k3s-network/checkpoint.json"
    assert bare.bring_to(shared(), confirm_timeout=600)["changed"]
    bare.run(f"truncate --size=20 {path}; systemctl kill --signal=SIGKILL 'k3s-network-guardian-*'")
    bare.settle()
    log = bare.run("journalctl -q -b -u 'k3s-network-guardian-*' --since=-30s")
    assert log.count("cannot be rolled back") == 1
    # The next run does not wait for a guardian, and goes on from what is there.
    started = time.monotonic()
    assert "failed" not in bare.bring_to(shared())
    assert time.monotonic() - started < 30
    assert "failed" not in bare.bring_to(ABSENT)
    assert bare.run(f"ls {path}*").split() == [f"{path}.unreadable"]
    bare.run(f"rm {path}.unreadable; rmdir /var/lib/k3s-network")
    assert bare.snapshot() == before


@pytest.mark.parametrize("path", ["/etc/firewalld", "/etc/systemd/system", "/var/lib"])
def test_a_read_only_path_is_refused_before_a_change(bare, path):
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


def test_a_reboot_before_the_confirmation_brings_the_old_state_back(machine):
    node = Node("server2")
    node.bring_to(ABSENT)
    node.bring_to(shared(ports=["6443"]))
    old = machine("server2").run(
        "firewall-cmd --permanent --list-all-policies; nft list ruleset | sort"
    )
    assert node.bring_to(shared(), confirm_timeout=600)["changed"]
    start = node.run("stat -c %Z /proc/1").strip()
    node.run("systemd-run --quiet --on-active=1 systemctl reboot")
    node.wait_for(f"[ $(stat -c %Z /proc/1) != {start} ] && firewall-cmd -q --state")
    now = machine("server2").run(
        "firewall-cmd --permanent --list-all-policies; nft list ruleset | sort"
    )
    assert now == old
    assert "checkpoint" not in node.run("ls -A /var/lib/k3s-network 2>/dev/null; true")
    assert node.run("ls /etc/systemd/system | grep k3s; true") == ""
    node.bring_to(ABSENT)


# Two runs at once


@pytest.mark.also_on("bullseye")
def test_a_second_run_waits_for_the_first_and_its_confirmation(bare):
    told = {}

    def run(name, wanted, timeout):
        told[name] = bare.bring_to(wanted, confirm_timeout=timeout), time.monotonic()

    first = threading.Thread(target=run, args=("first", shared(ports=["6443"]), 5))
    first.start()
    time.sleep(2.5)
    started = time.monotonic()
    second = threading.Thread(target=run, args=("second", shared(ports=["10250"]), 0))
    second.start()
    for thread in (first, second):
        thread.join()
    result, ended = told["second"]
    assert result["changed"]
    assert ended - started > 2, "it waited for the confirmation of the first"
    rules = bare.run("firewall-cmd --info-policy=k3s-from-nodes")
    assert '"10250"' in rules
    assert '"6443"' not in rules
    bare.bring_to(ABSENT)


@pytest.mark.also_on("trixie")
def test_runs_at_once_are_never_interleaved(bare):
    before = bare.snapshot()
    states = [shared(ports=[port]) for port in ("6443", "10250", "5001")]
    snapshots = []
    for state in states:
        bare.bring_to(state)
        snapshots.append(bare.snapshot())
    bare.bring_to(ABSENT)
    threads = [threading.Thread(target=bare.bring_to, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bare.snapshot() in snapshots
    bare.bring_to(ABSENT)
    assert bare.snapshot() == before
