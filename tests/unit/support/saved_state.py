# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state that the module keeps on a node: its record, and the checkpoint of its guard."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.checkpoint import (
    Checkpoint,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import Record
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.record_store import (
    RecordStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.write import roll_back


class CountingStore(RecordStore):
    """A record that counts how often it is written."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.saves = 0

    @property
    def record(self) -> Record:
        return self.load()

    def save(self, record: Record) -> None:
        self.saves += 1
        super().save(record)


class FakeGuard:
    """Keeps the checkpoint as the file would, and rolls a change back as the guardian would."""

    def __init__(self) -> None:
        self.checkpoint: Optional[Checkpoint] = None
        self.awaits: Optional[int] = None

    def need_writable(self, files: Iterable[str]) -> None:
        list(files)

    def begin(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = Checkpoint.from_dict(json.loads(json.dumps(checkpoint.to_dict())))
        self.awaits = None

    def await_confirmation(self, checkpoint: Checkpoint, seconds: int) -> None:
        self.awaits = seconds

    def end(self) -> None:
        self.checkpoint = None

    def expire(self, client: Any) -> None:
        """Roll back whatever is open."""
        if self.checkpoint is not None:
            roll_back(client, self.checkpoint, interrupted=self.awaits is None)
            self.end()
