# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure what the collection takes, beside ansible.posix.firewalld for the same matrix.

Starts a lab of its own with three servers, measures everything in rounds, so that what slows the
machine for a while slows all alike, prints the medians and ends the lab. It judges no time; it
fails where a run did not do what its name says. The results are in .build/bench.json as well.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.metadata
import ipaddress
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import controller
import full_range
import scale
import yaml
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import with_ipsets
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import model
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.settings import (
    read_settings,
)

HERE = Path(__file__).resolve().parent
PYTHON_ON_NODE = HERE / "python_on_node.py"
ROOT = HERE.parents[1]
BUILD = ROOT / ".build"
# Where ansible.posix is.
COLLECTIONS = BUILD / f"bench/venv/lib/python3.{sys.version_info.minor}/site-packages"
LAB = "bench"
SERVERS = 3
NODES = (3, 300)
# The other nodes' network, which nobody in the lab has, nor pods or services.
ELSEWHERE = ipaddress.ip_network("198.18.0.0/15")
# Of the module with nothing to change, in a round: it takes a fraction of a second.
REPEAT = 3
# python_on_node.py, on a node.
PYTHON = "/var/tmp/bench-python"

ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_COLLECTIONS_PATH": f"{BUILD}:{COLLECTIONS}",
    "ANSIBLE_GATHERING": "explicit",
    "ANSIBLE_HOST_KEY_CHECKING": "false",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_PIPELINING": "true",
}

FLOOR = "F: a playbook with only a ping"
F_IS = (
    "F is what Ansible itself takes on the same nodes: it starts, reads the inventory, connects "
    "and runs the module ansible.builtin.ping."
)
FIRST = "edgeops.k3s_network.prepare, first apply"
AGAIN = "edgeops.k3s_network.prepare, run again"
VALIDATE = "edgeops.k3s_network.validate"
PREFLIGHT = "edgeops.k3s_network.preflight"
POSIX_FIRST = "ansible.posix.firewalld, first apply"
POSIX_AGAIN = "ansible.posix.firewalld, run again"
MODULE_FIRST = "edgeops.k3s_network.firewalld_state for {} nodes, first apply"
MODULE_AGAIN = "edgeops.k3s_network.firewalld_state for {} nodes, run again"

SNAPSHOT = (
    "for where in '' --permanent; do firewall-cmd $where --list-all-zones;"
    " firewall-cmd $where --list-all-policies; firewall-cmd $where --get-ipsets; done"
)
# What comparison.yml has changed is these zones; one that is as it was delivered is no mistake.
CLEAN_UP = (
    "for zone in $(firewall-cmd --get-default-zone) trusted; do"
    " firewall-cmd --permanent --load-zone-defaults=$zone >/dev/null 2>&1; done;"
    " firewall-cmd --reload >/dev/null"
)


class BenchError(Exception):
    """A run did something else than what was to be measured."""


class Bench:
    """The lab with what was measured in it."""

    python = PYTHON

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = ENVIRONMENT
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.mib: dict[str, list[float]] = defaultdict(list)
        inventory = yaml.safe_load((directory / "inventory.yml").read_text())
        self.hosts: dict[str, dict[str, str]] = inventory["all"]["hosts"]
        self.before = self.snapshot()

    def snapshot(self) -> dict[str, str]:
        """Return what each node's firewalld holds."""
        return {host: self.ssh(host, SNAPSHOT) for host in self.hosts}

    def ssh(self, host: str, command: str, stdin: str = "") -> str:
        """Run a command on a machine and return its output."""
        return run(["ssh", "-F", str(self.directory / "ssh_config"), host, command], stdin=stdin)

    def playbook(self, playbook: str, *arguments: str) -> tuple[float, str]:
        """Return how long a playbook took, all of ansible-playbook, and what it printed."""
        argv = ["ansible-playbook", "-i", str(self.directory / "inventory.yml"), playbook]
        start = time.monotonic()
        output = run([*argv, *arguments], env=self.environment)
        return time.monotonic() - start, output

    def measure(self, name: str, playbook: str, changes: bool) -> None:
        """Time a playbook, which changes something on every node or nothing on any."""
        seconds, output = self.playbook(playbook)
        self.check_changes(name, output, SERVERS, changes)
        self.seconds[name].append(seconds)

    @staticmethod
    def check_changes(name: str, output: str, hosts: int, changes: bool) -> None:
        """Make sure that a playbook changed something on every host, or nothing on any."""
        changed = [int(number) for number in re.findall(r"\bchanged=(\d+)", output)]
        if len(changed) != hosts or any(bool(number) != changes for number in changed):
            raise BenchError(f"{name}: changed={changed}\n{output}")

    def check_clean(self, what: str) -> None:
        """Make sure that the nodes' firewalls are as they were at the start."""
        for host, text in self.snapshot().items():
            lines = difflib.unified_diff(
                self.before[host].splitlines(), text.splitlines(), "before", "now", lineterm=""
            )
            difference = "\n".join(lines)
            if difference:
                raise BenchError(f"{what} has left something behind on {host}:\n{difference}")

    def ours(self) -> None:
        """Measure our playbook, and take away what it made."""
        playbook = "edgeops.k3s_network.prepare"
        self.measure(FIRST, playbook, changes=True)
        self.measure(AGAIN, playbook, changes=False)
        self.measure(VALIDATE, "edgeops.k3s_network.validate", changes=False)
        self.measure(PREFLIGHT, "edgeops.k3s_network.preflight", changes=False)
        self.playbook("edgeops.k3s_network.remove")
        self.check_clean("edgeops.k3s_network.remove")

    def comparison(self) -> None:
        """Measure what we compare with, and take away what it made."""
        playbook = str(HERE / "comparison.yml")
        self.measure(POSIX_FIRST, playbook, changes=True)
        self.measure(POSIX_AGAIN, playbook, changes=False)
        for host in self.hosts:
            self.ssh(host, CLEAN_UP)
        self.check_clean("the clean-up after the comparison")

    def module(self, nodes: int) -> None:
        """Measure the module alone, on one node, for a number of nodes.

        Ansible runs modules on the node by a Python that notes what each takes, from the start of
        Python to its end: so neither Ansible's start nor SSH nor the templates count, which take
        longer than the module and vary by more, but whatever runs on the node for the task does.
        """
        topology = BUILD / "bench" / f"topology-{nodes}.json"
        topology.write_text(json.dumps({"bench_topology": self.topology(nodes)}))
        variables = (f"@{topology}", f"ansible_python_interpreter={PYTHON}")
        arguments = [word for one in variables for word in ("--extra-vars", one)]
        for number in range(1 + REPEAT):
            name = (MODULE_AGAIN if number else MODULE_FIRST).format(nodes)
            self.put_python("server1")
            _seconds, output = self.playbook(str(HERE / "node.yml"), *arguments)
            self.check_changes(name, output, hosts=1, changes=number == 0)
            runs = self.python_log("server1")
            self.seconds[name].append(sum(one["seconds"] for one in runs))
            self.mib[name].append(max(one["mib"] for one in runs))
        self.playbook("edgeops.k3s_network.remove")
        self.check_clean("edgeops.k3s_network.remove")

    def put_python(self, *hosts: str) -> None:
        """Have nodes ready to run modules by a Python that notes what each takes."""
        program = f"#!/usr/bin/python3\n{PYTHON_ON_NODE.read_text()}"
        for host in hosts:
            self.ssh(host, f"rm -f {PYTHON}.log; cat >{PYTHON}; chmod +x {PYTHON}", stdin=program)

    def python_log(self, host: str) -> list[dict[str, float]]:
        """Return what each of its runs on a node took."""
        return [json.loads(line) for line in self.ssh(host, f"cat {PYTHON}.log").splitlines()]

    def topology(self, nodes: int) -> dict[str, Any]:
        """Return a cluster of the lab's servers and as many agents elsewhere as it lacks."""
        defaults = yaml.safe_load((ROOT / "roles/k3s_topology/defaults/main.yml").read_text())
        settings, _problems = read_settings(
            {name.removeprefix("k3s_topology_"): value for name, value in defaults.items()}
        )
        hosts = [
            model.Host(name, model.SERVER, node_ip=variables["ansible_host"])
            for name, variables in self.hosts.items()
        ]
        hosts += [
            model.Host(f"agent{number}", model.AGENT, node_ip=str(ELSEWHERE[number]))
            for number in range(1, nodes - len(hosts) + 1)
        ]
        return dict(with_ipsets(build(settings, hosts)))

    def round(self) -> None:
        """Measure everything once."""
        self.measure(FLOOR, str(HERE / "floor.yml"), changes=False)
        self.ours()
        self.comparison()
        for nodes in NODES:
            self.module(nodes)

    def versions(self) -> dict[str, str]:
        """Return what was measured with what."""
        manifest = COLLECTIONS / "ansible_collections/ansible/posix/MANIFEST.json"
        return {
            "commit": run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip(),
            "ansible-core": importlib.metadata.version("ansible-core"),
            "ansible.posix": json.loads(manifest.read_text())["collection_info"]["version"],
            "firewalld": self.ssh("server1", "firewall-cmd --version").strip(),
            "processors": str(os.cpu_count()),
            "load of the machine": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        }


def run(argv: Sequence[str], stdin: str = "", env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its output."""
    done = subprocess.run(argv, input=stdin, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(
            f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def lab(*arguments: str) -> str:
    """Run a command of the lab."""
    return run([sys.executable, "-B", str(ROOT / "molecule/lab/lab.py"), *arguments])


@contextlib.contextmanager
def servers(agents: int = 0, clients: int = 0) -> Iterator[Path]:
    """Start the lab and end it, however what is done in it ends."""
    try:
        numbers = ("--servers", str(SERVERS), "--agents", str(agents), "--clients", str(clients))
        lab("create", "--name", LAB, *numbers, "--replace")
        yield Path(lab("path", "--name", LAB).strip())
    finally:
        # What ends us once more ends us when the machines are gone.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        subprocess.run(
            [sys.executable, "-B", str(ROOT / "molecule/lab/lab.py"), "destroy", "--name", LAB],
            check=True,
            start_new_session=True,
        )


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the figures of a row."""
    return {
        "median": statistics.median(values),
        "least": min(values),
        "greatest": max(values),
        "values": list(values),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Print a table in Markdown, with all columns but the first set to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append(f"| {' | '.join(cells)} |")
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(lines)


def report(bench: Bench, versions: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the results for people and for programs."""
    seconds = {name: summary(values) for name, values in bench.seconds.items()}
    mib = {name: summary(values) for name, values in bench.mib.items()}
    rows = []
    for name, figures in seconds.items():
        figures["ratio_to_floor"] = figures["median"] / seconds[FLOOR]["median"]
        rows.append(
            [
                name,
                f"{figures['median']:.2f} s",
                f"{figures['ratio_to_floor']:.2f}",
                f"{figures['least']:.2f} to {figures['greatest']:.2f} s",
                str(len(figures["values"])),
            ]
        )
    small, large = (MODULE_AGAIN.format(nodes) for nodes in NODES)
    pairs = {
        "first apply: prepare to ansible.posix.firewalld": (FIRST, POSIX_FIRST),
        "run again: prepare to ansible.posix.firewalld": (AGAIN, POSIX_AGAIN),
        f"run again: firewalld_state for {NODES[1]} nodes to that for {NODES[0]}": (large, small),
    }
    ratios = {
        name: {key: seconds[one][key] / seconds[other][key] for key in ("median", "least")}
        for name, (one, other) in pairs.items()
    }
    results = {"versions": versions, "seconds": seconds, "peak_mib": mib, "ratios": ratios}
    text = [
        table(["what", "median", "ratio to F", "range", "runs"], rows),
        F_IS,
        # Where other jobs run on the machine, the least tell more than the medians.
        table(
            ["ratio", "of the medians", "of the least"],
            [
                [name, f"{ratio['median']:.3f}", f"{ratio['least']:.3f}"]
                for name, ratio in ratios.items()
            ],
        ),
        table(
            ["peak of resident memory on the node", "median", "greatest"],
            [
                [name, f"{figures['median']:.1f} MiB", f"{figures['greatest']:.1f} MiB"]
                for name, figures in mib.items()
            ],
        ),
        ", ".join(f"{name} {value}" for name, value in versions.items()),
    ]
    return "\n\n".join(text), results


def measure_scale(machines: int) -> str:
    """Measure on so many machines, one of them a client outside."""
    nodes = machines - 1
    with servers(agents=nodes - SERVERS, clients=1) as directory:
        rows = scale.Scale(directory, run, ENVIRONMENT).measure()
    (BUILD / "bench-scale.json").write_text(json.dumps(rows, indent=2) + "\n")
    head = [f"{nodes} nodes and a client", "seconds", "per node", "checks per node"]
    return table(head, scale.table(rows, nodes))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="rounds to take the medians of")
    parser.add_argument(
        "--scale", type=int, metavar="MACHINES", help="measure the scale alone, on so many machines"
    )
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs is at least 1")
    if arguments.scale is not None and arguments.scale < SERVERS + 2:
        parser.error(f"--scale is at least {SERVERS + 2}")
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_args: sys.exit(1))
    (BUILD / "bench").mkdir(parents=True, exist_ok=True)
    try:
        if arguments.scale is not None:
            print(measure_scale(arguments.scale))
            return 0
        with servers() as directory:
            bench = Bench(directory)
            # Opens the connections, which Ansible then keeps.
            bench.playbook(str(HERE / "floor.yml"))
            for number in range(1, arguments.runs + 1):
                print(f"round {number} of {arguments.runs} ...", file=sys.stderr, flush=True)
                bench.round()
            full_range_figures = full_range.measure(bench, arguments.runs)
            text, results = report(bench, bench.versions())
        on_controller = controller.measure()
    except (BenchError, full_range.FullRangeError, scale.ScaleError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    results["full_range"] = full_range_figures
    results["controller"] = {str(nodes): steps for nodes, steps in on_controller.items()}
    (BUILD / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    head = ["on the controller", *(f"{nodes} nodes" for nodes in controller.NODES)]
    costs = table([*head, "growth", "peak of memory"], controller.table(on_controller))
    print(text, full_range.text(full_range_figures), costs, sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
