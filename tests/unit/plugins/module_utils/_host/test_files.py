# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import stat
import struct
import subprocess
import sys

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import files as host_files
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import (
    FileCopy,
    make_directory,
    remove_file,
    rename_file,
    restore_all,
    sync,
    unwritable,
    write_file,
    write_link,
    write_shared_file,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.killed import (
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


def test_whoever_reads_the_old_file_reads_it_to_its_end(path):
    put(path, OLD)
    with open(path, "rb") as stream:
        start = stream.read(4)
        write_file(path, NEW)
        assert start + stream.read() == OLD


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_return(path, flushes):
    write_file(path, NEW)
    assert flushes == ["flush file", "replace", "flush directory"]
    assert mode_of(path) == 0o600


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


@pytest.mark.parametrize(("write", "what"), [(write_file, NEW), (write_link, "target")])
def test_without_the_directory_nothing_is_written(tmp_path, write, what):
    with pytest.raises(FileNotFoundError):
        write(str(tmp_path / "nowhere" / "file"), what)


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
        xattrs=st.dictionaries(st.text(), st.binary(), max_size=3),
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


def test_copies_of_the_first_version_can_be_read():
    copy = FileCopy("/etc/firewalld/zones/public.xml", b"x", 0o644, (1, 2))
    data = copy.to_dict()
    del data["xattrs"]
    assert FileCopy.from_dict(data) == copy


ACL = struct.pack(
    "<I" + "HHI" * 5,
    2,
    *(0x01, 6, 0xFFFFFFFF),
    *(0x02, 4, 12345),
    *(0x04, 0, 0xFFFFFFFF),
    *(0x10, 4, 0xFFFFFFFF),
    *(0x20, 0, 0xFFFFFFFF),
)
"""rw for the owner, r for the user 12345, nothing for anyone else."""


def set_acl(path):
    try:
        os.setxattr(path, "system.posix_acl_access", ACL)
    except OSError:
        pytest.skip("the file system has no POSIX ACLs")


@pytest.mark.parametrize("now", [None, OLD, NEW])
def test_the_acl_comes_back(path, now):
    put(path, OLD)
    set_acl(path)
    copy = FileCopy.take(path)
    put(path, now)
    assert copy.restore()
    assert os.getxattr(path, "system.posix_acl_access") == ACL
    assert FileCopy.take(path) == copy
    assert not copy.restore()


def test_an_acl_that_was_not_there_goes(path):
    put(path, OLD)
    copy = FileCopy.take(path)
    set_acl(path)
    assert copy.restore()
    assert FileCopy.take(path) == copy
    assert mode_of(path) == 0o640


def test_a_default_acl_of_the_directory_does_not_stay(path):
    put(path, OLD)
    copy = FileCopy.take(path)
    put(path, None)
    try:
        os.setxattr(os.path.dirname(path), "system.posix_acl_default", ACL)
    except OSError:
        pytest.skip("the file system has no POSIX ACLs")
    assert copy.restore()
    assert FileCopy.take(path) == copy


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EPERM])
def test_attributes_that_cannot_be_set_do_not_stop_a_restore(path, monkeypatch, code):
    def refuse(*_arguments):
        raise OSError(code, os.strerror(code))

    copy = FileCopy(path, OLD, 0o600, (os.getuid(), os.getgid()), {"user.note": b"x"})
    for call in ("listxattr", "getxattr", "setxattr", "removexattr"):
        monkeypatch.setattr(os, call, refuse)
    assert copy.restore()
    assert read(path) == OLD
    assert FileCopy.take(path).xattrs == {}


def test_restoring_all_goes_on_behind_a_failure(tmp_path):
    paths = [str(tmp_path / name / "file") for name in ("one", "two", "three", "four", "five")]
    copies = []
    for path in paths:
        make_directory(os.path.dirname(path))
        put(path, OLD)
        copies.append(FileCopy.take(path))
        put(path, NEW)
    put(paths[4], OLD)
    # Even root creates no directory below a file.
    for path in (paths[0], paths[2]):
        shutil.rmtree(os.path.dirname(path))
        put(os.path.dirname(path), b"")
    told = []
    with pytest.raises(OSError) as error:
        restore_all(copies, told.append)
    assert all((path in str(error.value)) is (path in (paths[0], paths[2])) for path in paths)
    assert told == [paths[1], paths[3]]
    assert [read(path) for path in (paths[1], paths[3])] == [OLD, OLD]
    assert restore_all([copies[1], copies[3]]) == []
    put(paths[1], NEW)
    assert restore_all([copies[1], copies[3]]) == [paths[1]]


# Directories


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o750])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_each_level_has_its_mode_whatever_the_umask(tmp_path, umask, mode):
    os.chmod(tmp_path, 0o711)
    before = os.umask(umask)
    try:
        make_directory(str(tmp_path / "rancher" / "k3s" / "config.yaml.d"), mode)
    finally:
        os.umask(before)
    for level in ("rancher", "rancher/k3s", "rancher/k3s/config.yaml.d"):
        assert mode_of(tmp_path / level) == mode, level
    assert mode_of(tmp_path) == 0o711


def test_directories_that_exist_keep_their_mode(tmp_path):
    (tmp_path / "there").mkdir(mode=0o711)
    make_directory(str(tmp_path / "there"), 0o755)
    make_directory(str(tmp_path / "there" / "new"), 0o755)
    assert mode_of(tmp_path / "there") == 0o711


def test_a_directory_is_on_the_disk_with_its_name(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(host_files, "_flush_directory", flushed.append)
    one, two = str(tmp_path / "one"), str(tmp_path / "one" / "two")
    make_directory(two)
    assert flushed == [one, str(tmp_path), two, one]


@pytest.mark.parametrize("below", ["", "/one", "/one/two"])
def test_a_file_is_not_taken_for_a_directory(path, below):
    put(path, OLD)
    with pytest.raises(OSError):
        make_directory(f"{path}{below}")


def test_processes_may_create_a_directory_at_once(tmp_path):
    for number in range(20):
        path = str(tmp_path / str(number) / "one" / "two")
        processes = [started(make_directory, path) for _copy in range(3)]
        assert [ended(process) for process in processes] == [0, 0, 0]


# Files that other programs wrote


@pytest.fixture
def flushed(monkeypatch):
    """Record the paths that are flushed."""
    found = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: found.append(os.readlink(f"/proc/self/fd/{handle}"))
    )
    return found


def test_files_and_the_directories_that_hold_them_are_flushed_once(tmp_path, flushed):
    zones, policies = tmp_path / "zones", tmp_path / "policies"
    zones.mkdir()
    policies.mkdir()
    for path in (zones / "a.xml", zones / "b.xml", policies / "c.xml"):
        path.write_bytes(OLD)
    gone = [zones / "gone.xml", tmp_path / "no" / "directory" / "d.xml"]
    files = [zones / "a.xml", zones / "b.xml", policies / "c.xml"]
    sync(str(path) for path in (*files, *gone))
    expected = [*files, zones, policies, tmp_path, tmp_path.parent]
    assert sorted(flushed) == sorted(map(str, expected))
    # A name must not be on the disk before what it names.
    assert flushed[:3] == list(map(str, files))


def test_a_link_and_its_target_are_flushed(tmp_path, flushed):
    for name in ("links", "targets"):
        (tmp_path / name).mkdir()
    target = tmp_path / "targets" / "file"
    target.write_bytes(OLD)
    (tmp_path / "links" / "file").symlink_to(target)
    sync([str(tmp_path / "links" / "file")])
    assert {str(target), str(tmp_path / "links"), str(tmp_path / "targets")} <= set(flushed)


def test_what_is_no_file_is_not_opened(tmp_path, flushed):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "masked").symlink_to("/dev/null")
    sync([str(tmp_path / "pipe"), str(tmp_path / "masked"), str(tmp_path)])
    assert not {str(tmp_path / "pipe"), "/dev/null"} & set(flushed)
    assert flushed.count(str(tmp_path)) == 1


def test_a_name_is_on_the_disk_after_a_rename(path, flushes):
    put(path, OLD)
    rename_file(path, f"{path}.old")
    assert flushes == ["replace", "flush directory"]
    assert beside(path) == ["firewalld.json.old"]


# Several processes


def test_processes_that_write_one_file_at_once_all_succeed(path):
    def write(letter):
        for _number in range(60):
            write_shared_file(path, letter * 50_000, 0o644)

    processes = [started(write, letter) for letter in (b"a", b"b")]
    while any(process.is_alive() for process in processes):
        assert read(path) in (None, b"a" * 50_000, b"b" * 50_000)
    assert [ended(process) for process in processes] == [0, 0]
    assert mode_of(path) == 0o644
    assert beside(path) == ["firewalld.json"]


# Read-only


def test_all_paths_of_a_usual_directory_are_writable(tmp_path):
    put(str(tmp_path / "file"), OLD)
    assert unwritable([str(tmp_path / name) for name in ("", "file", "new", "no/such/file")]) == []


# A mount of its own, of which the kernel itself says that it is read-only.
READ_ONLY = """\
import os, sys
sys.path[:0] = sys.argv[2].split(":")
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import files
FileCopy, remove_file, unwritable = files.FileCopy, files.remove_file, files.unwritable
root = sys.argv[1]
names = ["", "/file", "/new", "/no/such/file", "/dangling"]
assert unwritable(root + name for name in names) == [root], "what is in it goes without saying"
assert unwritable(["/dev/shm", root + "/new"]) == [root], "only the read-only one"
# What is not there needs no removal.
remove_file(root + "/new")
remove_file(root + "/no/such/file")
assert not FileCopy(root + "/new", None).restore()
assert not FileCopy.take(root + "/file").restore()
try:
    remove_file(root + "/file")
except OSError as error:
    assert root + "/file" in str(error)
else:
    raise AssertionError("the file was removed")
"""


def test_a_read_only_mount_is_found_and_needs_no_removal_of_missing_files(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(OLD)
    (root / "dangling").symlink_to("nowhere")
    mount = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
    unshared = ["unshare", "--mount", "sh", "-ec"]
    try:
        subprocess.run([*unshared, mount, "sh", str(root)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounts need root")
    python = f'{mount}; exec "$2" -c "$3" "$1" "$4"'
    done = subprocess.run(
        [*unshared, python, "sh", str(root), sys.executable, READ_ONLY, ":".join(sys.path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
