# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates a lab as the playbook does, with its modules and its report, and without Ansible.

A run of the playbook costs as much as five of these. The topology is the one of the prepared
cluster, so this is for what leaves the addresses of nodes as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from ansible_collections.edgeops.k3s_network.plugins.action.connectivity_report import evaluated
from ansible_collections.edgeops.k3s_network.plugins.filter.firewalld_wanted import (
    firewalld_wanted,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    Plan,
    Settings,
)

_PATIENCE = 120.0
_LISTENERS, _PROBES = "listeners", "probes"


class Server(Protocol):
    """A connection to a machine: task_server.TaskServer."""

    def ask(self, task: str, patience: float, **arguments: Any) -> Any: ...
    def end(self) -> None: ...


class DirectValidation:
    """Connections to the machines of a lab, and the cluster's topology."""

    def __init__(self, topology: dict[str, Any], servers: Mapping[str, Server]) -> None:
        self._topology = topology
        self._nodes = [node["name"] for node in topology["nodes"]]
        self._servers = servers
        self._threads = ThreadPoolExecutor(len(servers))

    def end(self) -> None:
        """End the connections."""
        for server in self._servers.values():
            server.end()
        self._threads.shutdown()

    def report(self, seed: str, coverage: str = "sample") -> dict[str, Any]:
        """Return the report of a run, as in report.json."""
        settings = Settings(
            sources=list(self._servers), coverage=coverage, seed=seed, token=f"token-{seed}"
        )
        plan = Plan(self._topology, settings).in_rounds()
        with self._listening(plan) as listeners:
            probes = self._each(list(self._servers), lambda name: self._probe(plan, name))
        hostvars = {
            name: {_LISTENERS: listeners.get(name), _PROBES: {"results": probes[name]}}
            for name in self._servers
        }
        variables = {"listeners_variable": _LISTENERS, "probes_variable": _PROBES}
        return dict(evaluated(plan, variables, hostvars))

    @contextlib.contextmanager
    def _listening(self, plan: Plan) -> Iterator[Mapping[str, Any]]:
        listeners = self._each(self._nodes, lambda name: self._listen(plan, name))
        try:
            yield listeners
        finally:
            self._each(self._nodes, lambda name: self._stop(name, listeners[name]))

    def _listen(self, plan: Plan, name: str) -> dict[str, Any]:
        part = plan.part(name)
        return self._module(
            name,
            "port_listener",
            {
                "listeners": part["listeners"],
                "token": part["token"],
                "name": name,
                "listen": part["listen"],
                "lease": part["lease"],
                "firewall": firewalld_wanted(self._topology, name),
            },
        )

    def _probe(self, plan: Plan, name: str) -> list[dict[str, Any]]:
        part = plan.part(name)
        return [
            self._module(name, "port_probe", {"token": part["token"], "targets": targets})
            for targets in part["targets"]
        ]

    def _stop(self, name: str, listeners: Mapping[str, Any]) -> None:
        numbers = " ".join(str(one["pid"]) for one in listeners.get("processes", ()))
        self._servers[name].ask("shell", _PATIENCE, command=f"kill -KILL {numbers} 2>&1 || true")

    def _module(self, name: str, module: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._servers[name].ask(
            "module", _PATIENCE, module=module, arguments=arguments
        )
        return result

    def _each(self, names: Sequence[str], do: Callable[[str], Any]) -> dict[str, Any]:
        """Return what a function returns for each machine; all at the same time."""
        return dict(zip(names, self._threads.map(do, names)))
