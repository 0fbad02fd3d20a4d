# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks that keep two runs on one host apart."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import Optional

_STEP = 0.1


class LockError(Exception):
    """Another process holds the lock."""


def lock(path: str, wait: bool) -> Optional[int]:
    """Lock a directory until the returned handle is closed or the process ends.

    The directory is one that exists anyway, so that the lock leaves nothing behind. Returns None
    if another process holds the lock and C(wait) is false. Raises OSError.
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


@contextlib.contextmanager
def locked(path: str, patience: float) -> Iterator[None]:
    """Hold the lock of a directory, waiting up to C(patience) seconds for it.

    Raises LockError or OSError.
    """
    deadline = time.monotonic() + patience
    while True:
        handle = lock(path, wait=False)
        if handle is not None:
            break
        if time.monotonic() > deadline:
            raise LockError
        time.sleep(_STEP)
    try:
        yield
    finally:
        os.close(handle)
