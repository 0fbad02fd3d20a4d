# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure what the collection computes on the controller for a large cluster: CPU time and memory.

Ansible itself and the connections are left out. Between the two sizes, a step that takes the same
for each node grows by the factor 4, and one that grows with the square of the nodes by 16. Each
host reports what a sound node of the lab reported: one NIC, and every probe as expected.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import (
    firewall_wanted,
    with_ipsets,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    OPEN,
    Plan,
    Settings,
    part_of,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report import (
    evaluate,
    files,
    terminal,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.seen import Seen
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import model
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.inventory import (
    Inventory,
    resolve,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.settings import (
    read_settings,
)

ROOT = Path(__file__).resolve().parents[2]
NODES = (250, 1000)
SERVERS = 3
_KIB = 1024


def measure() -> dict[int, dict[str, dict[str, float]]]:
    """Return CPU seconds and peak MiB of each step, by the number of nodes."""
    # Each in a process of its own, for its own peak of memory.
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        return {nodes: pool.apply(_measure, (nodes,)) for nodes in NODES}


def table(found: dict[int, dict[str, dict[str, float]]]) -> list[list[str]]:
    """Return the figures as lines of a table, with how each step grows."""
    small, large = NODES
    return [
        [
            step,
            f"{found[small][step]['seconds']:.2f} s",
            f"{found[large][step]['seconds']:.2f} s",
            f"{found[large][step]['seconds'] / max(found[small][step]['seconds'], 0.001):.1f}",
            f"{found[large][step]['mib']:.0f} MiB",
        ]
        for step in found[large]
    ]


def _measure(nodes: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    inventory = _inventory(nodes)
    names = [host.name for host in inventory.hosts]

    def timed(step: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        value = work()
        found[step] = {
            "seconds": time.process_time() - start,
            "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB,
        }
        return value

    text = timed("cluster_inventory, once", inventory.to_text)
    topology = timed("cluster_topology, once", lambda: _topology(text))
    plan_text = timed(
        "connectivity_plan, once",
        lambda: Plan(topology, Settings(names, "sample", "1")).in_rounds().to_text(),
    )
    timed("firewalld_state, all hosts", lambda: [firewall_wanted(topology, one) for one in names])
    timed(
        "port_listener, all hosts",
        lambda: [part_of(plan_text, one)["listeners"] for one in names],
    )
    targets = timed(
        "port_probe, all hosts",
        lambda: {one: part_of(plan_text, one)["targets"][0] for one in names},
    )
    plan = Plan.from_text(plan_text)
    probes = {name: _probed(plan, name, targets[name]) for name in names}
    timed("connectivity_report, once", lambda: _report(plan, probes))
    return found


def _inventory(nodes: int) -> Inventory:
    defaults = yaml.safe_load((ROOT / "roles/k3s_topology/defaults/main.yml").read_text())
    hosts = [
        model.Host(f"node{number}", model.SERVER if number < SERVERS else model.AGENT)
        for number in range(nodes)
    ]
    settings, _problems = read_settings(
        {name.removeprefix("k3s_topology_"): value for name, value in defaults.items()}
    )
    return Inventory(settings, hosts, {host.name: [] for host in hosts})


def _topology(text: str) -> model.Topology:
    inventory = Inventory.from_text(text)
    settings, hosts, _problems = resolve(inventory, {})
    topology = build(
        settings,
        [
            replace(host, interfaces={"eth0": [f"10.20.{number // 250}.{number % 250 + 1}/16"]})
            for number, host in enumerate(hosts)
        ],
    )
    return with_ipsets(topology)


def _probed(plan: Plan, name: str, targets: list[Any]) -> dict[str, Any]:
    """Return what port_probe returns if everything is as expected."""
    is_open = {
        (one["address"], one["protocol"], port)
        for one in plan.expectations(name)
        if one["expected"] == OPEN
        for port in one["ports"]
    }
    results = [
        {
            "address": target["address"],
            "protocol": target["protocol"],
            "first": port,
            "last": port,
            "observed": OPEN
            if (target["address"], target["protocol"], port) in is_open
            else "rejected",
            "detail": "",
        }
        for target in targets
        for port in _ports(target["ports"])
    ]
    return {"results": results, "sources": {}, "duplicates": {}, "ended": {}}


def _ports(texts: list[str]) -> Iterator[int]:
    for text in texts:
        first, _dash, last = text.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _report(plan: Plan, probes: dict[str, Any]) -> None:
    listeners = {name: {"busy": [], "processes": []} for name in probes}
    expectations = (one for name in plan.sources() for one in plan.expectations(name))
    report = evaluate.build(plan.topology, expectations, Seen(probes, listeners, "listen"))
    terminal.table(report, plan.topology)
    with tempfile.TemporaryDirectory() as directory:
        files.write(directory, report, plan.topology, datetime.now(timezone.utc))
    if not report["ok"]:
        raise RuntimeError(json.dumps(report["summary"]))


if __name__ == "__main__":
    for line in table(measure()):
        print(*line, sep="\t")
