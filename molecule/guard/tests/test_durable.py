# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Power loss: a confirmed change is on disk, and one that nobody has confirmed is rolled back.

The files of each machine are on an ext4 file system with default options. The lab shuts that file
system down without a sync, kills the machine, and boots it from what had reached the disk.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from module_run import ABSENT, EPHEMERAL, PLAIN, SEGREGATED, Node, shared

LAB = [sys.executable, "-B", str(Path(__file__).parents[2] / "lab" / "lab.py")]
LAB_NAME = (EPHEMERAL / "ssh_config").resolve().parent.name
STATES = {"server1": shared(), "server2": SEGREGATED, "agent1": PLAIN}
# Seconds from the confirmation to the power loss. The journal is committed every 5 s, and delayed
# allocation may leave a new file empty for 30 s.
# Of each node, after it was prepared and after the collection was removed from it.
CONFIRMED_DELAYS = [
    {"server1": (13, 1), "server2": (0, 5), "agent1": (9, 2)},
    {"server1": (1, 13), "server2": (5, 0), "agent1": (2, 9)},
]
UNCONFIRMED_DELAYS = {"server1": (0, 0), "server2": (1, 1), "agent1": (6, 6)}

USERS_PORT = 2222
SET_UP = f"""
set -e
sed -i '1i Port 22\\nPort {USERS_PORT}' /etc/ssh/sshd_config
systemctl restart ssh
firewall-cmd -q --permanent --zone=public --add-port={USERS_PORT}/tcp
firewall-cmd -q --reload
tar -C /etc -cf /var/tmp/base.tar firewalld NetworkManager/system-connections
"""
# Without the collection, whose changes did not last.
RESTORE = """
set -e
systemctl stop firewalld
rm -rf /etc/firewalld /etc/NetworkManager/system-connections /var/lib/k3s-network
tar -C /etc -xpf /var/tmp/base.tar
sync -f /
"""
TEAR_DOWN = f"""
sed -i '/^Port /d' /etc/ssh/sshd_config
systemctl restart ssh
firewall-cmd -q --permanent --zone=public --remove-port={USERS_PORT}/tcp
rm -f /etc/firewalld/zones/public.xml* /var/tmp/base.tar
firewall-cmd -q --reload
"""
BOOTED = "systemctl is-system-running --wait; systemctl is-active -q NetworkManager firewalld"
STATE = (
    "busctl get-property org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1 state 2>&1; true"
)
EMPTY = "find /etc/firewalld /etc/NetworkManager -type f -empty"
LEFT = "find /etc/systemd/system -name 'k3s-network*'"


class DurableNode(Node):
    """A node that loses its power."""

    def snapshot(self):
        """Return all that prepare may change; NetworkManager chooses the metrics at each start."""
        return [re.sub(r" metric \d+", "", line) for line in super().snapshot()]

    def sync(self):
        """Write to disk what the machine has; sync(2) would do so for the other machines, too."""
        self.run("sync -f /")

    def lose_power(self):
        """Cut the power and wait until the node has booted."""
        self.disconnect()
        subprocess.run(
            [*LAB, "reset", "--name", LAB_NAME, self.name], check=True, capture_output=True
        )
        self.wait_for(BOOTED)

    def restore(self):
        """Bring back the configuration of before the first change."""
        self.run(RESTORE)
        self.lose_power()

    def wrong(self, wanted):
        """Return what differs from the wanted snapshot, from a firewalld that runs, and so on."""
        found = {}
        now = self.snapshot()
        if now != wanted:
            found["missing"] = sorted({*wanted} - {*now})
            found["unexpected"] = sorted({*now} - {*wanted})
        state = self.run(STATE).strip()
        if state != 's "RUNNING"':
            found["firewalld"] = state
        empty = self.run(EMPTY).split()
        if empty:
            found["empty"] = empty
        if not self.connect("-p", str(USERS_PORT)):
            found["closed"] = USERS_PORT
        left = self.run(LEFT).split()
        if left:
            found["left"] = left
        return found


def confirmed(node, wanted):
    told = node.bring_to(wanted, confirm_timeout=60)
    assert told.get("confirm"), told
    node.confirm(told["confirm"])


def unconfirmed(node, wanted):
    told = node.bring_to(wanted, confirm_timeout=60)
    assert told.get("confirm"), told


def lose_power_after(change, delays, changes_last, results):
    """Make a change, lose the power after each delay, and note what is wrong then."""

    def work(node, state):
        snapshots = {}
        for name, wanted in (("prepare", state), ("remove", ABSENT)):
            assert "failed" not in node.bring_to(wanted)
            snapshots[name] = node.snapshot()
        runs = (("prepare", ABSENT, state), ("remove", state, ABSENT))
        for (name, before, after), delay in zip(runs, delays[node.name]):
            assert "failed" not in node.bring_to(before)
            node.sync()
            change(node, after)
            time.sleep(delay)
            node.lose_power()
            old = "remove" if name == "prepare" else "prepare"
            wrong = node.wrong(snapshots[name if changes_last else old])
            results.append({"node": node.name, "run": name, "delay": delay, "wrong": wrong})
            if wrong:
                node.restore()

    return work


def on_all_nodes(work):
    """Do some work on all nodes side by side; return what it raises, since a thread's is lost."""
    raised = []

    def guarded(name, state):
        try:
            work(DurableNode(name), state)
        except Exception as error:
            raised.append({"node": name, "raised": repr(error)})

    threads = [threading.Thread(target=guarded, args=pair) for pair in STATES.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def assert_durable(change, delays, changes_last):
    results = []
    raised = on_all_nodes(lose_power_after(change, delays, changes_last, results))
    wrong = [*raised, *(result for result in results if result["wrong"])]
    told = json.dumps(wrong, indent=1)
    assert not wrong, f"{len(wrong)} of {len(results)} power losses: {told}"


def set_up(node, _state):
    assert "failed" not in node.bring_to(ABSENT)
    node.run(SET_UP)
    node.sync()


def tear_down(node, _state):
    assert "failed" not in node.bring_to(ABSENT)
    node.run(TEAR_DOWN)


@pytest.fixture(scope="module", autouse=True)
def users_port():
    """Open a port of the user's for SSH, on disk before any power loss."""
    assert on_all_nodes(set_up) == []
    yield
    assert on_all_nodes(tear_down) == []


@pytest.mark.parametrize("delays", CONFIRMED_DELAYS, ids=["late-early", "early-late"])
def test_confirmed_change_after_power_loss_is_kept(delays):
    assert_durable(confirmed, delays, changes_last=True)


def test_unconfirmed_change_after_power_loss_is_rolled_back():
    assert_durable(unconfirmed, UNCONFIRMED_DELAYS, changes_last=False)
