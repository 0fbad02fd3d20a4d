# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring this host's firewalld to a state: puts together what plans, applies and guards."""

from __future__ import annotations

from typing import Any, Optional

from .._host.commands import RunCommand
from .._rollback.guard import Guard
from . import restore
from .apply import ensure
from .checkpoint import Checkpoint, CheckpointStore
from .connect import open_firewalld
from .read import Wanted
from .record_store import RecordStore
from .safety import ApplyOptions

# Another run may wait for its confirmation; ours is a guess at its patience.
_LEAST_PATIENCE = 60
_SPARE_PATIENCE = 30


def apply(
    run_command: RunCommand, wanted: Optional[Wanted], options: ApplyOptions
) -> dict[str, Any]:
    """Do what ensure() does, alone on this host. Raises FirewalldError or GuardError."""
    checkpoints = CheckpointStore()
    guard = Guard(run_command, checkpoints, restore.__name__, restore.PARTS)

    def recover(checkpoint: Checkpoint) -> None:
        interrupted = not checkpoints.was_done(checkpoint.identity)
        restore.roll_back(checkpoint, interrupted, run_command)

    patience = max(_LEAST_PATIENCE, options.confirm_timeout + _SPARE_PATIENCE)
    with guard.exclusive_lock(patience, None if options.check_mode else recover):
        result = ensure(lambda: open_firewalld(run_command), RecordStore(), guard, wanted, options)
    result["warned"] = [*guard.warnings, *result["warned"]]
    return result
