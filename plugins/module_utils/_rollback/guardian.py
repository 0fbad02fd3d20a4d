# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guardian: rolls a change of the firewall back unless it is confirmed.

It runs on the node as a service, from a copy of these files. It waits for the lock that the module
holds while it works: once it has the lock, the change awaits confirmation or was interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sys
import time
from dataclasses import dataclass

from .._host.files import remove_file, restore_all
from .._host.lock import lock
from .checkpoint import CheckpointFiles, Restorable, Restorer

UNITS = "k3s-network-guardian-*"
"""Matches the guardians of all changes, as systemctl and journalctl understand it."""
_BOOT_UNIT = "k3s-network-rollback.service"
_STEP = 0.05


@dataclass(frozen=True)
class Paths:
    """Where the guard's files are."""

    directory: str
    locked: str = "/etc/firewalld"
    """The directory that is locked during a change."""
    units: str = "/etc/systemd/system"
    systemd: str = "/run/systemd/system"

    @property
    def program(self) -> str:
        """The guardian's code."""
        return f"{self.directory}/rollback.pyz"

    @property
    def reserve(self) -> str:
        """A file that reserves disk space for the rollback."""
        return f"{self.locked}/.k3s-reserve"

    @property
    def boot_unit(self) -> str:
        """The unit that rolls the change back when the node starts."""
        return f"{self.units}/{_BOOT_UNIT}"

    @property
    def boot_link(self) -> str:
        """The link that enables it."""
        return f"{self.units}/multi-user.target.wants/{_BOOT_UNIT}"


def unit(identity: str) -> str:
    """Return the name of the service that guards a change.

    Each change has its own, so that a service which systemd does not unload blocks no other change.
    """
    return f"k3s-network-guardian-{identity}.service"


def end(store: CheckpointFiles, paths: Paths) -> None:
    """Close the change and remove all files that guarded it. Raises OSError.

    A file that cannot be removed does not stop the removal of the others.
    """
    store.close()
    trouble = None
    # The program last, without which systemd could not start the guardian again to go on here.
    for path in (paths.boot_link, paths.boot_unit, paths.reserve, paths.program):
        try:
            remove_file(path)
        except OSError as error:
            trouble = error
    # Empty, it means nothing to systemd.
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(paths.boot_link))
    store.leave()
    if trouble is not None:
        raise trouble


def main(arguments: list[str], restorer: str) -> None:
    """Guard the change of a directory, or with C(--boot) roll it back before firewalld starts.

    C(restorer) is the full name of a module that knows what a checkpoint holds. It is loaded only
    when a rollback is due: a change waits for the guardian's start, and most are confirmed.
    """
    directory = arguments[-1]
    store, paths = CheckpointFiles(directory), Paths(directory)
    if "--boot" in arguments:
        _boot(restorer, store, paths)
        return
    _tell_systemd("READY=1")
    lock(paths.locked, wait=True)
    loaded, checkpoint, interrupted = None, None, False
    try:
        identity = store.identity()
        # Without one it is final, but the process that made it so may have been killed while it
        # cleaned up.
        if identity is not None:
            interrupted = not store.was_done(identity)
            if not _is_confirmed(store, identity):
                loaded = _load(restorer)
                checkpoint = loaded.load(directory)
    except ValueError as error:
        _log_unreadable(error)
        return
    if loaded is not None and checkpoint is not None:
        _roll_back(loaded, checkpoint, paths, interrupted)
    end(store, paths)


def _load(restorer: str) -> Restorer:
    return importlib.import_module(restorer)


def _is_confirmed(store: CheckpointFiles, identity: str) -> bool:
    while not store.is_confirmed(identity):
        deadline = store.deadline(identity)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if deadline is None or not now <= deadline:
            return not store.expire(identity)
        time.sleep(_STEP)
    return True


def _roll_back(restorer: Restorer, checkpoint: Restorable, paths: Paths, interrupted: bool) -> None:
    _say(
        "the change was interrupted; rolling it back"
        if interrupted
        else "the change was not confirmed; rolling it back"
    )
    with contextlib.suppress(OSError):
        remove_file(paths.reserve)
    restorer.roll_back(checkpoint, interrupted)
    _say("the change was rolled back")


def _boot(restorer: str, store: CheckpointFiles, paths: Paths) -> None:
    """Restore the permanent configuration; the runtime one has ended with the last boot.

    Whatever fails here, firewalld starts afterwards, and the next run goes on.
    """
    if lock(paths.locked, wait=False) is None:
        # Started by hand while a change is open: its guardian handles it.
        return
    checkpoint = None
    try:
        identity = store.identity()
        if identity is not None and not store.is_confirmed(identity):
            checkpoint = _load(restorer).load(store.directory)
    except ValueError as error:
        _log_unreadable(error)
        return
    if checkpoint is not None:
        with contextlib.suppress(OSError):
            remove_file(paths.reserve)
        restore_all(checkpoint.files)
        _say("a change that was not confirmed before this boot was rolled back")
    end(store, paths)


def _log_unreadable(error: ValueError) -> None:
    # Another try would read the same, so systemd must not start the guardian again.
    _say(
        f"the last change of the firewall cannot be rolled back: {error}. The next run of prepare "
        "or remove sets the file aside and continues"
    )


def _tell_systemd(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
        # A leading @ stands for the abstract namespace.
        stream.connect("\0" + address[1:] if address.startswith("@") else address)
        stream.sendall(text.encode())


def _say(text: str) -> None:
    sys.stderr.write(f"edgeops.k3s_network: {text}\n")
    sys.stderr.flush()
