# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of all scenarios use: the machines, and the playbooks as a user runs them."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "tools"))

import matrix

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = str(EPHEMERAL / "inventory")
_NMAP_LINE = re.compile(r"^(\d+)/(tcp|udp)\s+(\S+)")


@dataclass(frozen=True)
class Run:
    """What came of a playbook."""

    returncode: int
    output: str

    def changed(self, host: str) -> int:
        """Return how many changes the recap counts for a host."""
        return self._count(host, "changed")

    def ok(self, host: str) -> int:
        """Return how many tasks the recap counts as done for a host."""
        return self._count(host, "ok")

    def _count(self, host: str, what: str) -> int:
        match = re.search(rf"^{host}\s*:.*\b{what}=(\d+)", self.output, re.MULTILINE)
        assert match, f"{host} is not in the recap of:\n{self.output}"
        return int(match.group(1))


@dataclass(frozen=True)
class Machine:
    """A machine of the lab, as seen by SSH."""

    name: str
    host: Any

    def run(self, command: str) -> str:
        """Run a shell command, which must succeed, and return what it printed."""
        result = self.host.run(command)
        assert result.rc == 0, f"{self.name}: {command}: {result.stderr or result.stdout}"
        return result.stdout

    def address(self, interface: str = "eth0") -> str:
        """Return the IPv4 address of an interface."""
        links = json.loads(self.run(f"ip -json -4 address show dev {interface}"))
        return links[0]["addr_info"][0]["local"]

    def nmap(
        self, address: str, ports: Iterable[tuple[str, int]], ipv6: bool = False
    ) -> dict[tuple[str, int], str]:
        """Return the state that nmap, run on this machine, sees of ports of an address.

        "closed" is an open path to a port that nobody holds; "filtered" is a firewall.
        """
        wanted = sorted(ports)
        tcp = ",".join(str(port) for protocol, port in wanted if protocol == "tcp")
        udp = ",".join(str(port) for protocol, port in wanted if protocol == "udp")
        listed = ",".join([f"T:{tcp}"] * bool(tcp) + [f"U:{udp}"] * bool(udp))
        scans = " ".join(["-6"] * ipv6 + ["-sS"] * bool(tcp) + ["-sU"] * bool(udp))
        # Without -d, nmap sums up states that many ports share.
        out = self.run(f"nmap -d -Pn -n -T4 --max-retries 3 {scans} -p {listed} {address}")
        matches = map(_NMAP_LINE.match, out.splitlines())
        states = {(m[2], int(m[1])): m[3] for m in matches if m}
        assert set(states) == set(wanted), out
        return states


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the files that tests/matrix.yml names for the scenario, and for K3S_TEST_STAGE if set."""
    named = matrix.files(
        matrix.load(),
        os.environ["MOLECULE_SCENARIO_NAME"],
        os.environ.get("K3S_TEST_STAGE"),
        os.environ["K3S_LAB_SUITE"],
    )
    config.hook.pytest_deselected(items=[item for item in items if item.path.name not in named])
    items[:] = [item for item in items if item.path.name in named]


@pytest.fixture(scope="session")
def controlpath() -> str | None:
    """Return where the connections are that Ansible keeps open: a new one takes its time."""
    # testinfra formats it once more.
    return str((EPHEMERAL / "ssh_config").resolve().parent / "cp" / "%%h-%%p-%%r")


@pytest.fixture(scope="session")
def machine(controlpath: str | None) -> Callable[[str], Machine]:
    """Return machines by name."""

    def get(name: str) -> Machine:
        host = testinfra.get_host(
            f"ssh://{name}", ssh_config=str(EPHEMERAL / "ssh_config"), controlpath=controlpath
        )
        return Machine(name, host)

    return get


@pytest.fixture(scope="session")
def variables() -> Callable[[str], dict[str, Any]]:
    """Return the variables of a host of the lab's inventory, for inventories of a test's own."""
    out = subprocess.run(
        ["ansible-inventory", "-i", INVENTORY, "--list"], check=True, capture_output=True, text=True
    ).stdout
    hostvars = json.loads(out)["_meta"]["hostvars"]
    return lambda name: hostvars[name]


@pytest.fixture(scope="session")
def playbook(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Run a playbook of the collection by its name, as a user does."""

    def run(name: str, *arguments: str, inventory: Any = None, **extra: Any) -> Run:
        source = INVENTORY
        if inventory is not None:
            path = tmp_path_factory.mktemp("inventory") / "inventory.yml"
            path.write_text(yaml.safe_dump(inventory))
            source = str(path)
        command = ["ansible-playbook", "-i", source, f"edgeops.k3s_network.{name}", *arguments]
        if extra:
            command += ["--extra-vars", json.dumps(extra)]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, timeout=300
        )
        return Run(done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture(scope="session")
def report(
    playbook: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Run, dict]]:
    """Run the playbook validate and return what came of it with its report.json."""

    def validate(**extra: Any) -> tuple[Run, dict]:
        directory = tmp_path_factory.mktemp("report")
        done = playbook("validate", k3s_connectivity_report_dir=str(directory), **extra)
        path = directory / "report.json"
        assert path.is_file(), done.output
        page = (directory / "report.html").read_text()
        found = json.loads(path.read_text())
        # The page tells the truth without a line of script: its list of failures is plain HTML.
        for check in found["checks"]:
            assert check["ok"] or check["detail"] in html.unescape(page)
        return done, found

    return validate
