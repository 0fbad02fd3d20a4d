# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Power loss: a confirmed change is on disk, and one that nobody has confirmed is rolled back.

The files of each machine are on an ext4 file system with default options. The lab shuts that file
system down without a sync, kills the machine, and boots it from what had reached the disk.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from module_run import ABSENT, CODE, EPHEMERAL, HERE, PLAIN, SEGREGATED, Node, shared

SUITE = os.environ["K3S_LAB_SUITE"]
LAB = [sys.executable, "-B", str(HERE.parent / "lab" / "lab.py")]
LAB_NAME = (EPHEMERAL / "ssh_config").resolve().parent.name
STATES = {"server1": shared(), "server2": SEGREGATED, "agent1": PLAIN}
# Seconds from the confirmation to the power loss. The journal is committed every 5 s, and delayed
# allocation may leave a new file empty for 30 s.
DELAYS = (0, 1, 2, 5, 9, 13)
if os.environ.get("K3S_TEST_STRIDE") == "1":
    DELAYS_OF = dict.fromkeys(STATES, DELAYS)
elif SUITE == "bookworm":
    DELAYS_OF = {"server1": (0, 13), "server2": (1, 9), "agent1": (2, 5)}
else:
    DELAYS_OF = {"server1": (0,), "server2": (2,), "agent1": (9,)}

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
LEFT = "find /etc/systemd/system -name 'k3s-network*'"
CONFIRM = (
    f"PYTHONPATH={CODE} python3 -c 'from ansible_collections.edgeops.k3s_network.plugins"
    '.module_utils._checkpoint import confirm_command; print(confirm_command("{}"))\' | sh'
)


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
        state = self.run("firewall-cmd --state 2>&1; true").strip()
        if state != "running":
            found["firewalld"] = state
        empty = self.run("find /etc/firewalld /etc/NetworkManager -type f -empty").split()
        if empty:
            found["empty"] = empty
        ssh = [*self._ssh, "-p", str(USERS_PORT), "-o", "ConnectTimeout=5", self.name, "true"]
        if subprocess.run(ssh, check=False, capture_output=True).returncode:
            found["closed"] = USERS_PORT
        left = self.run(LEFT).split()
        if left:
            found["left"] = left
        return found


def confirmed(node, wanted):
    told = node.bring_to(wanted, confirm_timeout=60)
    assert told.get("confirm"), told
    node.run(CONFIRM.format(told["confirm"]))


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
        for delay in delays[node.name]:
            for name, before, after in (("prepare", ABSENT, state), ("remove", state, ABSENT)):
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


def on_all_nodes(work, results):
    """Do some work on all nodes side by side; note what it raises, since a thread's is lost."""

    def guarded(name, state):
        try:
            work(DurableNode(name), state)
        except Exception as error:
            results.append({"node": name, "wrong": repr(error)})

    threads = [threading.Thread(target=guarded, args=pair) for pair in STATES.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [result for result in results if result["wrong"]]
    told = json.dumps(wrong, indent=1)
    assert not wrong, f"{len(wrong)} of {len(results)} power losses: {told}"


@pytest.fixture(scope="module", autouse=True)
def users_port():
    """Open a port of the user's for SSH, on disk before any power loss."""
    nodes = [DurableNode(name) for name in STATES]
    for node in nodes:
        assert "failed" not in node.bring_to(ABSENT)
        node.run(SET_UP)
        node.sync()
    yield
    for node in nodes:
        assert "failed" not in node.bring_to(ABSENT)
        node.run(TEAR_DOWN)


@pytest.mark.also_on("trixie")
def test_confirmed_change_after_power_loss_is_kept():
    results = []
    on_all_nodes(lose_power_after(confirmed, DELAYS_OF, True, results), results)


@pytest.mark.also_on()
def test_unconfirmed_change_after_power_loss_is_rolled_back():
    results = []
    delays = {"server1": (0,), "server2": (1,), "agent1": (6,)}
    on_all_nodes(lose_power_after(unconfirmed, delays, False, results), results)
