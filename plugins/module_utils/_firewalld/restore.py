# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guardian loads once a rollback is due."""

from __future__ import annotations

from typing import Optional

from .._host.commands import RunCommand
from . import connect, write
from .checkpoint import Checkpoint, CheckpointStore

PARTS = (
    "_firewalld.backend",
    "_firewalld.bus",
    "_firewalld.checkpoint",
    "_firewalld.connect",
    "_firewalld.dbus",
    "_firewalld.dbus_read",
    "_firewalld.dbus_values",
    "_firewalld.errors",
    "_firewalld.files",
    "_firewalld.iptables",
    "_firewalld.iptables_rules",
    "_firewalld.model",
    "_firewalld.offline",
    "_firewalld.plan",
    "_firewalld.profiles",
    "_firewalld.read",
    "_firewalld.reload",
    "_firewalld.restore",
    "_firewalld.values",
    "_firewalld.write",
    "_host.commands",
    "_host.files",
    "_host.lock",
    "_host.networkmanager",
    "_packet_filter.iptables_save",
    "_ports",
    "_rollback.checkpoint",
    "_rollback.guardian",
)
"""All files of this collection that the guardian imports; a test compares."""


def load(directory: str) -> Optional[Checkpoint]:
    """Return the checkpoint of the open change, None if no change is open.

    Raises ValueError if the file does not hold a checkpoint, OSError if it cannot be read.
    """
    return CheckpointStore(directory).load()


def roll_back(
    checkpoint: Checkpoint, interrupted: bool, run_command: RunCommand = connect.run
) -> None:
    """Restore a checkpoint. Raises what write.roll_back() raises."""
    write.roll_back(connect.open_firewalld(run_command), checkpoint, interrupted)
