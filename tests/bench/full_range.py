# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure how fast every port of Longhorn's range is proved, beside nmap, which proves no host.

Both probe the same listeners of ours, in turns. Time is that of a whole process on the node, with
the start of Python and of nmap. Memory is that of the modules as Ansible runs them.
"""

from __future__ import annotations

import base64
import io
import json
import re
import statistics
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import listener

if TYPE_CHECKING:
    from bench import Bench

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIRST, LAST = 10000, 30000
PORTS = LAST - FIRST + 1
RANGE = f"{FIRST}-{LAST}"
# Of nmap's ports a second; the second is the aim.
LEAST_RATIO, AIM = 0.4, 0.8
MOST_MIB = 150
DIRECTORY = "/var/tmp/bench-full-range"
PROGRAM = f"PYTHONPATH={DIRECTORY} python3 -B {DIRECTORY}/full_range_on_node.py"
NMAP = f"nmap -n -Pn -sT -T5 --min-rate 20000 -p {RANGE}"
OPEN_RANGE = f"firewall-cmd -q --{{}}-port={RANGE}/tcp"


class FullRangeError(Exception):
    """Not every port was proved."""


def measure(bench: Bench, runs: int) -> dict[str, Any]:
    """Return the figures. Raises FullRangeError where not all ports were proved on both sides."""
    address = bench.hosts["server1"]["ansible_host"]
    for host in ("server1", "server2"):
        _put_program(bench, host)
    bench.ssh("server1", OPEN_RANGE.format("add"))
    try:
        mib = _by_modules(bench)
        listen = bench.ssh("server1", f"{PROGRAM} listen {address} {FIRST} {LAST}")
        processes = json.loads(listen)
        try:
            seconds: dict[str, list[float]] = {"ours": [], "nmap": []}
            for _run in range(runs):
                seconds["ours"].append(_ours(bench, address))
                seconds["nmap"].append(_nmap(bench, address))
        finally:
            pids = " ".join(str(process["pid"]) for process in processes)
            bench.ssh("server1", f"kill -KILL {pids}")
    finally:
        bench.ssh("server1", OPEN_RANGE.format("remove"))
        for host in ("server1", "server2"):
            bench.ssh(host, f"rm -rf {DIRECTORY}")
    rates = {name: PORTS / statistics.median(values) for name, values in seconds.items()}
    ratio = rates["ours"] / rates["nmap"]
    return {"seconds": seconds, "ports_per_second": rates, "ratio_to_nmap": ratio, "mib": mib}


def text(figures: dict[str, Any]) -> str:
    """Return the figures for people."""
    rates, mib = figures["ports_per_second"], figures["mib"]
    return (
        f"full range: {PORTS} ports proved by tokens, {rates['ours']:.0f} a second; nmap touched "
        f"{rates['nmap']:.0f} a second; ratio {figures['ratio_to_nmap']:.2f} (at least "
        f"{LEAST_RATIO}, aim {AIM}); memory of all processes {mib['listener']:.0f} MiB "
        f"(listener), {mib['probe']:.0f} MiB (probe), of {MOST_MIB} each"
    )


def _put_program(bench: Bench, host: str) -> None:
    """Put the collection's code on a node, which has no Ansible."""
    utils = "plugins/module_utils"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(HERE / "full_range_on_node.py", "full_range_on_node.py")
        for path in (ROOT / utils).glob("*.py"):
            archive.add(path, f"ansible_collections/edgeops/k3s_network/{utils}/{path.name}")
    unpack = f"mkdir -p {DIRECTORY} && base64 -d | tar -xz -C {DIRECTORY}"
    bench.ssh(host, unpack, stdin=base64.b64encode(packed.getvalue()).decode())


def _ours(bench: Bench, address: str) -> float:
    seconds, out = _timed(bench, f"{PROGRAM} probe {address} {FIRST} {LAST}")
    observed = json.loads(out)
    if observed != {"open": PORTS}:
        raise FullRangeError(f"of {PORTS} ports ours found {observed}")
    return seconds


def _nmap(bench: Bench, address: str) -> float:
    # Neighbours in one state are one line in this form.
    seconds, out = _timed(bench, f"{NMAP} -oG - {address}")
    found = len(re.findall(r"\d+/open/tcp", out))
    if found != PORTS:
        raise FullRangeError(f"of {PORTS} ports nmap found {found} open")
    return seconds


def _timed(bench: Bench, command: str) -> tuple[float, str]:
    """Return how long a command took on a node, without the way there, and what it printed."""
    timed = f"date +%s.%N; {command}; date +%s.%N"
    before, *lines, after = bench.ssh("server2", timed).splitlines()
    return float(after) - float(before), "\n".join(lines)


def _by_modules(bench: Bench) -> dict[str, float]:
    """Prove the range by the modules, and return what all processes of each took at most."""
    bench.put_python("server1", "server2")
    variables = {"bench_range": RANGE, "ansible_python_interpreter": bench.python}
    _seconds, out = bench.playbook(str(HERE / "full_range.yml"), "-e", json.dumps(variables))
    match = re.search(r'"msg": (".*")$', out, re.MULTILINE)
    if match is None:
        raise FullRangeError(out)
    found = json.loads(json.loads(match[1]).removeprefix("FULL "))
    proved = sum(
        one["last"] - one["first"] + 1 for one in found["results"] if one["observed"] == "open"
    )
    if proved != PORTS:
        raise FullRangeError(f"of {PORTS} ports the modules proved {proved}: {found['results']}")
    # Of the largest process; the module itself waits for those that probe.
    (probe,) = bench.python_log("server2")
    return {
        "listener": sum(map(int, found["kib"])) / 1024,
        "probe": probe["mib"] * (1 + listener.processes_for(PORTS)),
    }
