# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state that a node rolls back to if a change of its firewall is not confirmed.

It is on disk from before the first step of a change until the change is confirmed or rolled back,
so that it survives the end of the module and a reboot:

- C(checkpoint.json) exists as long as the change is open; removing it makes the change final.
- C(awaiting-ID) says that all steps are done, and until when the node waits for confirmation.
- C(confirmed-ID) is what the controller renames C(awaiting-ID) to. Either the controller renames it
  first or the node whose time is over; that decides.
- C(checkpoint.json.unreadable) is the last checkpoint that could not be read.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import (
    FileCopy,
    make_directory,
    remove_file,
    rename_file,
    write_file,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_others import Others
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    Objects,
    Record,
)

DIRECTORY = "/var/lib/k3s-network"
_CHECKPOINT = "checkpoint.json"
_AWAITING = "awaiting-"
_CONFIRMED = "confirmed-"
_EXPIRED = "expired-"


@dataclass(frozen=True)
class Checkpoint:
    """A node's firewall before a change."""

    identity: str
    permanent: Objects
    runtime: Objects
    record: Record
    later: Record
    """The record of the state that the change leads to."""
    others: Others = field(default_factory=Others)
    files: tuple[FileCopy, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        return {
            "identity": self.identity,
            "permanent": [[*key, settings] for key, settings in self.permanent.items()],
            "runtime": [[*key, settings] for key, settings in self.runtime.items()],
            "record": self.record.to_dict(),
            "later": self.later.to_dict(),
            "others": self.others.to_dict(),
            "files": [copy.to_dict() for copy in self.files],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Checkpoint:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError."""
        if not isinstance(data["identity"], str):
            raise TypeError("the identity is not a string")
        return cls(
            identity=data["identity"],
            permanent=_objects(data["permanent"]),
            runtime=_objects(data["runtime"]),
            record=Record.from_dict(data["record"]),
            later=Record.from_dict(data["later"]),
            others=Others.from_dict(data["others"]),
            files=tuple(FileCopy.from_dict(one) for one in data["files"]),
        )


def _objects(data: Any) -> Objects:
    objects: Objects = {}
    for kind, name, settings in data:
        if not isinstance(kind, str) or not isinstance(name, str):
            raise TypeError("the kind or name of an object is not a string")
        if not isinstance(settings, dict):
            raise TypeError(f"the settings of {kind} {name} are not a dictionary")
        objects[kind, name] = settings
    return objects


class CheckpointStore:
    """The files of the one change that may be open on a node."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self.directory = directory
        self.path = os.path.join(directory, _CHECKPOINT)
        self.unreadable = f"{self.path}.unreadable"

    def is_open(self) -> bool:
        """Return whether there is a change that is neither final nor rolled back."""
        return os.path.exists(self.path)

    def load(self) -> Optional[Checkpoint]:
        """Return the checkpoint, None if no change is open.

        Raises ValueError if the file does not hold a checkpoint, OSError if it cannot be read.
        """
        try:
            with open(self.path, encoding="utf-8") as stream:
                return Checkpoint.from_dict(json.load(stream))
        except FileNotFoundError:
            return None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path} does not hold a checkpoint ({type(error).__name__}: {error})"
            ) from error

    def set_aside(self) -> None:
        """Rename a checkpoint that cannot be read, replacing an earlier one. Raises OSError."""
        rename_file(self.path, self.unreadable)

    def save(self, checkpoint: Checkpoint) -> None:
        """Open a change. Raises OSError."""
        make_directory(self.directory, 0o700)
        write_file(self.path, json.dumps(checkpoint.to_dict()).encode())

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
