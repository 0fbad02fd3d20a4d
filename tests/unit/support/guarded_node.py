# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directories of a node, so that its guard touches nothing of this host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import restore
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.checkpoint import (
    Checkpoint,
    CheckpointStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import Record
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import RunCommand
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.guard import (
    Guard,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.guardian import Paths

IDENTITY = "00c0ffee00c0ffee"
OLD = "as it was"
NEW = "as it shall be"


def no_guardian(_arguments: Sequence[str]) -> tuple[int, str, str]:
    """Start every unit, and have none that runs."""
    return 0, "inactive\n", ""


class Node:
    """A node with one file of its firewall, C(zone)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.paths = Paths(
            directory=f"{root}/lib/k3s-network",
            locked=f"{root}/firewalld",
            units=f"{root}/units",
            systemd=f"{root}/systemd",
        )
        self.store = CheckpointStore(self.paths.directory)
        self.zone = f"{root}/firewalld/public.xml"

    def reset(self) -> None:
        """Be a node that nobody has changed yet."""
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(os.path.dirname(self.paths.directory))
        os.makedirs(self.paths.locked)
        os.makedirs(os.path.dirname(self.paths.boot_link))
        os.makedirs(self.paths.systemd)
        self.write(OLD)

    def guard(self, run_command: RunCommand = no_guardian) -> Guard:
        """Return the guard of this node."""
        return Guard(run_command, self.store, restore.__name__, restore.PARTS, self.paths)

    def checkpoint(self) -> Checkpoint:
        """Return the node as it is now."""
        files = (FileCopy.take(self.zone),)
        return Checkpoint(IDENTITY, {}, {}, Record(), Record(), files=files)

    def begin(self) -> Checkpoint:
        """Open a change and make it."""
        checkpoint = self.checkpoint()
        self.guard().begin(checkpoint)
        self.write(NEW)
        return checkpoint

    def write(self, text: str) -> None:
        """Change the firewall."""
        with open(self.zone, "w", encoding="utf-8") as stream:
            stream.write(text)

    def firewall(self) -> str:
        """Return what the firewall is now."""
        with open(self.zone, encoding="utf-8") as stream:
            return stream.read()

    def traces(self) -> list[str]:
        """Return what is there beside the firewall."""
        found = []
        for directory, directories, files in os.walk(self.root):
            found += [os.path.join(directory, name) for name in (*directories, *files)]
        usual = {
            self.zone,
            os.path.dirname(self.paths.directory),
            self.paths.locked,
            self.paths.units,
            os.path.dirname(self.paths.boot_link),
            self.paths.systemd,
        }
        return sorted(set(found) - usual)
