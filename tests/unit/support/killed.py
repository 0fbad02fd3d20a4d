# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes of their own that end all of a sudden, as by SIGKILL, at each change of a file."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {
    "os.chmod",
    "os.chown",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
}

FORK = multiprocessing.get_context("fork")


def started(function: Callable[..., Any], *arguments: Any) -> Any:
    """Start a function in a process of its own, which ends with this one at the latest."""
    process = FORK.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def ended(process: Any) -> int:
    """Wait for a process and return its exit code, which is negative for a signal."""
    process.join(60)
    assert process.exitcode is not None, "it goes on and on"
    return int(process.exitcode)


def killed_at_each_step(function: Callable[[], Any], before: Callable[[], Any]) -> Iterator[str]:
    """Run a function again and again, each time killed in front of a later change of a file.

    Call C(before) in front of each run, and yield the name of the step after it; the last run comes
    to its end, and for it nothing is yielded.
    """
    for number in itertools.count(1):
        before()
        step = _killed_at(number, function)
        if not step:
            return
        yield step


def _killed_at(number: int, function: Callable[[], Any]) -> str:
    reader, writer = os.pipe()
    process = started(_run, number, function, writer)
    os.close(writer)
    with os.fdopen(reader) as stream:
        step = stream.read()
    assert ended(process) == (-signal.SIGKILL if step else 0)
    return step


def _run(number: int, function: Callable[[], Any], writer: int) -> None:
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _EVENTS or (event == "open" and arguments[2] & _WRITING):
            count += 1
            if count == number:
                os.write(writer, f"{event} {arguments[0]}, step {number}".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    function()
    # What the end of a process writes is none of its steps.
    number = 0
