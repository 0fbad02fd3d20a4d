# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state that a node rolls back to if a change of its firewall is not confirmed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._host.files import FileCopy, make_directory, write_file
from .._rollback.checkpoint import Store
from .model import Objects, Record
from .reload import Others


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


class CheckpointStore(Store):
    """The checkpoint of the one change that may be open on a node."""

    def load(self) -> Optional[Checkpoint]:
        """Return the checkpoint, None if no change is open.

        Raises ValueError if the file does not hold a checkpoint, OSError if it cannot be read.
        """
        data = self._read()
        try:
            return None if data is None else Checkpoint.from_dict(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def save(self, checkpoint: Checkpoint) -> None:
        """Open a change. Raises OSError."""
        make_directory(self.directory, 0o700)
        write_file(self.path, json.dumps(checkpoint.to_dict()).encode())
