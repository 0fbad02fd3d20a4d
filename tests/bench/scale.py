# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure prepare and validate on many machines, with a full mesh and with the sparse plan.

It judges no time; it fails where the network was not found as it should be, or where the sparse
plan has not proved each row at each node from enough sources.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORKS = 20
# So that the lab's machines are too many for a full mesh.
FULL_MESH_MAX = 5
SOURCES = 3

Proofs = dict[tuple[str, str, str, str], set[str]]
"""The sources by destination, address, row and whether it shall be open."""


class ScaleError(Exception):
    """A row was not proved as it should be."""


class Scale:
    """A lab of many machines; C(run) runs a command with an environment and returns its output."""

    def __init__(
        self, directory: Path, run: Callable[..., str], environment: dict[str, str]
    ) -> None:
        self._inventory = str(directory / "inventory.yml")
        self._run = run
        self._environment = environment

    def measure(self) -> dict[str, dict[str, float]]:
        """Return what each playbook took, and how much was proved."""
        seconds, _report = self._playbook("prepare")
        rows = {"prepare, first apply": {"seconds": seconds}}
        proofs: list[Proofs] = []
        for name, variables in (
            ("validate, full mesh", {}),
            ("validate, sparse plan", {"k3s_connectivity_full_mesh_max": FULL_MESH_MAX}),
        ):
            seconds, report = self._playbook("validate", **variables)
            if not report["ok"]:
                raise ScaleError(f"{name}: {report['summary']}")
            proofs.append(_proofs(report))
            rows[name] = {"seconds": seconds, "checks": len(report["checks"])}
        _compare(*proofs)
        return rows

    def _playbook(self, name: str, **variables: Any) -> tuple[float, dict[str, Any]]:
        """Return how long a playbook of the collection took, and the report if it made one."""
        with tempfile.TemporaryDirectory() as directory:
            variables["k3s_connectivity_report_dir"] = directory
            argv = ["ansible-playbook", "-i", self._inventory, f"edgeops.k3s_network.{name}"]
            argv += ["--forks", str(FORKS), "--extra-vars", json.dumps(variables)]
            start = time.monotonic()
            self._run(argv, env=self._environment)
            seconds = time.monotonic() - start
            report = Path(directory) / "report.json"
            return seconds, json.loads(report.read_text()) if report.exists() else {}


def table(rows: dict[str, dict[str, float]], nodes: int) -> list[list[str]]:
    """Return the figures as lines of a table, those of a node as well."""
    return [
        [
            name,
            f"{figures['seconds']:.1f} s",
            f"{figures['seconds'] / nodes:.2f} s",
            f"{figures['checks'] / nodes:.0f}" if "checks" in figures else "",
        ]
        for name, figures in rows.items()
    ]


def _proofs(report: dict[str, Any]) -> Proofs:
    found: Proofs = defaultdict(set)
    for check in report["checks"]:
        key = check["destination"], check["address"], check["rule"], check["expected"]
        found[key].add(check["source"])
    return found


def _compare(mesh: Proofs, sparse: Proofs) -> None:
    for key, sources in mesh.items():
        enough = min(SOURCES, len(sources))
        if len(sparse.get(key, ())) < enough:
            raise ScaleError(f"{key}: proved from {sorted(sparse.get(key, ()))}, not {enough}")
