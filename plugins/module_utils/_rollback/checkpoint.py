# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the one change of the firewall that may be open on a node.

They are on disk from before the first step of a change until it is confirmed or rolled back, so
that they survive the end of the module and a reboot:

- C(checkpoint.json) exists as long as the change is open; removing it makes the change final.
- C(awaiting-ID) says that all steps are done, and until when the node waits for confirmation.
- C(confirmed-ID) is what the controller renames C(awaiting-ID) to. Either the controller renames it
  first or the node whose time is over; that decides.
- C(checkpoint.json.unreadable) is the last checkpoint that could not be read.

The guardian waits with these alone; what the first holds is in _firewalld/checkpoint.py.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from typing import Any, Optional, Protocol

from .._host.files import FileCopy, remove_file, rename_file, write_file

DIRECTORY = "/var/lib/k3s-network"
_CHECKPOINT = "checkpoint.json"
_AWAITING = "awaiting-"
_CONFIRMED = "confirmed-"
_EXPIRED = "expired-"


class Restorable(Protocol):
    """The state of a node before a change."""

    @property
    def identity(self) -> str:
        """What tells this change from all others."""

    @property
    def files(self) -> Sequence[FileCopy]:
        """The files as they were."""


class Restorer(Protocol):
    """A module that knows what a checkpoint holds."""

    def load(self, directory: str) -> Optional[Restorable]:
        """Return the state before the open change. Raises OSError or ValueError."""

    def roll_back(self, checkpoint: Any, interrupted: bool) -> None:
        """Restore it. C(interrupted) says that not all steps of the change were done."""


class CheckpointFiles:
    """Which change is open, and whether it is confirmed."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self.directory = directory
        self.path = os.path.join(directory, _CHECKPOINT)
        self.unreadable = f"{self.path}.unreadable"

    def identity(self) -> Optional[str]:
        """Return the identity of the open change, None if no change is open.

        Raises ValueError if the file does not hold a checkpoint, OSError if it cannot be read.
        """
        data = self._read()
        return None if data is None else str(data["identity"])

    def set_aside(self) -> None:
        """Rename a checkpoint that cannot be read, replacing an earlier one. Raises OSError."""
        rename_file(self.path, self.unreadable)

    def close(self) -> None:
        """Make the change, or its rollback, final. Raises OSError."""
        remove_file(self.path)

    def leave(self) -> None:
        """Remove what a change that is closed has left, and the directory where it is empty."""
        for name in self._names():
            # A leading dot is that of an interrupted write.
            if name.lstrip(".").startswith((_AWAITING, _CONFIRMED, _EXPIRED)):
                remove_file(os.path.join(self.directory, name))
        with contextlib.suppress(OSError):
            os.rmdir(self.directory)

    def wait_until(self, identity: str, deadline: float) -> None:
        """Say that all steps are done. C(deadline) is a time of CLOCK_BOOTTIME. Raises OSError."""
        write_file(self._path(_AWAITING, identity), str(deadline).encode())

    def deadline(self, identity: str) -> Optional[float]:
        """Return until when the node waits for confirmation, None if it does not."""
        try:
            with open(self._path(_AWAITING, identity), encoding="utf-8") as stream:
                return float(stream.read())
        # A file that cannot be understood must not end the guardian.
        except (FileNotFoundError, ValueError):
            return None

    def was_done(self, identity: str) -> bool:
        """Tell whether all steps of the change were done, whatever came of it then."""
        return any(
            os.path.exists(self._path(prefix, identity))
            for prefix in (_AWAITING, _CONFIRMED, _EXPIRED)
        )

    def is_confirmed(self, identity: str) -> bool:
        """Tell whether the controller has confirmed the change."""
        return os.path.exists(self._path(_CONFIRMED, identity))

    def expire(self, identity: str) -> bool:
        """End the time for a confirmation; return whether there was none before."""
        try:
            os.rename(self._path(_AWAITING, identity), self._path(_EXPIRED, identity))
        except FileNotFoundError:
            return not self.is_confirmed(identity)
        return True

    def _path(self, prefix: str, identity: str) -> str:
        return os.path.join(self.directory, prefix + identity)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []

    def _read(self) -> Optional[dict[str, Any]]:
        try:
            with open(self.path, encoding="utf-8") as stream:
                data = json.load(stream)
        except FileNotFoundError:
            return None
        except (RecursionError, ValueError) as error:
            raise self._damaged(error) from error
        if not isinstance(data, dict) or not isinstance(data.get("identity"), str):
            raise self._damaged(ValueError("the identity is not a string"))
        return data

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(
            f"{self.path} does not hold a checkpoint ({type(error).__name__}: {error})"
        )


def confirm_command(identity: str, directory: str = DIRECTORY) -> str:
    """Return the shell command that confirms a change and waits until all traces of it are gone.

    It fails if the node has rolled the change back.
    """
    awaiting = os.path.join(directory, _AWAITING + identity)
    confirmed = os.path.join(directory, _CONFIRMED + identity)
    rounds = " ".join(str(number) for number in range(100))
    return (
        f"mv {awaiting} {confirmed} || exit 1; "
        f"for i in {rounds}; do [ -e {confirmed} ] || exit 0; sleep 0.05; done"
    )


class Store(CheckpointFiles):
    """The checkpoint as well, for a kind of change that knows what it holds."""

    def load(self) -> Optional[Restorable]:
        """Return the checkpoint, None if no change is open.

        Raises ValueError if the file does not hold a checkpoint, OSError if it cannot be read.
        """
        raise NotImplementedError

    def save(self, checkpoint: Any) -> None:
        """Open a change. Raises OSError."""
        raise NotImplementedError
