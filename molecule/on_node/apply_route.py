# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: applies a state of its default route as the module does, without Ansible."""

from __future__ import annotations

import subprocess
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    apply as module,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import extract
from steps import Steps

PARAMS = {
    "state": "present",
    "interface": "dummy0",
    "address": "203.0.113.254/31",
    "gateway": "203.0.113.255",
    "metric": 1000,
    "backend": "auto",
    "k3s_config": True,
    "node_ip": "10.89.0.11",
    "flannel_interface": "eth0",
    "k3s": {},
}


def run(command: list[str]) -> tuple[int, str, str]:
    """Run a command as AnsibleModule.run_command does."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def apply(check: bool = False, step: int = 0, **parameters: Any) -> dict[str, Any]:
    """Apply a state and return the module's result with the steps of the run.

    C(parameters) are those that differ from the role's defaults. At a step the process kills
    itself.
    """
    steps = Steps()
    steps.count(step)
    try:
        result = module.apply(run, {**PARAMS, **parameters}, check)
    except Exception as error:  # As the module does, with the error for the reader.
        result = {"failed": str(error)}
    steps.stop()
    return {**result, "steps": steps.names}


def k3s() -> dict[str, Any]:
    """Return what the module node_facts returns of K3s."""
    return extract()
