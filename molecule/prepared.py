# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepare the firewall of a scenario's topology by the playbook."""

from __future__ import annotations

from typing import Any

import topology


def succeed(run: Any) -> Any:
    """Return a run of a playbook, which must have succeeded."""
    assert run.returncode == 0, run.output
    return run


def prepare(playbook: Any, *arguments: str, **extra: Any) -> Any:
    """Run the firewall part of the playbook prepare."""
    return succeed(
        playbook("prepare", "--tags", "firewall", *arguments, **topology.VARIABLES, **extra)
    )
