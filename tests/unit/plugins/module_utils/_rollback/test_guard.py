# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import dataclasses
import errno
import io
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import restore
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback import (
    guard as rollback_guard,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.guard import (
    GuardError,
    program,
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
from ansible_collections.edgeops.k3s_network.tests.unit.support.scripted import (
    ScriptedCommands,
)

RESTORER = restore.__name__
PARTS = restore.PARTS
PACKAGE = "ansible_collections.edgeops.k3s_network.plugins.module_utils"
SOURCES = pathlib.Path(rollback_guard.__file__).parents[1]
IS_ACTIVE = f"systemctl is-active k3s-network-guardian-{IDENTITY}.service"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rollback_guard, "_LOCK_STEP", 0.001)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


@pytest.fixture
def node(tmp_path):
    node = Node(str(tmp_path / "node"))
    node.reset()
    return node


def never(_checkpoint):
    raise AssertionError("nothing is to be taken back")


def come_in(guard, recover=never, patience=0.0):
    """Be alone for a moment."""
    with guard.exclusive_lock(patience, recover):
        pass


# The program


def source_of(part):
    return SOURCES / f"{part.replace('.', '/')}.py"


def imported(part):
    """Return the files of module_utils that one of them imports, wherever in it."""
    found = set()
    for statement in ast.walk(ast.parse(source_of(part).read_text(encoding="utf-8"))):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            above = [*part.split(".")[: -statement.level], *(statement.module or "").split(".")]
            package = ".".join(filter(None, above))
            if source_of(package).exists():
                found.add(package)
            else:
                found |= {f"{package}.{alias.name}".lstrip(".") for alias in statement.names}
    return found


def test_the_program_has_all_that_the_guardian_imports_and_no_more():
    needed, todo = set(), {"_rollback.guardian", "_firewalld.restore"}
    while todo:
        part = todo.pop()
        needed.add(part)
        todo |= imported(part) - needed
    assert sorted(PARTS) == sorted(needed)


def guardian_program():
    return program(RESTORER, PARTS)


def contents(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def python(*arguments, cwd, **how):
    """Run Python without anything that is installed beside it."""
    command = [sys.executable, "-I", "-S", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, timeout=30, **how)


def test_the_program_holds_the_sources_as_they_are():
    files = contents(guardian_program())
    for part in PARTS:
        source = files[f"{PACKAGE}.{part}".replace(".", "/") + ".py"]
        assert source == source_of(part).read_bytes()
        compile(source, part, "exec")
    compile(files["__main__.py"], "__main__", "exec")


def test_waiting_guardian_has_loaded_nothing_of_the_rollback(tmp_path):
    archive = tmp_path / "rollback.pyz"
    archive.write_bytes(guardian_program())
    check = f"""\
import importlib, json, sys
sys.path.insert(0, {str(archive)!r})
importlib.import_module({PACKAGE!r} + "._rollback.guardian")
ours = [name for name in sys.modules if name.startswith({PACKAGE!r})]
json.dump([name[len({PACKAGE!r}) + 1:] for name in ours], sys.stdout)
"""
    loaded = json.loads(python("-c", check, cwd=tmp_path).stdout)
    assert sorted(loaded) == [
        "",
        "_host",
        "_host.files",
        "_host.lock",
        "_rollback",
        "_rollback.checkpoint",
        "_rollback.guardian",
    ]


def test_python_alone_imports_all_of_the_program(tmp_path):
    archive = tmp_path / "rollback.pyz"
    archive.write_bytes(guardian_program())
    check = f"""\
import importlib, json, sys
sys.path.insert(0, {str(archive)!r})
parts = [importlib.import_module({PACKAGE!r} + "." + part) for part in {PARTS!r}]
json.dump([part.__file__ for part in parts], sys.stdout)
"""
    (tmp_path / "empty").mkdir()
    done = python("-c", check, cwd=tmp_path / "empty")
    files = json.loads(done.stdout)
    assert len(files) == len(PARTS)
    assert all(one.startswith(f"{archive}/") for one in files)


def test_the_program_runs_by_itself_as_the_boot_unit_does(node, monkeypatch, tmp_path):
    source = rollback_guard._source
    elsewhere = {"/etc/firewalld": node.paths.locked, "/etc/systemd/system": node.paths.units}

    def redirected(module):
        text = source(module)
        if module.endswith(".guardian"):
            for here, there in elsewhere.items():
                assert text.count(f'"{here}"') == 1
                text = text.replace(f'"{here}"', f'"{there}"')
        return text

    monkeypatch.setattr(rollback_guard, "_source", redirected)
    node.begin()
    done = python(node.paths.program, "--boot", node.paths.directory, cwd=tmp_path)
    assert b"was rolled back" in done.stderr
    assert node.firewall() == OLD
    assert node.traces() == []


def test_a_module_that_comes_as_a_zip_makes_the_same_program(tmp_path):
    # As Ansible sends a module with what it imports.
    archive = tmp_path / "module.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in contents(guardian_program()).items():
            opened.writestr(name, content)
        name = f"{PACKAGE}._rollback.guard".replace(".", "/") + ".py"
        opened.write(source_of("_rollback.guard"), name)
    make = f"""\
import sys
sys.path.insert(0, {str(archive)!r})
from {PACKAGE}._rollback import guard
sys.stdout.buffer.write(guard.program({RESTORER!r}, {PARTS!r}))
"""
    done = python("-c", make, cwd=tmp_path)
    assert contents(done.stdout) == contents(guardian_program())


def test_a_source_that_is_missing_is_named():
    with pytest.raises(GuardError, match="_nowhere is missing"):
        program(RESTORER, (*PARTS, "_nowhere"))


# One at a time


def test_threads_come_in_one_by_one(node):
    inside, seen = [], []

    def run(number):
        with node.guard().exclusive_lock(30, never):
            inside.append(number)
            time.sleep(0.002)
            seen.append(list(inside))
            inside.remove(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [[number] for number in range(6)]


@pytest.fixture
def other_run(node):
    """Another process that is alone on the node, until it is killed."""
    came = FORK.Event()

    def run():
        with node.guard().exclusive_lock(0, never):
            came.set()
            signal.pause()

    process = started(run)
    assert came.wait(10)
    yield process
    process.kill()
    ended(process)


def test_another_process_keeps_a_run_away_until_its_patience_ends(node, other_run):
    start = time.monotonic()
    with pytest.raises(GuardError, match="No changes were made") as error:
        come_in(node.guard(), patience=0.2)
    assert time.monotonic() - start >= 0.2
    assert "Another run is changing this node's firewall" in str(error.value)
    assert "journalctl -u 'k3s-network-guardian-*'" in str(error.value)


def test_a_run_that_waits_comes_in_when_the_other_is_killed(node, other_run):
    threading.Timer(0.05, other_run.kill).start()
    with node.guard().exclusive_lock(10, never):
        assert ended(other_run) == -signal.SIGKILL


def test_a_run_that_fails_lets_the_next_one_in(node):
    with pytest.raises(KeyError), node.guard().exclusive_lock(0, never):
        raise KeyError
    come_in(node.guard())


def test_an_untouched_node_is_alone_without_asking_systemd_and_leaves_no_trace(node):
    with ScriptedCommands() as commands, node.guard(commands).exclusive_lock(0, never):
        assert node.traces() == []
    assert node.traces() == []


def test_without_the_directory_of_firewalld_nothing_is_changed(node):
    shutil.rmtree(node.paths.locked)
    with pytest.raises(GuardError, match=r"No changes were made.*Install firewalld"):
        come_in(node.guard())


@pytest.mark.parametrize("state", ["active", "activating", "deactivating", "reloading"])
def test_a_change_with_a_guardian_keeps_others_away(node, state):
    node.begin()
    traces = node.traces()
    with pytest.raises(GuardError, match="its change awaits confirmation"):
        come_in(node.guard(lambda _arguments: (0, f"{state}\n", "")))
    assert node.traces() == traces
    assert node.firewall() == NEW


def test_a_run_that_waits_comes_in_when_the_guardian_has_ended(node):
    node.begin()
    asked = []

    def run_command(arguments):
        asked.append(" ".join(arguments))
        if len(asked) == 3:
            node.guard().end()
        return 0, "active\n", ""

    with node.guard(run_command).exclusive_lock(10, never):
        assert node.traces() == []
    assert asked == [IS_ACTIVE] * 3


# What an earlier run has left


@pytest.mark.parametrize("state", ["inactive", "failed", "unknown", ""])
def test_an_open_change_that_nobody_guards_is_taken_back_first(node, state):
    checkpoint = node.begin()
    taken_back = []
    answer = ScriptedCommands((IS_ACTIVE, 0, f"{state}\n"))
    with answer, node.guard(answer).exclusive_lock(0, taken_back.append):
        assert taken_back == [checkpoint]
        assert node.traces() == []


def test_an_open_change_that_was_confirmed_is_final(node):
    node.begin()
    node.store.wait_until(IDENTITY, 0.0)
    here = node.paths.directory
    os.rename(f"{here}/awaiting-{IDENTITY}", f"{here}/confirmed-{IDENTITY}")
    with node.guard().exclusive_lock(0, never):
        assert node.firewall() == NEW
        assert node.traces() == []


def test_what_can_not_be_taken_back_stays_open_for_the_next_try(node):
    checkpoint = node.begin()
    traces = node.traces()

    def refuse(_checkpoint):
        raise OSError("firewalld did not answer")

    with pytest.raises(GuardError, match=r"firewalld did not answer.*run again"):
        come_in(node.guard(), refuse)
    assert node.traces() == traces
    taken_back = []
    with node.guard().exclusive_lock(0, taken_back.append):
        assert taken_back == [checkpoint]


def test_check_mode_touches_nothing_and_refuses_an_open_change(node):
    node.begin()
    traces = node.traces()
    with pytest.raises(GuardError, match="without check mode"):
        come_in(node.guard(), None)
    assert (node.traces(), node.firewall()) == (traces, NEW)


def test_check_mode_passes_by_what_a_run_has_left_without_a_change(node):
    node.begin()
    node.store.close()
    traces = node.traces()
    with node.guard().exclusive_lock(0, None):
        assert node.traces() == traces


UNREADABLE = {
    "empty": b"",
    "cut off": b'{"identity": "00c0',
    "zeros": b"\0" * 512,
    "not UTF-8": b"\xff\xfe",
    "other type": b"[]",
    "other version": b"{}",
    "other types": b'{"identity": 7}',
    "nested": b"[" * 100_000,
}


@pytest.fixture(params=UNREADABLE)
def unreadable(node, request):
    """A node whose checkpoint cannot be read."""
    node.begin()
    pathlib.Path(node.store.path).write_bytes(UNREADABLE[request.param])
    return node


def test_an_unreadable_checkpoint_is_set_aside_at_once(unreadable):
    node, content = unreadable, pathlib.Path(unreadable.store.path).read_bytes()
    # systemd is not asked about a guardian, which could not read the file either.
    guard = node.guard(ScriptedCommands())
    with guard.exclusive_lock(0, never):
        aside = node.store.unreadable
        assert node.traces() == [node.paths.directory, aside]
        assert pathlib.Path(aside).read_bytes() == content
        assert node.firewall() == NEW
    (warning,) = guard.warnings
    assert f"{node.store.path} does not hold a checkpoint" in warning
    assert f"The file is now {aside}" in warning
    # The next run has nothing to say.
    again = node.guard(ScriptedCommands())
    come_in(again)
    assert again.warnings == []


def test_one_unreadable_checkpoint_is_kept(node):
    for text in ("first", "second"):
        node.begin()
        pathlib.Path(node.store.path).write_text(text, encoding="utf-8")
        come_in(node.guard())
    assert os.listdir(node.paths.directory) == ["checkpoint.json.unreadable"]
    assert pathlib.Path(node.store.unreadable).read_text(encoding="utf-8") == "second"


def test_check_mode_leaves_an_unreadable_checkpoint(unreadable):
    node, traces = unreadable, unreadable.traces()
    guard = node.guard(ScriptedCommands())
    with guard.exclusive_lock(0, None):
        assert node.traces() == traces
    (warning,) = guard.warnings
    assert f"A run without check mode renames the file to {node.store.unreadable}" in warning


def test_a_checkpoint_that_is_no_file_is_refused_with_a_remedy(node):
    os.makedirs(node.store.path)
    with pytest.raises(GuardError, match="No changes were made") as error:
        come_in(node.guard())
    assert node.store.path in str(error.value)
    assert "remove the file to continue" in str(error.value)


def test_what_a_kill_at_any_step_of_beginning_has_left_is_swept_by_the_next_run(node, monkeypatch):
    monkeypatch.setattr(rollback_guard, "program", lambda *_parts: b"")
    steps = []
    for step in killed_at_each_step(lambda: node.guard().begin(node.checkpoint()), node.reset):
        steps.append(step)
        with node.guard().exclusive_lock(0, lambda _checkpoint: None):
            assert node.traces() == [], step
        assert node.firewall() == OLD
    assert len(steps) > 8
    assert os.path.exists(node.store.path)


def test_a_kill_at_any_step_of_ending_is_made_up_for_by_the_next_run(node, monkeypatch):
    monkeypatch.setattr(rollback_guard, "program", lambda *_parts: b"")

    def before():
        node.reset()
        node.begin()

    # Without a guardian, as after a reboot, so that the next run sees to it.
    for step in killed_at_each_step(node.guard().end, before):
        with node.guard().exclusive_lock(0, lambda _checkpoint: None):
            assert node.traces() == [], step
    assert node.traces() == []


# Beginning and ending


def start_command(node):
    return (
        f"systemd-run --quiet --collect --unit=k3s-network-guardian-{IDENTITY}.service "
        "--property=Type=notify --property=Restart=on-failure --property=RestartSec=5 "
        "--property=RestartPreventExitStatus=2 "
        "--property=StartLimitIntervalSec=0 --property=OOMScoreAdjust=-900 "
        "--property=Description=Rolls back a change of the firewall unless it is confirmed "
        f"{sys.executable} -I {node.paths.program} {node.paths.directory}"
    )


def test_a_change_is_open_with_all_that_guards_it_before_the_guardian_starts(node):
    checkpoint = node.checkpoint()

    def run_command(arguments):
        assert " ".join(arguments) == start_command(node)
        assert node.store.load() == checkpoint
        assert node.traces() == sorted(
            [
                node.paths.directory,
                f"{node.paths.directory}/checkpoint.json",
                node.paths.program,
                node.paths.boot_unit,
                node.paths.boot_link,
                node.paths.reserve,
            ]
        )
        asked.append(arguments)
        return 0, "", ""

    asked = []
    guard = node.guard(run_command)
    guard.begin(checkpoint)
    assert len(asked) == 1
    guard.end()
    assert node.traces() == []
    guard.end()


def test_the_program_is_for_nobody_else_and_space_is_really_kept(node):
    node.begin()
    assert stat.S_IMODE(os.stat(node.paths.program).st_mode) == 0o600
    reserve = os.stat(node.paths.reserve)
    assert reserve.st_blocks * 512 >= 256 * 1024
    assert stat.S_IMODE(reserve.st_mode) == 0o600


def test_the_boot_unit_is_enabled_and_takes_back_before_firewalld_starts(node):
    node.begin()
    assert os.readlink(node.paths.boot_link) == node.paths.boot_unit
    assert stat.S_IMODE(os.stat(node.paths.boot_unit).st_mode) == 0o644
    lines = pathlib.Path(node.paths.boot_unit).read_text(encoding="utf-8").splitlines()
    program_line = f"{sys.executable} -I {node.paths.program} --boot {node.paths.directory}"
    assert f"ExecStart={program_line}" in lines
    assert f"ConditionPathExists={node.paths.directory}/checkpoint.json" in lines
    assert f"RequiresMountsFor={node.paths.directory} {node.paths.locked}" in lines
    before = next(line for line in lines if line.startswith("Before="))
    assert {"firewalld.service", "NetworkManager.service"} <= set(before[7:].split())


def unwritable(node, _monkeypatch):
    # Even root writes nothing below a file.
    shutil.rmtree(os.path.dirname(node.paths.directory))
    with open(os.path.dirname(node.paths.directory), "wb"):
        pass
    return "Not a directory"


def without_a_source(_node, monkeypatch):
    monkeypatch.setattr(restore, "PARTS", (*PARTS, "_nowhere"))
    return "_nowhere is missing"


def without_units(node, _monkeypatch):
    shutil.rmtree(node.paths.units)
    return "No such file"


def on_a_full_disk(_node, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    return "No space left"


def without_systemd(node, _monkeypatch):
    shutil.rmtree(node.paths.systemd)
    return "systemd does not run on this node"


@pytest.mark.parametrize(
    "broken", [unwritable, without_a_source, without_units, on_a_full_disk, without_systemd]
)
def test_a_change_that_can_not_be_guarded_is_not_begun(node, monkeypatch, broken):
    cause = broken(node, monkeypatch)
    with pytest.raises(GuardError, match="No changes were made") as error:
        node.guard(ScriptedCommands()).begin(node.checkpoint())
    assert cause in str(error.value)
    assert node.traces() == []
    assert not os.path.exists(node.store.path)


@pytest.mark.parametrize("where", ["out", "err"])
def test_what_systemd_says_against_the_guardian_is_told(node, where):
    said = "Failed to start transient service unit: Access denied\n"
    out, err = (said, "") if where == "out" else ("", said)
    with pytest.raises(GuardError) as error:
        node.guard(lambda _arguments: (1, out, err)).begin(node.checkpoint())
    assert str(error.value).startswith("No changes were made. ")
    assert f"k3s-network-guardian-{IDENTITY}.service: {said.strip()}. " in str(error.value)
    assert str(error.value).endswith("and run again")
    assert node.traces() == []


CALLS = ["open", "fdopen", "fsync", "fchmod", "replace", "symlink", "mkdir", "posix_fallocate"]


def test_a_change_is_not_begun_whichever_call_fails(node, monkeypatch):
    monkeypatch.setattr(rollback_guard, "program", lambda *_parts: b"")
    calls = {name: getattr(os, name) for name in CALLS}
    count = {"left": 0}

    def failing(name):
        def call(*arguments, **how):
            count["left"] -= 1
            if count["left"] == 0:
                raise OSError(errno.EIO, f"{name} went wrong")
            return calls[name](*arguments, **how)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, failing(name))
    for number in range(1, 100):
        node.store.close()
        node.reset()
        checkpoint = node.checkpoint()
        count["left"] = number
        try:
            node.guard().begin(checkpoint)
        except GuardError as error:
            count["left"] = 0
            assert "No changes were made" in str(error)
            assert "went wrong" in str(error)
            assert node.traces() == [], error
        else:
            break
    assert number > 15
    assert os.path.exists(node.store.path)


def test_awaiting_lasts_as_long_as_it_was_said_even_while_the_node_sleeps(node):
    checkpoint = node.begin()
    earliest = time.clock_gettime(time.CLOCK_BOOTTIME) + 30
    node.guard().await_confirmation(checkpoint, 30)
    latest = time.clock_gettime(time.CLOCK_BOOTTIME) + 30
    assert earliest <= node.store.deadline(IDENTITY) <= latest


def test_what_can_not_be_removed_keeps_nothing_else_from_going(node):
    shutil.rmtree(node.paths.units)
    pathlib.Path(node.paths.units).touch()
    with pytest.raises(GuardError, match="No changes were made"):
        node.guard().begin(node.checkpoint())
    assert node.traces() == []


def test_a_module_that_ends_itself_leaves_no_trace(node):
    def fail_json(_arguments):
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        node.guard(fail_json).begin(node.checkpoint())
    assert node.traces() == []


def test_a_directory_that_was_made_for_the_boot_unit_goes_with_it(node):
    wants = os.path.dirname(node.paths.boot_link)
    os.rmdir(wants)
    node.guard().begin(node.checkpoint())
    node.guard().end()
    assert not os.path.exists(wants)


def test_a_unit_that_stays_loaded_blocks_no_other_change(node):
    """As systemd does in a machine that shares its cgroup with another one."""
    loaded = set()

    def run_command(arguments):
        unit = next(one for one in arguments if one.startswith("--unit="))
        if unit in loaded:
            return 1, "", f"Unit {unit} was already loaded or has a fragment file."
        loaded.add(unit)
        return 0, "", ""

    for identity in ("0011", "2233"):
        guard = node.guard(run_command)
        guard.begin(dataclasses.replace(node.checkpoint(), identity=identity))
        guard.end()
    assert len(loaded) == 2
    assert all(unit.startswith("--unit=k3s-network-guardian-") for unit in loaded)


@pytest.mark.parametrize("what", ["directory", "locked", "units"])
def test_a_read_only_path_is_named_before_a_change(node, monkeypatch, what):
    path = getattr(node.paths, what)
    nearest = path if os.path.exists(path) else os.path.dirname(path)
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda one, mode: False if one == nearest else access(one, mode)
    )
    with pytest.raises(GuardError, match="No changes were made") as error:
        node.guard(ScriptedCommands()).begin(node.checkpoint())
    assert f"Read-only on this node: {nearest}." in str(error.value)
    assert "remount,rw" in str(error.value)
    assert node.traces() == []


def test_a_read_only_file_of_the_change_is_named(node, monkeypatch):
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda one, mode: False if one == node.zone else access(one, mode)
    )
    with pytest.raises(GuardError, match=f"Read-only on this node: {node.zone}"):
        node.guard(ScriptedCommands()).begin(node.checkpoint())
    # Check mode asks for the same.
    with pytest.raises(GuardError, match=f"Read-only on this node: {node.zone}"):
        node.guard(ScriptedCommands()).need_writable([node.zone])


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_directories_of_the_guard_have_their_modes_whatever_the_umask(node, umask):
    wants = os.path.dirname(node.paths.boot_link)
    os.rmdir(wants)
    before = os.umask(umask)
    try:
        node.guard().begin(node.checkpoint())
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(node.paths.directory).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(wants).st_mode) == 0o755


def test_the_boot_link_is_on_the_disk_before_the_guardian_starts(node, monkeypatch):
    flushed = set()

    def fsync(handle):
        if os.path.islink(node.paths.boot_link):
            flushed.add(os.readlink(f"/proc/self/fd/{handle}"))

    monkeypatch.setattr(os, "fsync", fsync)

    def run_command(_arguments):
        assert os.path.dirname(node.paths.boot_link) in flushed
        return 0, "", ""

    node.guard(run_command).begin(node.checkpoint())


def test_a_kill_while_the_wait_is_announced_leaves_no_trace(node):
    def before():
        node.reset()
        node.begin()

    def announce():
        node.guard().await_confirmation(node.checkpoint(), 60)

    for step in killed_at_each_step(announce, before):
        node.guard().end()
        assert node.traces() == [], step
