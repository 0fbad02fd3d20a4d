# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import socket
import subprocess
import time
from types import SimpleNamespace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    connect,
    restore,
    write,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.lock import lock
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback import guard
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback import (
    guardian as rollback_guardian,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.checkpoint import (
    CheckpointFiles,
    confirm_command,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.guarded_node import (
    IDENTITY,
    NEW,
    OLD,
    Node,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.killed import (
    FORK,
    ended,
    killed_at_each_step,
    started,
)


class TracedNode(Node):
    """A node whose firewalld does not run; C(log) tells how it was taken back."""

    def __init__(self, root: str, log: str) -> None:
        super().__init__(root)
        self.log = log

    def reset(self) -> None:
        super().reset()
        open(self.log, "w", encoding="utf-8").close()

    def roll_back(self, client, checkpoint, interrupted):
        with open(self.log, "a", encoding="utf-8") as stream:
            stream.write(f"{checkpoint.identity} {interrupted}\n")
        _roll_back(client, checkpoint, interrupted)

    def taken_back(self):
        """Return whether each try to take a change back was told that it was broken off."""
        with open(self.log, encoding="utf-8") as stream:
            return [line.split()[1] == "True" for line in stream]

    def await_confirmation(self, checkpoint, seconds):
        self.guard().await_confirmation(checkpoint, seconds)

    def main(self, *options):
        """Be the guardian."""
        rollback_guardian.main(["rollback.pyz", *options, self.paths.directory], restore.__name__)


_roll_back = write.roll_back


@pytest.fixture
def node(tmp_path, monkeypatch):
    node = TracedNode(str(tmp_path / "node"), str(tmp_path / "log"))
    node.reset()
    # As it comes from the command line, where only the first directory is named.
    elsewhere = functools.partial(
        rollback_guardian.Paths,
        locked=node.paths.locked,
        units=node.paths.units,
        systemd=node.paths.systemd,
    )
    monkeypatch.setattr(rollback_guardian, "Paths", elsewhere)
    monkeypatch.setattr(rollback_guardian, "_STEP", 0.005)
    stopped = SimpleNamespace(is_running=lambda: False, load_profile=lambda _path: None)
    monkeypatch.setattr(connect, "open_firewalld", lambda _run_command: stopped)
    monkeypatch.setattr(write, "roll_back", node.roll_back)
    # What it is made of is the matter of the guard's tests.
    monkeypatch.setattr(guard, "program", lambda *_parts: b"")
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    return node


def assert_taken_back(node, interrupted):
    assert node.firewall() == OLD
    assert node.traces() == []
    assert set(node.taken_back()) == {interrupted}


def assert_final(node):
    assert node.firewall() == NEW
    assert node.traces() == []
    assert node.taken_back() == []


# What comes of a change


def test_a_change_that_is_confirmed_is_final_and_the_controller_is_told_so(node):
    node.await_confirmation(node.begin(), 60)
    guardian = started(node.main)
    confirm = confirm_command(IDENTITY, node.paths.directory)
    assert subprocess.run(["sh", "-c", confirm], check=False, timeout=60).returncode == 0
    assert not os.path.exists(node.store.path)
    assert ended(guardian) == 0
    assert_final(node)


def test_a_change_that_nobody_confirms_is_taken_back_at_its_deadline(node, capfd):
    node.await_confirmation(node.begin(), 0.2)
    start = time.monotonic()
    assert ended(started(node.main)) == 0
    assert time.monotonic() - start >= 0.2
    assert_taken_back(node, interrupted=False)
    assert capfd.readouterr().err.splitlines() == [
        "edgeops.k3s_network: the change was not confirmed; rolling it back",
        "edgeops.k3s_network: the change was rolled back",
    ]


def test_a_confirmation_that_comes_too_late_fails(node):
    node.await_confirmation(node.begin(), 0)
    assert ended(started(node.main)) == 0
    confirm = confirm_command(IDENTITY, node.paths.directory)
    assert subprocess.run(["sh", "-c", confirm], check=False, timeout=60).returncode == 1
    assert_taken_back(node, interrupted=False)


def test_a_change_that_was_broken_off_is_taken_back_at_once(node, capfd):
    node.begin()
    assert ended(started(node.main)) == 0
    assert_taken_back(node, interrupted=True)
    assert "the change was interrupted; rolling it back" in capfd.readouterr().err


def test_a_change_that_was_final_at_once_leaves_nothing_to_do_but_to_clean_up(node):
    node.begin()
    node.store.close()
    assert ended(started(node.main)) == 0
    assert_final(node)


def test_space_is_free_again_by_the_time_files_are_written_back(node, monkeypatch):
    node.begin()

    def roll_back(*_arguments):
        assert not os.path.exists(node.paths.reserve)

    monkeypatch.setattr(write, "roll_back", roll_back)
    assert ended(started(node.main)) == 0


def test_a_change_can_not_be_confirmed_any_more_while_it_is_taken_back(node, monkeypatch):
    node.await_confirmation(node.begin(), 0)
    confirm = confirm_command(IDENTITY, node.paths.directory)

    def roll_back(*_arguments):
        assert subprocess.run(["sh", "-c", confirm], check=False, timeout=60).returncode == 1

    monkeypatch.setattr(write, "roll_back", roll_back)
    assert ended(started(node.main)) == 0


def test_a_confirmation_at_the_very_last_moment_counts(node, monkeypatch):
    node.await_confirmation(node.begin(), 0)
    here = node.paths.directory

    def deadline(_store, identity):
        os.rename(f"{here}/awaiting-{identity}", f"{here}/confirmed-{identity}")
        return 0.0

    monkeypatch.setattr(CheckpointFiles, "deadline", deadline)
    assert ended(started(node.main)) == 0
    assert_final(node)


# While the module works


def test_the_guardian_leaves_the_module_alone_until_that_is_killed(node):
    came, done = FORK.Event(), FORK.Event()

    def module():
        lock(node.paths.locked, wait=False)
        node.begin()
        came.set()
        done.wait(10)
        node.write("half of it")
        os.kill(os.getpid(), signal.SIGKILL)

    working = started(module)
    assert came.wait(10)
    guardian = started(node.main)
    guardian.join(0.1)
    assert guardian.is_alive()
    assert node.firewall() == NEW
    done.set()
    assert ended(working) == -signal.SIGKILL
    assert ended(guardian) == 0
    assert_taken_back(node, interrupted=True)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_that_the_guardian_is_ready_before_it_waits(node, monkeypatch, abstract):
    name = f"k3s-network-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        if abstract:
            systemd.bind(f"\0{name}")
            monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        else:
            # A path of a socket may not be long.
            monkeypatch.chdir(node.root)
            systemd.bind("notify")
            monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        came = FORK.Event()

        def module():
            lock(node.paths.locked, wait=False)
            came.set()
            signal.pause()

        working = started(module)
        assert came.wait(10)
        guardian = started(node.main)
        assert systemd.recv(64) == b"READY=1"
        assert guardian.is_alive()
        working.kill()
        assert ended(guardian) == 0
        assert ended(working) == -signal.SIGKILL


# A guardian that fails or is killed is started again by systemd


def test_a_guardian_that_can_not_take_a_change_back_fails_and_tries_again(node, monkeypatch):
    node.await_confirmation(node.begin(), 0)

    def refuse(*_arguments):
        raise OSError("firewalld did not answer")

    with monkeypatch.context() as broken:
        broken.setattr(connect, "open_firewalld", refuse)
        assert ended(started(node.main)) == 1
    assert node.firewall() == NEW
    assert os.path.exists(node.store.path)
    assert os.path.exists(node.paths.boot_link)
    assert ended(started(node.main)) == 0
    assert_taken_back(node, interrupted=False)


@pytest.mark.parametrize("option", [[], ["--boot"]])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": 7}', '{"identity": "00"}'])
def test_an_unreadable_checkpoint_ends_the_guardian(node, capfd, option, content):
    """It exits without an error, so that systemd neither restarts it nor stops firewalld."""
    node.begin()
    with open(node.store.path, "w", encoding="utf-8") as stream:
        stream.write(content)
    traces = node.traces()
    assert ended(started(node.main, *option)) == 0
    assert node.traces() == traces
    assert node.firewall() == NEW
    (line,) = capfd.readouterr().err.splitlines()
    assert f"cannot be rolled back: {node.store.path} does not hold a checkpoint" in line


def test_an_unreadable_deadline_rolls_the_change_back(node):
    node.await_confirmation(node.begin(), 60)
    path = f"{node.paths.directory}/awaiting-{IDENTITY}"
    for content in (b"", b"\0\0", b"soon", b"nan"):
        node.reset()
        node.await_confirmation(node.begin(), 60)
        with open(path, "wb") as stream:
            stream.write(content)
        assert ended(started(node.main)) == 0
        assert_taken_back(node, interrupted=False)


@pytest.mark.parametrize("order", [1, -1])
def test_at_boot_a_file_that_fails_does_not_stop_the_others(node, capfd, order):
    """The next run restores the rest."""
    blocked = f"{node.root}/blocked/zone.xml"
    os.mkdir(os.path.dirname(blocked))
    copies = [FileCopy.take(node.zone), FileCopy(blocked, b"as it was")][::order]
    checkpoint = dataclasses.replace(node.checkpoint(), files=tuple(copies))
    node.guard().begin(checkpoint)
    node.write(NEW)
    os.rmdir(os.path.dirname(blocked))
    # Even root creates no directory below a file.
    open(os.path.dirname(blocked), "wb").close()
    assert ended(started(node.main, "--boot")) == 1
    assert node.firewall() == OLD
    assert os.path.exists(node.store.path)
    assert blocked in capfd.readouterr().err


def broken_off(node):
    node.reset()
    node.begin()


def not_confirmed(node):
    node.reset()
    node.await_confirmation(node.begin(), 0)


def confirmed(node):
    node.reset()
    node.await_confirmation(node.begin(), 60)
    here = node.paths.directory
    os.rename(f"{here}/awaiting-{IDENTITY}", f"{here}/confirmed-{IDENTITY}")


OUTCOMES = {
    broken_off: functools.partial(assert_taken_back, interrupted=True),
    not_confirmed: functools.partial(assert_taken_back, interrupted=False),
    confirmed: assert_final,
}


@pytest.mark.parametrize("situation", OUTCOMES)
def test_a_guardian_that_was_killed_at_any_step_comes_to_the_same_end(node, situation):
    steps = []
    for step in killed_at_each_step(node.main, lambda: situation(node)):
        steps.append(step)
        assert node.firewall() in (OLD, NEW), step
        assert ended(started(node.main)) == 0, step
        OUTCOMES[situation](node)
    assert len(steps) > 10
    OUTCOMES[situation](node)


@pytest.mark.parametrize("situation", OUTCOMES)
def test_a_start_of_the_node_in_between_comes_to_the_same_end(node, situation):
    for step in killed_at_each_step(node.main, lambda: situation(node)):
        # That is the condition of the unit.
        if os.path.exists(node.store.path):
            assert ended(started(node.main, "--boot")) == 0, step
            assert node.traces() == [], step
        assert node.firewall() == (NEW if situation is confirmed else OLD), step


# When the node starts


@pytest.fixture
def starting(node, monkeypatch):
    """A node that starts, where nobody is to ask firewalld, which is not there yet."""

    def refuse(*_arguments):
        raise AssertionError("it is too early for firewalld")

    monkeypatch.setattr(connect, "open_firewalld", refuse)
    return node


@pytest.mark.parametrize("situation", [broken_off, not_confirmed])
def test_a_start_before_the_confirmation_gives_the_files_back(starting, capfd, situation):
    situation(starting)
    assert ended(started(starting.main, "--boot")) == 0
    assert starting.firewall() == OLD
    assert starting.traces() == []
    assert "was rolled back" in capfd.readouterr().err


def test_a_start_after_the_confirmation_leaves_the_change(starting, capfd):
    confirmed(starting)
    assert ended(started(starting.main, "--boot")) == 0
    assert_final(starting)
    assert capfd.readouterr().err == ""


def test_a_start_without_an_open_change_cleans_up(starting):
    starting.begin()
    starting.store.close()
    assert ended(started(starting.main, "--boot")) == 0
    assert_final(starting)


@pytest.mark.parametrize("situation", [broken_off, not_confirmed])
def test_a_start_that_is_broken_off_is_made_up_for_by_the_next_one(starting, situation):
    for step in killed_at_each_step(
        lambda: starting.main("--boot"), functools.partial(situation, starting)
    ):
        if os.path.exists(starting.store.path):
            assert ended(started(starting.main, "--boot")) == 0, step
            assert starting.traces() == [], step
        assert starting.firewall() == OLD, step


def test_started_by_hand_while_somebody_is_at_work_it_does_nothing(starting):
    starting.begin()
    traces = starting.traces()
    handle = lock(starting.paths.locked, wait=False)
    # In this very process, since a process of its own would have a share in the lock.
    starting.main("--boot")
    os.close(handle)
    assert starting.traces() == traces
    assert starting.firewall() == NEW
