# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import resource
import stat

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import (
    FileCopy,
    remove_file,
    write_file,
    write_link,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.killed import (
    ended,
    killed_at_each_step,
    started,
)
from hypothesis import given
from hypothesis import strategies as st

OLD = b"what was there\n"
NEW = b"what shall be there, and is longer\n"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "firewalld.json")


@pytest.fixture
def stale(path):
    """The temporary file that a killed process has left."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.k3s-new")
    put(temporary, b"wh", 0o600)
    return temporary


@pytest.fixture
def flushes(monkeypatch):
    """Record what is flushed and replaced, in order."""
    events = []
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def flush(handle):
        kind = "directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        events.append(f"flush {kind}")
        fsync(handle)

    def rename(source, target):
        events.append("replace")
        replace(source, target)

    def remove(what):
        unlink(what)
        events.append("remove")

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    monkeypatch.setattr(os, "unlink", remove)
    return events


def put(path, content, mode=0o640):
    """Make a file what it is to be, or make it missing."""
    if os.path.lexists(path):
        os.unlink(path)
    if content is not None:
        with open(path, "wb") as stream:
            stream.write(content)
        os.chmod(path, mode)


def read(path):
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def beside(path):
    """Return the names in the directory of a file."""
    return os.listdir(os.path.dirname(path))


# Writing


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_written_with_its_mode_and_nothing_beside_it(path, before, mode):
    put(path, before)
    umask = os.umask(0o077)
    try:
        write_file(path, NEW, mode)
    finally:
        os.umask(umask)
    assert (read(path), mode_of(path)) == (NEW, mode)
    assert beside(path) == ["firewalld.json"]


def test_a_file_is_nobody_elses_to_read_unless_that_is_said(path):
    write_file(path, NEW)
    assert mode_of(path) == 0o600


def test_whoever_reads_the_old_file_reads_it_to_its_end(path):
    put(path, OLD)
    with open(path, "rb") as stream:
        start = stream.read(4)
        write_file(path, NEW)
        assert start + stream.read() == OLD


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_return(path, flushes):
    write_file(path, NEW)
    assert flushes == ["flush file", "replace", "flush directory"]


@pytest.mark.parametrize("before", [None, OLD])
def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_one(path, before):
    seen = []
    for step in killed_at_each_step(lambda: write_file(path, NEW), lambda: put(path, before)):
        seen.append(read(path))
        assert seen[-1] in (before, NEW), step
    # It takes to make a temporary file, and to give it the name.
    assert len(seen) >= 2
    assert read(path) == NEW
    assert beside(path) == ["firewalld.json"]


@pytest.mark.parametrize("sweep", [lambda path: write_file(path, NEW), remove_file])
def test_what_a_kill_has_left_goes_with_the_next_write_or_removal(path, sweep):
    for step in killed_at_each_step(lambda: write_file(path, OLD), lambda: put(path, None)):
        sweep(path)
        assert beside(path) == (["firewalld.json"] if sweep is not remove_file else []), step


@pytest.mark.parametrize("call", ["fchmod", "fsync", "replace"])
def test_a_call_that_fails_leaves_the_old_file_alone(path, monkeypatch, call):
    put(path, OLD)

    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, NEW)
    assert (read(path), mode_of(path)) == (OLD, 0o640)
    assert beside(path) == ["firewalld.json"]


def test_content_that_does_not_fit_leaves_the_old_file_alone(path):
    put(path, OLD)

    def write():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
        with pytest.raises(OSError):
            write_file(path, NEW)

    assert ended(started(write)) == 0
    assert read(path) == OLD
    assert beside(path) == ["firewalld.json"]


def test_without_the_directory_nothing_is_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_file(str(tmp_path / "nowhere" / "file"), NEW)


# Links


def lead(path):
    """Return where a link leads to, what a file holds, None where there is neither."""
    return os.readlink(path) if os.path.islink(path) else read(path)


@pytest.mark.parametrize("before", [None, OLD, "link"])
def test_a_link_is_made_in_place_of_what_is_there(path, before):
    if before == "link":
        os.symlink("elsewhere", path)
    else:
        put(path, before)
    write_link(path, "/nowhere/at all")
    assert os.readlink(path) == "/nowhere/at all"
    assert beside(path) == ["firewalld.json"]


def test_what_a_link_led_to_before_stays(tmp_path, path):
    target = tmp_path / "target"
    target.write_bytes(OLD)
    os.symlink(str(target), path)
    write_link(path, "elsewhere")
    assert target.read_bytes() == OLD


def test_a_link_is_on_the_disk_before_the_return(path, flushes):
    write_link(path, "target")
    assert flushes == ["replace", "flush directory"]


@pytest.mark.parametrize("before", [None, OLD])
def test_a_kill_at_any_step_leaves_what_was_there_or_the_link(path, before):
    seen = []
    for step in killed_at_each_step(lambda: write_link(path, "target"), lambda: put(path, before)):
        seen.append(lead(path))
        assert seen[-1] in (before, "target"), step
        put(path, None)
        write_link(path, "target")
        assert beside(path) == ["firewalld.json"], step
    assert len(seen) >= 2
    assert lead(path) == "target"


def test_a_link_takes_a_stale_temporary_along(path, stale):
    write_link(path, "target")
    assert beside(path) == ["firewalld.json"]


def test_without_the_directory_no_link_is_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_link(str(tmp_path / "nowhere" / "link"), "target")


# Removing


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path, path):
    target = tmp_path / "target"
    target.write_bytes(OLD)
    os.symlink(str(target), path)
    remove_file(path)
    assert beside(path) == ["target"]


def test_a_link_that_leads_nowhere_is_removed(path):
    os.symlink("nowhere", path)
    remove_file(path)
    assert beside(path) == []


def test_a_file_is_removed_for_good_before_the_return(path, flushes):
    with open(path, "wb"):
        pass
    remove_file(path)
    assert flushes == ["remove", "flush directory"]
    assert beside(path) == []


def test_a_file_that_is_missing_needs_no_removal_and_no_flush(path, flushes):
    remove_file(path)
    remove_file(os.path.join(os.path.dirname(path), "nowhere", "file"))
    assert flushes == []


def test_removing_takes_a_stale_temporary_along(path, stale):
    remove_file(path)
    assert beside(path) == []


# Copies


def test_a_copy_of_a_file_that_is_missing_has_no_content(tmp_path):
    assert FileCopy.take(str(tmp_path / "file")).content is None
    assert FileCopy.take(str(tmp_path / "nowhere" / "file")).content is None


def test_a_copy_holds_content_mode_and_owner(path):
    put(path, OLD, 0o4750)
    assert FileCopy.take(path) == FileCopy(path, OLD, 0o4750, (os.getuid(), os.getgid()))


def test_what_is_no_file_can_not_be_copied(tmp_path):
    with pytest.raises(OSError):
        FileCopy.take(str(tmp_path))


@given(
    st.builds(
        FileCopy,
        path=st.text(),
        content=st.none() | st.binary(),
        mode=st.integers(0, 0o7777),
        owner=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    )
)
def test_a_copy_survives_json(copy):
    assert FileCopy.from_dict(json.loads(json.dumps(copy.to_dict()))) == copy


STATES = {
    "missing": (None, 0),
    "old": (OLD, 0o640),
    "old for all": (OLD, 0o644),
    "new": (NEW, 0o640),
    "empty": (b"", 0o640),
}


@pytest.mark.parametrize("now", STATES)
@pytest.mark.parametrize("was", STATES)
def test_restoring_gives_the_file_back_and_tells_whether_that_took_anything(path, was, now):
    put(path, *STATES[was])
    copy = FileCopy.take(path)
    put(path, *STATES[now])
    assert copy.restore() is (was != now)
    assert FileCopy.take(path) == copy
    assert beside(path) == ([] if was == "missing" else ["firewalld.json"])
    assert copy.restore() is False


def test_restoring_what_is_right_does_not_write(path):
    put(path, OLD)
    copy = FileCopy.take(path)
    inode = os.stat(path).st_ino
    copy.restore()
    assert os.stat(path).st_ino == inode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_comes_back(path):
    put(path, OLD, 0o600)
    os.chown(path, 1234, 2345)
    copy = FileCopy.take(path)
    os.chown(path, 0, 0)
    assert copy.restore()
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, mode_of(path)) == (1234, 2345, 0o600)


def test_restoring_makes_a_directory_that_is_gone(tmp_path):
    directory = tmp_path / "k3s-network"
    directory.mkdir()
    path = str(directory / "firewalld.json")
    put(path, OLD)
    copy = FileCopy.take(path)
    remove_file(path)
    directory.rmdir()
    assert copy.restore()
    assert FileCopy.take(path) == copy


def test_a_file_that_was_missing_needs_no_directory(tmp_path):
    copy = FileCopy.take(str(tmp_path / "k3s-network" / "firewalld.json"))
    assert not copy.restore()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("now", [None, OLD, NEW])
@pytest.mark.parametrize("was", [None, OLD])
def test_restoring_takes_a_stale_temporary_along(path, stale, was, now):
    put(path, was)
    copy = FileCopy.take(path)
    put(path, now)
    copy.restore()
    assert not os.path.exists(stale)


@pytest.mark.parametrize("now", [None, NEW])
@pytest.mark.parametrize("was", [None, OLD])
def test_restoring_that_was_killed_at_any_step_is_done_by_the_next_try(path, was, now):
    put(path, was)
    copy = FileCopy.take(path)
    for step in killed_at_each_step(copy.restore, lambda: put(path, now)):
        assert read(path) in (was, now), step
        copy.restore()
        assert FileCopy.take(path) == copy, step
        assert beside(path) == ([] if was is None else ["firewalld.json"]), step


def test_what_a_link_leads_to_is_restored(tmp_path):
    target = tmp_path / "target"
    target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(target)
    copy = FileCopy.take(str(link))
    target.write_text("new")
    copy.restore()
    assert link.is_symlink()
    assert target.read_text() == "old"
