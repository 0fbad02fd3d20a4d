# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import lock as host_lock
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.lock import (
    LockError,
    lock,
    locked,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.killed import (
    FORK,
    ended,
    started,
)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(host_lock, "_STEP", 0.001)
    return str(tmp_path)


@pytest.fixture
def other(directory):
    """Another process that holds the lock, until it is killed."""
    came = FORK.Event()

    def hold():
        with locked(directory, 0):
            came.set()
            signal.pause()

    process = started(hold)
    assert came.wait(10)
    yield process
    process.kill()
    ended(process)


def test_a_lock_is_held_until_its_handle_is_closed(directory):
    first = lock(directory, wait=False)
    assert first is not None
    assert lock(directory, wait=False) is None
    os.close(first)
    second = lock(directory, wait=True)
    assert second is not None
    os.close(second)


def test_a_lock_is_not_passed_on_to_commands(directory):
    handle = lock(directory, wait=False)
    with subprocess.Popen(["sleep", "30"], close_fds=False) as command:
        os.close(handle)
        again = lock(directory, wait=False)
        command.kill()
    assert again is not None
    os.close(again)


def test_waiting_ends_with_the_patience(directory, other):
    start = time.monotonic()
    with pytest.raises(LockError), locked(directory, 0.2):
        pass
    assert time.monotonic() - start >= 0.2


def test_waiting_ends_when_the_other_process_is_killed(directory, other):
    threading.Timer(0.05, other.kill).start()
    with locked(directory, 10):
        assert ended(other) == -signal.SIGKILL


def test_a_failure_releases_the_lock_and_nothing_is_left(directory):
    with pytest.raises(KeyError), locked(directory, 0):
        raise KeyError
    with locked(directory, 0):
        assert os.listdir(directory) == []
