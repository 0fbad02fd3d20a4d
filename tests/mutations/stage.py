# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab on which mutations are played: its machines by SSH, its network, and the playbooks."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .cluster import CLUSTER, EXTERNAL, SEGREGATED, SHARED, Cluster, Machine, Nic
from .mutation import FILTER_COMMANDS, LAB, PREPARE, Commands, Mutation
from .packets import contradictions
from .table import AGENT, CLIENT, SERVER
from .world import World, intact

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
LAB_PROGRAM = [sys.executable, "-B", str(ROOT / "molecule/lab/lab.py")]

VARIABLES: dict[str, dict[str, str]] = {
    SHARED: {},
    SEGREGATED: {
        "k3s_topology_mode": SEGREGATED,
        "k3s_topology_cluster_interface": "eth0",
        "k3s_topology_external_interface": "eth1",
    },
}
_GROUPS = {"server": SERVER, "agent": AGENT, "external_clients": CLIENT}
_SNAPSHOT = (
    "firewall-cmd --list-all-policies; firewall-cmd --list-all-zones; "
    "for one in $(firewall-cmd --get-ipsets); do firewall-cmd --info-ipset=$one; done; "
    # firewalld keeps copies of files that it deletes.
    "firewall-cmd --permanent --list-all-policies; ls -I 'k3s-*.xml.old' /etc/firewalld/*; "
    "ip -o -4 address show scope global; ip -o link | sed 's/.*: \\(.*\\)@.*/link \\1/; s/:.*//'; "
    "nft list tables; ip -4 route; ls /etc/systemd/system; sysctl net.ipv4.conf.eth0.arp_ignore"
)


# As a report names them: "firewall-cmd --zone=public --remove-port=80/tcp, and the same with".
_COMMAND = re.compile(
    r"firewall-cmd --(?:zone|policy)=[\w-]+ --[a-z-]+=(?:'[^']*'|[^\s',]+)(?=, and the same with)"
    r"|(?<=or remove it: )(?:nft|iptables(?:-nft)?) .*?(?=; then )"
)


_TOPOLOGY_PLAYBOOK = """
- hosts: all
  become: true
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: edgeops.k3s_network.k3s_topology}
    - ansible.builtin.copy:
        content: "{{ k3s_topology_cluster.topology | to_json }}"
        dest: "{{ topology_path }}"
        mode: "0600"
      delegate_to: localhost
      become: false
      run_once: true
"""


class StageError(Exception):
    """The lab did not do what it was told; no verdict on the collection."""


class Stage:
    """A lab that is up, with the cluster that is prepared on it."""

    def __init__(self, inventory: Path, ssh_config: Path, mode: str, sockets: Path) -> None:
        self._inventory = inventory
        self._ssh_config = ssh_config
        self._sockets = sockets
        # Where molecule has a lab, it has a link to this file in the lab's own directory.
        self._lab = ssh_config.resolve().parent.name
        self._environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(BUILD),
            "ANSIBLE_FORCE_COLOR": "false",
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": "true",
        }
        self.variables = VARIABLES[mode]
        self._mode = mode
        self.cluster = self._read_cluster()
        self._before = self._snapshots()

    def break_(self, mutation: Mutation) -> None:
        """Run the commands that break the cluster; raises StageError where one fails."""
        self._run_all(mutation.breaks)

    def measure(self, mutation: Mutation) -> None:
        """Compare the model of a mutation with packets; raises StageError if it is wrong."""
        if mutation.measured:
            self._measure(mutation, mutation.world)

    def _measure(self, mutation: Mutation, world: World) -> None:
        wrong = contradictions(self._run, mutation, world)
        if wrong:
            raise StageError("; ".join(wrong))

    def mend(self, mutation: Mutation) -> None:
        """Run all commands that mend it, also where the break had not come to its end."""
        errors = self._failures(mutation.mends)
        if errors:
            raise StageError("; ".join(errors))

    def check_mended(self) -> None:
        """Make sure that the machines are as they were when the stage was set up."""
        for name, lines in self._snapshots().items():
            for text, one, other in (
                ("lacks", self._before[name], lines),
                ("has besides", lines, self._before[name]),
            ):
                if one - other:
                    raise StageError(f"{name} is not as it was: it {text} {sorted(one - other)}")

    def playbook(
        self, name: str, variables: Mapping[str, Any], fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection."""
        environment = dict(self._environment)
        if fresh:
            environment["ANSIBLE_SSH_ARGS"] = "-o ControlMaster=no -o ControlPath=none"
        return self._play(f"edgeops.k3s_network.{name}", variables, environment)

    def _play(
        self, playbook: str, variables: Mapping[str, Any], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        argv = ["ansible-playbook", "-i", str(self._inventory), playbook]
        argv += ["--extra-vars", json.dumps({**self.variables, **variables})]
        return subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)

    def prepare(self) -> None:
        """Prepare the cluster, and take that for how it has to be."""
        self._prepare()
        self._before = self._snapshots()

    def follow(self, mutation: Mutation, report: Mapping[str, Any]) -> None:
        """Do what a report says; raises StageError if that does not restore everything."""
        if mutation.remedy == PREPARE:
            self._prepare()
        else:
            commands = commands_of(report)
            if not commands:
                raise StageError("the report names no command that can be carried out")
            for name, command in sorted(commands):
                self._run(name, command)
        if mutation.remedy == FILTER_COMMANDS:
            self._measure(mutation, intact(self.cluster))
        else:
            self.check_mended()

    def _prepare(self) -> None:
        done = self.playbook("prepare", {})
        if done.returncode:
            raise StageError(f"prepare failed:\n{done.stdout}{done.stderr}")

    def validate(self, mutation: Mutation | None = None) -> dict[str, Any]:
        """Validate and return the report."""
        variables = dict(mutation.variables) if mutation else {}
        fresh = mutation is not None and mutation.fresh_connections
        with tempfile.TemporaryDirectory(prefix="k3s-mutations-") as directory:
            variables["k3s_connectivity_report_dir"] = directory
            done = self.playbook("validate", variables, fresh)
            path = Path(directory, "report.json")
            if not path.is_file():
                raise StageError(f"validate wrote no report:\n{done.stdout}{done.stderr}")
            report: dict[str, Any] = json.loads(path.read_text())
        return report

    def topology(self) -> dict[str, Any]:
        """Return the topology that the roles derive."""
        with tempfile.TemporaryDirectory(prefix="k3s-mutations-") as directory:
            playbook, path = Path(directory, "topology.yml"), Path(directory, "topology.json")
            playbook.write_text(_TOPOLOGY_PLAYBOOK)
            done = self._play(str(playbook), {"topology_path": str(path)}, self._environment)
            if not path.is_file():
                raise StageError(f"the topology is not known:\n{done.stdout}{done.stderr}")
            topology: dict[str, Any] = json.loads(path.read_text())
        return topology

    def ssh(self, name: str) -> list[str]:
        """Return the command that connects to a machine."""
        return [
            "ssh", "-F", str(self._ssh_config), "-o", "ControlMaster=auto",
            "-o", f"ControlPath={self._sockets}/%n", "-o", "ControlPersist=60", name,
        ]  # fmt: skip

    def _run_all(self, commands: Commands) -> None:
        for name, lines in commands.items():
            self._run(name, "\n".join(["set -e", *lines]))

    def _failures(self, commands: Commands) -> list[str]:
        errors = []
        for name, lines in commands.items():
            for line in lines:
                try:
                    self._run(name, line)
                except StageError as error:
                    errors.append(str(error))
        return errors

    def _run(self, name: str, script: str) -> str:
        if name == LAB:
            argv = [*LAB_PROGRAM, "exec", "--name", self._lab, "--", "sh"]
        else:
            argv = [*self.ssh(name), "sh"]
        done = subprocess.run(argv, check=False, input=script, capture_output=True, text=True)
        if done.returncode:
            raise StageError(f"{name}: {script}: {done.stderr or done.stdout}")
        return done.stdout

    def _snapshots(self) -> dict[str, set[str]]:
        return {
            one.name: snapshot_lines(self._run(one.name, _SNAPSHOT))
            for one in self.cluster.machines
        }

    def _read_cluster(self) -> Cluster:
        listed = subprocess.run(
            ["ansible-inventory", "-i", str(self._inventory), "--list"],
            check=True, capture_output=True, text=True, env=self._environment,
        )  # fmt: skip
        groups = json.loads(listed.stdout)
        found = [
            (name, kind, self._links(name))
            for group, kind in _GROUPS.items()
            for name in groups.get(group, {}).get("hosts", [])
        ]
        # The first node's NICs tell which network is which.
        networks = {
            link[1].network: network for link, network in zip(found[0][2], (CLUSTER, EXTERNAL))
        }
        machines = tuple(
            Machine(
                name,
                kind,
                tuple(
                    Nic(interface, networks[address.network], str(address.ip), mac)
                    for interface, address, mac in links
                    if address.network in networks
                ),
            )
            for name, kind, links in found
        )
        return Cluster(self._mode, machines)

    def _links(self, name: str) -> list[tuple[str, ipaddress.IPv4Interface, str]]:
        links = json.loads(self._run(name, "ip -json address show scope global"))
        return [
            (
                link["ifname"],
                ipaddress.IPv4Interface(f"{one['local']}/{one['prefixlen']}"),
                link["address"],
            )
            for link in links
            for one in link.get("addr_info", [])
            if one["family"] == "inet"
        ]


def commands_of(report: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the commands that failed checks name, each with its host."""
    return {
        (check["destination"], command)
        for check in report["checks"]
        if not check["ok"]
        for command in _COMMAND.findall(check["detail"])
    }


def snapshot_lines(text: str) -> set[str]:
    """Return lines with the heading that they are indented under: in firewalld order is nothing."""
    lines: set[str] = set()
    heading = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            heading = line
        _before, colon, entries = line.partition("entries: ")
        lines.update(f"{heading}: {one}" for one in (entries.split() if colon else [line]))
    return lines


@contextlib.contextmanager
def open_stage(inventory: Path, ssh_config: Path, mode: str) -> Iterator[Stage]:
    """Return a stage, and end its SSH connections afterwards."""
    with tempfile.TemporaryDirectory(prefix="k3s-ssh-") as sockets:
        try:
            yield Stage(inventory, ssh_config, mode, Path(sockets))
        finally:
            for socket in Path(sockets).iterdir():
                end = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", socket.name]
                subprocess.run(end, check=False, capture_output=True)


@contextlib.contextmanager
def new_lab(name: str, suite: str, mode: str) -> Iterator[None]:
    """Start three servers, an agent and a client outside, and end them afterwards."""
    nics = "2" if mode == SEGREGATED else "1"
    create = ["create", "--name", name, "--suite", suite, "--servers", "3", "--agents", "1"]
    create += ["--clients", "1", "--nics", nics]
    try:
        _lab(*create)
        yield
    finally:
        _lab("destroy", "--name", name)


def lab_directory(name: str) -> Path:
    """Return the directory of a lab that is up."""
    return Path(_lab("path", "--name", name).strip())


def _lab(*arguments: str) -> str:
    done = subprocess.run([*LAB_PROGRAM, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise StageError(done.stderr)
    return done.stdout
