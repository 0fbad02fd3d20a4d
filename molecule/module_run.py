# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the module on a node: without Ansible, and broken where a test wants it."""

from __future__ import annotations

import atexit
import collections
import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from task_server import TaskServer

SNAPSHOT = (Path(__file__).parent / "snapshot.sh").read_text()
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SSH = ("ssh", "-F", str(EPHEMERAL / "ssh_config"))
ABSENT = None
# A firewalld that was just started has yet to load its rules, and to hear of NICs. This is asked
# hundreds of times, and firewall-cmd takes a third of a second to start.
READY = """if systemctl is-active -q firewalld; then
  zone="busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \\
    org.fedoraproject.FirewallD1.zone getZoneOfInterface s"
  for nic in eth0 eth1; do
    timeout 100 sh -c "until $zone $nic 2>/dev/null | grep -q '[a-z].$'; do sleep 0.1; done" ||
      { echo "$nic is in no zone" >&2; exit 1; }
  done
fi
"""
# NetworkManager 1.30 writes into a profile that it saves when it was last active, which moves on.
PROFILES = """
for profile in /etc/NetworkManager/system-connections/*; do
  echo "$(sed /^timestamp=/d "$profile" | sha256sum) $profile"
done
"""
BETWEEN = "--- profiles ---"
# All at once, since a connection costs as much as what is asked.
_SNAPSHOT = f"{READY}(\n{SNAPSHOT})\necho '{BETWEEN}'\n{PROFILES}"
NODES = ("192.0.2.11", "192.0.2.12")
RULE = 'rule family="ipv4" source ipset="k3s-nodes" port port="{}" protocol="tcp" accept'


def policy(name, priority, ingress, rules):
    return {
        "name": name,
        "priority": priority,
        "ingress_zones": [ingress],
        "egress_zones": ["HOST"],
        "rules": rules,
    }


def shared(nodes=NODES, ports=("6443", "10000-30000")):
    return {
        "ipsets": [
            {"name": "k3s-nodes", "type": "hash:ip", "family": "inet", "entries": list(nodes)}
        ],
        "policies": [
            policy("k3s-from-nodes", 1010, "ANY", [RULE.format(port) for port in ports]),
            policy("k3s-from-clients", 1030, "ANY", ['rule port port="443" protocol="tcp" accept']),
        ],
        "zones": [],
        "overlay_zones": [{"name": "k3s-pods", "interfaces": ["cni0", "flannel.1"]}],
        "interface_ports": [],
    }


PLAIN = {
    **shared(),
    "policies": [],
    "interface_ports": [{"interface": "eth0", "ports": ["6443/tcp", "10000-30000/tcp"]}],
}
SEGREGATED = {
    **shared(),
    "policies": [policy("k3s-from-nodes", 1010, "k3s-cluster", [RULE.format("6443")])],
    "zones": [
        {"name": "k3s-cluster", "interface": "eth0", "ports": []},
        {"name": "k3s-external", "interface": "eth1", "ports": []},
    ],
}


def kind(step: str) -> str:
    """Return what a step has in common with others: without identities and names of objects."""
    without = re.sub(r"[0-9a-f]{16}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", step)
    return re.sub(r"lab-eth\d|k3s-(from-)?\w+(?=[.']|$)", "NAME", without)


def some_of_each_kind(
    steps: Sequence[str], first: int, last: int, which: Sequence[int] = (0, -1)
) -> list[int]:
    """Return the numbers of the steps at which a run is broken: of each kind in a range, two.

    The same code takes all steps of a kind. What it depends on is how far the run has come, which
    the first and the last one show: before the first one nothing of its kind is done, after the
    last one all of it is.
    """
    kinds = collections.defaultdict(list)
    for number in range(first, last + 1):
        kinds[kind(steps[number - 1])].append(number)
    return sorted({numbers[place] for numbers in kinds.values() for place in which})


class Node:
    """A node as the module sees it; may be used by several threads."""

    # Those that have nothing to do, by the name of their node. Threads take one each.
    _idle: ClassVar[dict[str, list[TaskServer]]] = collections.defaultdict(list)

    def __init__(self, name: str) -> None:
        self.name = name

    def _ask(self, task: str, patience: float = 120, **asked: Any) -> Any:
        idle = self._idle[self.name]
        try:
            server = idle.pop()
        except IndexError:
            server = TaskServer([*SSH, self.name])
        try:
            answer = server.ask(task, patience, **asked)
        except BaseException:
            server.end()
            raise
        idle.append(server)
        return answer

    def disconnect(self) -> None:
        """End the kept connections, before the node ends them by losing its power."""
        idle = self._idle[self.name]
        while idle:
            idle.pop().end()

    def run(self, command: str, given: str = "", seconds: float = 120) -> str:
        """Run a shell command, which has to succeed; return what it printed."""
        done = self._ask("shell", seconds + 10, command=command, given=given, seconds=seconds)
        assert done["code"] == 0, f"{self.name}: {command}: {done['err'] or done['out']}"
        return done["out"]

    def bring_to(
        self,
        wanted: Any,
        step: int = 0,
        do: str = "",
        confirm_timeout: int = 0,
        **more: Any,
    ) -> Any:
        """Run the module, broken at a step; return its result, None if it was killed.

        Nobody confirms the change: with a timeout, the node rolls it back. C(more) are check_mode,
        allow_disruptive_reload, and C(source), the controller's address that has to be admitted.
        """
        return self._ask(
            "firewall", wanted=wanted, step=step, do=do, confirm_timeout=confirm_timeout, **more
        )

    def apply(self, wanted: Any, **more: Any) -> dict[str, Any]:
        """Apply a wanted state, which has to succeed; return the module's result."""
        result: dict[str, Any] = self.bring_to(wanted, **more)
        assert "failed" not in result, result
        return result

    def confirm(self, identity: str) -> None:
        """Confirm a change, and wait until that is final."""
        self.run(self._ask("confirm_command", identity=identity))

    def profiles(self, action: str, interface: str, zone: str = "", given: Any = None) -> Any:
        """Do an action of on_node/profiles.py and return its result."""
        return self._ask("profiles", action=action, interface=interface, zone=zone, given=given)

    def settle(self) -> None:
        """Wait until no guardian runs any more."""
        assert self._ask("settle", seconds=100), f"{self.name}: a guardian still runs"

    def connect(self, *options: str, command: str = "true") -> bool:
        """Tell whether a command succeeds over a new connection."""
        ssh = [*SSH, "-o", "ConnectTimeout=5", *options, self.name, command]
        try:
            done = subprocess.run(ssh, check=False, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def wait_for(self, condition: str, seconds: float = 300) -> None:
        """Wait until a shell condition holds on the node, which may be away meanwhile."""
        deadline = time.monotonic() + seconds
        while not self.connect(command=condition):
            assert time.monotonic() < deadline, f"{self.name}: never {condition}"
            time.sleep(0.2)

    def snapshot(self) -> list[str]:
        """Return all that prepare may change, but the copies that firewalld keeps of our files."""
        whole, profiles = self.run(_SNAPSHOT).split(f"{BETWEEN}\n")
        lines = [line for line in whole.splitlines() if "  NetworkManager/" not in line]
        kept = [line for line in lines if not ("/k3s-" in line and line.endswith(".xml.old"))]
        return kept + profiles.splitlines()


@atexit.register
def _disconnect() -> None:
    """End the kept connections to all nodes."""
    for name in list(Node._idle):
        Node(name).disconnect()
