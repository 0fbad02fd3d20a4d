# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit of the host that a dozen machines reach, raised while there are labs.

Each systemd, D-Bus and NetworkManager watches files, and the kernel counts the watchers of all
machines as one user's: 128 is the usual limit, and a machine has 15 or more.
"""

from __future__ import annotations

from pathlib import Path

from common import locked

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 8192


def raise_limit(labs: Path) -> None:
    """Raise the limit and note what it was."""
    note = labs / ".max_user_instances"
    with locked(labs / ".limits.lock"):
        before = int(SETTING.read_text())
        if before < ENOUGH:
            note.write_text(str(before))
            SETTING.write_text(str(ENOUGH))


def give_back(labs: Path) -> None:
    """Set the limit as it was, unless there is a lab or somebody else has changed it."""
    note = labs / ".max_user_instances"
    with locked(labs / ".limits.lock"):
        if note.exists() and not any(labs.glob("*/lab.json")):
            if int(SETTING.read_text()) == ENOUGH:
                SETTING.write_text(note.read_text())
            note.unlink()
