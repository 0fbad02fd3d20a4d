# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two labs with the same addresses run side by side, and a lab that ends leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAB = [sys.executable, "-B", str(Path(__file__).parents[2] / "molecule" / "lab" / "lab.py")]
NAMES = ("isolation-a", "isolation-b")
# Through the namespace of each lab, by the address that both machines have.
ADDRESS = "10.89.0.11"
MARK = "/etc/mark-of-a-lab"


def lab(command, name, *options):
    done = subprocess.run(
        [*LAB, command, "--name", name, *options], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def run(name, command):
    config = f"{lab('path', name)}/ssh_config"
    done = subprocess.run(
        ["ssh", "-F", config, "server1", command], check=True, capture_output=True, text=True
    )
    return done.stdout


def play(name, *arguments):
    """Run a module by Ansible's own defaults, with its kept connections."""
    inventory = f"{lab('path', name)}/inventory.yml"
    done = subprocess.run(
        ["ansible", "-i", inventory, "server1", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def left(name):
    """Return mounts, namespaces and processes that name a lab."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if f"/{name}/" in line]
    namespaces = [path.name for path in Path("/run/k3s-network-lab").glob("*")]
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"/run/{name}/" in command or f"machine=k3s-lab-{name}" in command:
            commands.append(command)
    return [
        *mounts,
        *(one for one in namespaces if f"k3s-lab-{name}" in one),
        *commands,
    ]


@pytest.fixture(scope="module")
def labs():
    try:
        for name in NAMES:
            lab("create", name, "--servers", "1", "--agents", "0", "--clients", "0", "--replace")
            run(name, f"echo {name} >{MARK}")
        yield NAMES
    finally:
        for name in NAMES:
            lab("destroy", name)


def test_same_address_is_another_machine_in_each_lab(labs):
    for name in labs:
        assert f"inet {ADDRESS}/" in run(name, "ip -4 address show dev eth0")
    assert [run(name, f"cat {MARK}").strip() for name in labs] == list(labs)
    boots = {
        run(name, "cat /proc/1/environ | tr '\\0' '\\n' | grep container_uuid") for name in labs
    }
    assert len(boots) == 2


def test_kept_connection_of_ansible_reaches_its_own_lab(labs):
    # The second round uses the connections that the first one keeps.
    for _round in range(2):
        for name in labs:
            assert name in play(name, "-a", f"cat {MARK}")


def test_change_in_one_lab_does_not_reach_the_other(labs):
    one, other = labs
    before = run(other, "firewall-cmd --list-all; nft list ruleset; ip address")
    run(one, "firewall-cmd -q --add-port=7777/tcp && ip address add 10.89.0.99/24 dev eth0")
    try:
        assert run(other, "firewall-cmd --list-all; nft list ruleset; ip address") == before
        assert "1 received" not in run(other, "ping -c1 -W1 10.89.0.99 || true")
        # The address is there, for its own lab.
        assert "1 received" in run(one, "ping -c1 -W1 10.89.0.99")
    finally:
        run(one, "firewall-cmd -q --remove-port=7777/tcp; ip address del 10.89.0.99/24 dev eth0")


def test_unit_of_one_lab_is_not_known_to_the_other(labs):
    one, other = labs
    run(one, "systemd-run --quiet --unit=only-here sleep 300")
    assert run(other, "systemctl is-active only-here || true").strip() == "inactive"
    run(one, "systemctl stop only-here")


def test_lab_that_ends_leaves_nothing_behind_and_the_other_runs(labs):
    one, other = labs
    assert f"k3s-lab-{one}" in left(one)
    lab("destroy", one)
    assert left(one) == []
    assert run(other, f"cat {MARK}").strip() == other


def test_inotify_limit_is_raised_for_many_machines(labs):
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    assert limit >= 8192
