# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ansible-playbook against hosts whose shell and Python print recorded results.

The hosts are this machine, by the connection C(local). Nothing of the collection runs on them.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import ansible
import yaml
from ansible_collections.edgeops.k3s_network.plugins.action.node_facts import _BETWEEN
from ansible_collections.edgeops.k3s_network.tests.unit.support import answering_node, answers
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import facts

COLLECTION = pathlib.Path(__file__).parents[3]
TABLE = "Iface\n" + "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
RULES = [
    {"name": "api", "port": "6443", "protocol": "tcp"},
    {"name": "dns", "port": "53", "protocol": "udp"},
]
# No process has this number, so that the play ends none.
NO_PROCESS = {"pid": 4_194_304, "started": 1}
Lies = Mapping[str, Sequence[tuple[str, str]]]
"""By module, what its result has and what it has instead; C(ip) is what the shell prints."""


class Run(NamedTuple):
    """What a run of ansible-playbook printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Return all that the user sees."""
        return self.stdout + self.stderr


class Cluster:
    """An inventory of nodes that answer with what a sound node returns."""

    def __init__(self, directory: pathlib.Path, agents: int = 3) -> None:
        """Make the hosts server1, agent1, agent2 and so on."""
        self.directory = directory
        self.names = ["server1", *(f"agent{number + 1}" for number in range(agents))]
        for number, name in enumerate(self.names):
            self._make(name, number)
        (directory / "ansible.cfg").write_text("[defaults]\n")
        (directory / "inventory.yml").write_text(yaml.safe_dump(self._inventory()))

    def lie(self, name: str, lies: Lies) -> None:
        """Have a host replace texts in its results."""
        host = self.directory / name
        (host / "lies.json").write_text(json.dumps(lies))
        for old, new in lies.get("ip", ()):
            text = (host / "ip").read_text()
            assert old in text
            (host / "ip").write_text(text.replace(old, new))

    def change(self, name: str, module: str, **values: Any) -> None:
        """Have a host return other values."""
        path = self.directory / name / f"{module}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def play(
        self,
        playbook: str,
        *options: str,
        settings: Optional[Mapping[str, str]] = None,
        variables: Optional[Mapping[str, Any]] = None,
    ) -> Run:
        """Run a playbook: its path, or the name of one of the collection.

        Args:
            playbook: What to run.
            options: Further options of the command.
            settings: Environment variables, such as ANSIBLE_FORKS.
            variables: Extra variables.
        """
        temporary = self.directory / "tmp"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(pathlib.Path(ansible.__file__).parents[1]),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(temporary),
            "ANSIBLE_REMOTE_TEMP": str(temporary),
            "ANSIBLE_NOCOLOR": "1",
            **(settings or {}),
        }
        command = [sys.executable, "-m", "ansible.cli.playbook", playbook]
        command += ["-i", str(self.directory / "inventory.yml"), *options]
        command += ["-e", json.dumps({"k3s_connectivity_seed": "1", **(variables or {})})]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        # What is not UTF-8 fails the test.
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _make(self, name: str, number: int) -> None:
        host = self.directory / name
        host.mkdir(parents=True)
        _write_script(
            host / "python",
            f'exec {sys.executable} -I {answering_node.__file__} {host} "$@"\n',
        )
        _write_script(
            host / "sh",
            f'case "$2" in *"ip -json"*) exec cat {host}/ip;; esac\nexec /bin/sh "$@"\n',
        )
        links = [
            {
                "ifname": "eth0",
                "flags": ["UP"],
                "addr_info": [{"local": address(number), "prefixlen": 24, "scope": "global"}],
            }
        ]
        routes = [{"dst": "default", "dev": "eth0", "gateway": "192.0.2.1"}]
        parts = ["", json.dumps(links), json.dumps(routes), "", "", TABLE, ""]
        (host / "ip").write_text(f"\n{_BETWEEN}\n".join(parts))
        interfaces = {
            "eth0": {
                "mtu": 1500,
                "mac": f"02:00:00:00:00:{number:02x}",
                "addresses": [address(number)],
                "dynamic": [],
            }
        }
        seen = {
            **facts("server1"),
            "hostname": name,
            "machine_id": f"{number:032x}",
            "interfaces": interfaces,
        }
        sources = {address(other): address(number) for other in range(len(self.names))}
        results = {
            "preflight_facts": answers.preflight(seen),
            "port_listener": {
                **answers.LISTENERS,
                "processes": [NO_PROCESS],
                "firewall": answers.FIREWALL,
            },
            "port_probe": {**answers.PROBES, "sources": sources, "blocked": []},
        }
        for module, result in results.items():
            (host / f"{module}.json").write_text(json.dumps(result))
        self.lie(name, {})

    def _inventory(self) -> dict[str, Any]:
        def group(names: Sequence[str]) -> dict[str, Any]:
            return {"hosts": {name: self._variables(name) for name in names}}

        sources = {"source": ["server", "agent"], "destination": ["server", "agent"]}
        return {
            "k3s_cluster": {
                "children": {"server": group(self.names[:1]), "agent": group(self.names[1:])},
                "vars": {
                    "ansible_connection": "local",
                    "ansible_become": False,
                    "k3s_topology_ports": [{**rule, **sources} for rule in RULES],
                    "k3s_topology_http_redirect": False,
                },
            }
        }

    def _variables(self, name: str) -> dict[str, str]:
        return {
            "ansible_python_interpreter": str(self.directory / name / "python"),
            "ansible_shell_executable": str(self.directory / name / "sh"),
            "k3s_topology_node_ip": address(self.names.index(name)),
        }


def address(number: int) -> str:
    """Return the address of a node."""
    return f"192.0.2.{number + 11}"


def _write_script(path: pathlib.Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
