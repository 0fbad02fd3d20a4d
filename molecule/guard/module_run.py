# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the module on a node: without Ansible, and broken where a test wants it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SNAPSHOT = (HERE.parent / "snapshot.sh").read_text()
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
CODE = "/var/tmp/k3s-code"
ABSENT = None
# A firewalld that was just started has yet to load its rules, and to hear of NICs. This is asked
# hundreds of times, and firewall-cmd takes a third of a second to start.
READY = """if systemctl is-active -q firewalld; then
  zone="busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \\
    org.fedoraproject.FirewallD1.zone getZoneOfInterface s"
  for nic in eth0 eth1; do
    timeout 10 sh -c "until $zone $nic | grep -q '[a-z].$'; do sleep 0.1; done"
  done >/dev/null 2>&1
fi
"""
# NetworkManager 1.30 writes into a profile that it saves when it was last active, which moves on.
PROFILES = """
for profile in /etc/NetworkManager/system-connections/*; do
  echo "$(sed /^timestamp=/d "$profile" | sha256sum) $profile"
done
"""
BETWEEN = "--- profiles ---"
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


class Node:
    """A node as the module sees it; reached without testinfra, which is not made for threads."""

    def __init__(self, name, ssh=()):
        self.name = name
        self._ssh = ["ssh", "-F", str(EPHEMERAL / "ssh_config"), *ssh]

    @classmethod
    @contextlib.contextmanager
    def reached_once(cls, name):
        """Return a node that is asked over one connection, which costs more than most answers."""
        with tempfile.TemporaryDirectory(prefix="k3s-") as directory:
            path = f"ControlPath={directory}/%h"
            node = cls(name, ["-o", path, "-o", "ControlMaster=auto", "-o", "ControlPersist=60"])
            try:
                yield node
            finally:
                subprocess.run([*node._ssh, "-O", "exit", name], check=False, capture_output=True)

    def run(self, command, given=""):
        done = subprocess.run(
            [*self._ssh, self.name, command],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{self.name}: {command}: {done.stderr or done.stdout}"
        return done.stdout

    def bring_to(self, wanted, step=0, do="", confirm_timeout=0):
        """Run the module, broken at a step; return what it told, None where it was killed.

        Nobody confirms what it does: with a timeout, the node takes it back.
        """
        command = f"PYTHONPATH={CODE} python3 {CODE}/break_at.py {step}"
        if do:
            command += f" --do {shlex.quote(do)}"
        asked = {"wanted": wanted, "confirm_timeout": confirm_timeout}
        out = self.run(f"{command} 2>&1 || true", json.dumps(asked))
        last = out.strip().splitlines()[-1]
        if last.startswith("killed at step") or "Killed" in last:
            return None
        return json.loads(last)

    def settle(self):
        """Wait until no guardian runs any more."""
        self.run(
            'for i in $(seq 300); do [ -n "$(systemctl list-units --plain --no-legend'
            " --state=active,activating,deactivating,reloading 'k3s-network-guardian-*')\" ]"
            " || exit 0; sleep 0.1; done; exit 1"
        )

    def wait_for(self, condition):
        """Wait until a shell condition holds on the node, which may be away meanwhile."""
        for _attempt in range(60):
            time.sleep(1)
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.run(condition)
                return
        raise AssertionError(f"{self.name}: never {condition}")

    def snapshot(self):
        """Return all that prepare may change, but the copies that firewalld keeps of our files."""
        # All at once, since a connection costs as much as what is asked.
        asked = f"{READY}(\n{SNAPSHOT})\necho {BETWEEN}\n{PROFILES}"
        whole, profiles = self.run(asked).split(f"{BETWEEN}\n")
        lines = [line for line in whole.splitlines() if "  NetworkManager/" not in line]
        kept = [line for line in lines if not ("/k3s-" in line and line.endswith(".xml.old"))]
        return kept + profiles.splitlines()
