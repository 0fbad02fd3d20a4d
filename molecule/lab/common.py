# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of the lab uses: its error, its directories, locks and commands."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable


class LabError(Exception):
    """Something the person who runs the lab has to know; shown without a traceback."""


def cache_dir() -> Path:
    """The directory that holds the OS trees and the running labs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("K3S_LAB_CACHE") or Path(home) / "k3s-network-lab").absolute()
    if set(str(cache)) & set(":,\\ \t\n"):
        # mount(8) and ssh_config(5) give these characters a meaning of their own.
        raise LabError(f"{cache}: choose a K3S_LAB_CACHE without blanks, colons and commas")
    return cache


def run(*argv: str | Path, stdin: str = "") -> str:
    """Run a command to its end and return its output; its error output is the LabError."""
    done = subprocess.run(
        [str(arg) for arg in argv], input=stdin, check=False, capture_output=True, text=True
    )
    if done.returncode:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise LabError(f"{' '.join(map(str, argv))}: {reason}")
    return done.stdout


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file that stays; a lock ends with the process that held it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Ask again and again; False when the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
