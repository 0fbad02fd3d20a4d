# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible, testinfra and ssh reach the machines from outside the lab's namespace."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from common import LabError, run, wait_until
from network import Network
from spec import CLUSTER_GROUPS, MANAGERS, Machine, Spec

# Of one machine among many; six take 8 s on two cores, eighteen a minute.
PATIENCE = 180
SESSION_PATIENCE = 20
# A virtual machine may have its processor emulated: one takes a minute on two cores.
VM_FACTOR = 5

READY = """
ready() {
    for unit in $UNITS; do
        systemctl is-active --quiet "$unit" || return 1
    done
    addresses=$(ip -o -4 address)
    for cidr in $CIDRS; do
        case $addresses in *" $cidr "*) ;; *) return 1 ;; esac
    done
    zones=$(firewall-cmd --get-active-zones) || return 1
    for nic in $NICS; do
        case $zones in *"$nic"*) ;; *) return 1 ;; esac
    done
}
until ready; do sleep 0.3; done
systemctl is-system-running --wait
exit 0
"""


def make_keys(keys: Path) -> None:
    """Make a key for the client and one that all machines show as theirs."""
    keys.mkdir(mode=0o700)
    for name in ("client", "host"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "k3s-lab", "-f", keys / name)


def write_ssh_config(directory: Path, network: Network, spec: Spec) -> None:
    """Write the configuration under which `ssh -F FILE NAME` reaches a machine."""
    hosts = []
    for machine in spec.machines:
        hosts.append(f"Host {machine.name}\n  HostName {machine.nics[0].address}\n")
        if machine.vm:
            # With much to do and its processor emulated it may be silent for a while.
            hosts.append("  ServerAliveInterval 15\n")
    hosts.append(
        "Host *\n"
        "  User root\n"
        f"  IdentityFile {directory}/keys/client\n"
        "  IdentitiesOnly yes\n"
        "  StrictHostKeyChecking no\n"
        "  UserKnownHostsFile /dev/null\n"
        "  LogLevel ERROR\n"
        # A machine that reboots may take its network down before it closes the session; a reload
        # of firewalld stops all packets, for a while on a busy machine.
        "  ServerAliveInterval 5\n"
        "  ServerAliveCountMax 6\n"
        f"  ProxyCommand {' '.join(network.enter)} nc %h %p\n"
    )
    (directory / "ssh_config").write_text("".join(hosts))


def write_inventory(directory: Path, spec: Spec) -> None:
    """Write the Ansible inventory; it comes last and so marks the lab as complete."""
    (directory / "cp").mkdir(mode=0o700, exist_ok=True)
    hosts = {
        machine.name: {
            "ansible_host": machine.nics[0].address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": f"{directory}/keys/client",
            # Labs have the same addresses, by which alone Ansible names its control sockets.
            "ansible_ssh_common_args": f"-F {directory}/ssh_config "
            f"-o ControlPath={directory}/cp/%h-%p-%r",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        for machine in spec.machines
    }
    groups: dict[str, Any] = {}
    for machine in spec.machines:
        for group in machine.groups:
            groups.setdefault(group, {"hosts": {}})["hosts"][machine.name] = {}
    cluster = {group: groups.pop(group) for group in CLUSTER_GROUPS if group in groups}
    if cluster:
        groups["k3s_cluster"] = {"children": cluster}
    inventory = {"all": {"hosts": hosts, "children": groups}}
    unfinished = directory / "inventory.yml.new"
    unfinished.write_text("---\n" + "\n".join(_yaml(inventory)) + "\n")
    unfinished.rename(directory / "inventory.yml")


def _yaml(tree: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_yaml(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(value)}")
    return lines


def patience(machine: Machine, seconds: int = PATIENCE) -> int:
    """How long a machine may take for what takes a container so many seconds at most."""
    return seconds * VM_FACTOR if machine.vm else seconds


def answers(network: Network, machine: Machine) -> bool:
    """Whether something listens on the machine's SSH port."""
    probe = [*network.enter, "nc", "-z", "-w", "1", machine.nics[0].address, "22"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def settle(directory: Path, machine: Machine) -> None:
    """Wait, on the machine, until its addresses and its firewall are up and the boot is done."""
    # NetworkManager alone tells firewalld which NICs there are.
    announced = machine.nics if machine.network == "networkmanager" else ()
    settings = (
        f"UNITS='{MANAGERS[machine.network]} firewalld.service'\n"
        f"CIDRS='{' '.join(nic.cidr for nic in machine.nics)}'\n"
        f"NICS='{' '.join(nic.name for nic in announced)}'\n"
    )
    ssh = ["ssh", "-F", str(directory / "ssh_config"), machine.name, "sh"]
    failure = ""

    def settled() -> bool:
        nonlocal failure
        try:
            done = subprocess.run(
                ssh,
                check=False,
                input=settings + READY,
                text=True,
                capture_output=True,
                timeout=patience(machine),
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"addresses and firewall not up after {patience(machine)} s") from None
        failure = done.stderr.strip()
        return done.returncode == 0

    if not wait_until(settled, seconds=patience(machine, SESSION_PATIENCE)):
        raise LabError(f"no SSH session: {failure}")
