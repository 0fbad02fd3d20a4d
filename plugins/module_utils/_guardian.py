# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guardian: takes a change of the firewall back unless it is confirmed.

It runs on the node by itself, from a copy of these files. It waits for the lock that the module
holds while it works: once it has it, the change awaits its confirmation, or was broken off.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from dataclasses import dataclass
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._checkpoint import (
    Checkpoint,
    CheckpointStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import remove_file

UNIT = "k3s-network-guardian.service"
_BOOT_UNIT = "k3s-network-rollback.service"
_STEP = 0.05


@dataclass(frozen=True)
class Paths:
    """Where the guard's files are."""

    directory: str
    locked: str = "/etc/firewalld"
    """The lock is on a directory that is there anyway, so that it leaves nothing behind."""
    units: str = "/etc/systemd/system"
    systemd: str = "/run/systemd/system"

    @property
    def program(self) -> str:
        """The guardian's code."""
        return f"{self.directory}/rollback.pyz"

    @property
    def reserve(self) -> str:
        """A file that holds disk space for the way back."""
        return f"{self.locked}/.k3s-reserve"

    @property
    def boot_unit(self) -> str:
        """The unit that takes the change back when the node starts."""
        return f"{self.units}/{_BOOT_UNIT}"

    @property
    def boot_link(self) -> str:
        """What enables it."""
        return f"{self.units}/multi-user.target.wants/{_BOOT_UNIT}"


def lock(path: str, wait: bool) -> Optional[int]:
    """Lock a directory until the handle that is returned is closed, or its process ends.

    Returns None where another process has it and C(wait) is false. Raises OSError.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def end(store: CheckpointStore, paths: Paths) -> None:
    """Close the change and remove all that was there to guard it. Raises OSError.

    What can't be removed does not keep the rest from going.
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


def main(arguments: list[str]) -> None:
    """Guard the change of a directory, or with C(--boot) take it back before firewalld starts."""
    directory = arguments[-1]
    store, paths = CheckpointStore(directory), Paths(directory)
    if "--boot" in arguments:
        _boot(store, paths)
        return
    _tell_systemd("READY=1")
    lock(paths.locked, wait=True)
    checkpoint = store.load()
    if checkpoint is None:
        # Final, though whoever made it so may have been broken off while it cleaned up.
        end(store, paths)
        return
    interrupted = not store.was_done(checkpoint.identity)
    if _is_confirmed(store, checkpoint):
        end(store, paths)
        return
    _say("the change was broken off" if interrupted else "nobody has confirmed the change")
    with contextlib.suppress(OSError):
        remove_file(paths.reserve)
    # What taking back needs is loaded only then: most guardians never do.
    from ansible_collections.edgeops.k3s_network.plugins.module_utils import (  # noqa: PLC0415
        _firewalld_open,
        _firewalld_write,
    )

    client = _firewalld_open.open_firewalld(_firewalld_open.run)
    _firewalld_write.go_back(client, checkpoint, interrupted)
    end(store, paths)
    _say("it was taken back")


def _is_confirmed(store: CheckpointStore, checkpoint: Checkpoint) -> bool:
    while not store.is_confirmed(checkpoint.identity):
        deadline = store.deadline(checkpoint.identity)
        if deadline is None or time.clock_gettime(time.CLOCK_BOOTTIME) > deadline:
            return not store.expire(checkpoint.identity)
        time.sleep(_STEP)
    return True


def _boot(store: CheckpointStore, paths: Paths) -> None:
    """Give the permanent configuration back, whose running one has ended with the last boot."""
    if lock(paths.locked, wait=False) is None:
        # Started by hand while a change is open: its guardian sees to it.
        return
    checkpoint = store.load()
    if checkpoint is not None and not store.is_confirmed(checkpoint.identity):
        remove_file(paths.reserve)
        for copy in checkpoint.files:
            copy.restore()
        _say("a change that nobody had confirmed before this start was taken back")
    end(store, paths)


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
