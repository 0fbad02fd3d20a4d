# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of what this collection created and changed, in a file of the node."""

from __future__ import annotations

import contextlib
import json
import os

from .._host.files import (
    make_directory,
    remove_file,
    write_file,
)
from .model import Record

RECORD_PATH = "/var/lib/k3s-network/firewalld.json"


class RecordStore:
    """The record of what this collection created and changed, in a file of the node."""

    def __init__(self, path: str = RECORD_PATH) -> None:
        self.path = path
        self.problem = ""
        """Why the file could not be read, empty if it could or if there is none."""

    def load(self) -> Record:
        """Return the record, an empty one if there is no file or it cannot be read."""
        try:
            with open(self.path, encoding="utf-8") as stream:
                return Record.from_dict(json.load(stream))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return Record()

    def save(self, record: Record) -> None:
        """Write the record so that a power loss leaves the old one or the new one."""
        if self.problem:
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path, f"{self.path}.unreadable")
            self.problem = ""
        if record == Record():
            remove_file(self.path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self.path))
            return
        make_directory(os.path.dirname(self.path), mode=0o700)
        write_file(self.path, json.dumps(record.to_dict(), indent=2, sort_keys=True).encode())
