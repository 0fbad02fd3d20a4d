# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durable file operations: atomic writes, exact directory modes, copies that can be restored."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

# Not every file system has these, and a container may not be allowed to set them.
_NO_XATTRS = (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENODATA)


def write_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that a power loss leaves the old one or the new one. Raises OSError."""
    temporary = _temporary(path)
    _unlink(temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    _write(path, handle, temporary, content, mode)


def write_shared_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file that other processes may write at the same time. Raises OSError.

    The last one wins. Unlike with write_file(), a killed process leaves its temporary file.
    """
    directory, name = os.path.split(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory or ".")
    _write(path, handle, temporary, content, mode)


def write_link(path: str, target: str) -> None:
    """Make a symbolic link in place of whatever link or file is there. Raises OSError."""
    temporary = _temporary(path)
    _unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)
    _flush_directory(os.path.dirname(path))


def remove_file(path: str) -> None:
    """Remove a file that may be missing, for good before this returns. Raises OSError.

    What an interrupted write of it has left goes as well.
    """
    removed = [_unlink(path), _unlink(_temporary(path))]
    if any(removed):
        _flush_directory(os.path.dirname(path))


def rename_file(source: str, target: str) -> None:
    """Rename a file within its directory; an existing target is replaced. Raises OSError."""
    os.replace(source, target)
    _flush_directory(os.path.dirname(target))


def make_directory(path: str, mode: int = 0o755) -> None:
    """Create a directory and its missing parents with exactly this mode. Raises OSError.

    The umask has no influence. Existing directories keep their mode.
    """
    missing: list[str] = []
    level = os.path.abspath(path)
    while not os.path.lexists(level):
        missing.append(level)
        level = os.path.dirname(level)
    for one in reversed(missing):
        try:
            os.mkdir(one, mode)
        except FileExistsError:
            # Another process was faster; its mode stays.
            continue
        os.chmod(one, mode)
        for directory in (one, os.path.dirname(one)):
            # A user may create directories where they may not read.
            with contextlib.suppress(PermissionError):
                _flush_directory(directory)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def sync(paths: Iterable[str]) -> None:
    """Make durable what other programs wrote to, or removed from, these paths. Raises OSError.

    Flushes each file, the directory that holds it, and the directory above that one, which may
    have been created as well. Paths may be missing. Of a symbolic link, the link and its target
    are flushed.
    """
    files: dict[str, None] = {}
    directories: dict[str, None] = {}
    for path in paths:
        for one in (os.path.abspath(path), os.path.realpath(path)):
            files[one] = None
            level = os.path.dirname(one)
            while not os.path.isdir(level):
                level = os.path.dirname(level)
            directories[level] = None
            directories[os.path.dirname(level)] = None
    for path in files:
        if os.path.isdir(path):
            directories[path] = None
        elif os.path.isfile(path):
            with contextlib.suppress(FileNotFoundError):
                _flush(path, os.O_RDONLY)
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            _flush_directory(directory)


def unwritable(paths: Iterable[str]) -> list[str]:
    """Return the existing path, or its nearest existing parent, of each path that is read-only.

    Of a directory and what is in it, only the directory is returned. Writes nothing. The kernel
    reports a read-only mount and an immutable file to root, too.
    """
    found: dict[str, None] = {}
    for path in paths:
        level = os.path.abspath(path)
        while not os.path.lexists(level):
            level = os.path.dirname(level)
        # A file is replaced or removed in its directory, and so is a dangling link.
        levels = [level] if os.path.exists(level) else []
        if not os.path.isdir(level):
            levels.append(os.path.dirname(level))
        for one in levels:
            if not os.access(one, os.W_OK):
                found[one] = None
    return [
        one
        for one in found
        if not any(one != other and one.startswith(f"{other.rstrip('/')}/") for other in found)
    ]


@dataclass(frozen=True)
class FileCopy:
    """A file as it was; C(content) is None where there was none."""

    path: str
    content: Optional[bytes]
    mode: int = 0o600
    owner: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    """Extended attributes, which hold a POSIX ACL and the SELinux label."""

    @classmethod
    def take(cls, path: str) -> FileCopy:
        """Copy a file, which may be missing. Raises OSError where it can't be read."""
        # Whoever writes to a link writes to what it leads to.
        path = os.path.realpath(path)
        try:
            with open(path, "rb") as stream:
                status = os.fstat(stream.fileno())
                content = stream.read()
                xattrs = _xattrs(stream.fileno())
        except FileNotFoundError:
            return cls(path, None)
        owner = (status.st_uid, status.st_gid)
        return cls(path, content, stat.S_IMODE(status.st_mode), owner, xattrs)

    def restore(self) -> bool:
        """Make the file what it was; return whether it was another. Raises OSError."""
        _unlink(_temporary(self.path))
        if FileCopy.take(self.path) == self:
            return False
        if self.content is None:
            remove_file(self.path)
        else:
            make_directory(os.path.dirname(self.path), 0o700)
            temporary = _temporary(self.path)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            _write(self.path, handle, temporary, self.content, self.mode, self)
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        content = None if self.content is None else base64.b64encode(self.content).decode()
        return {
            "path": self.path,
            "content": content,
            "mode": self.mode,
            "owner": list(self.owner),
            "xattrs": {
                name: base64.b64encode(value).decode() for name, value in self.xattrs.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FileCopy:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError."""
        content = data["content"]
        user, group = data["owner"]
        copy = cls(
            path=data["path"],
            content=None if content is None else base64.b64decode(content, validate=True),
            mode=data["mode"],
            owner=(user, group),
            # Copies of version 0.1.0 have none.
            xattrs={
                name: base64.b64decode(value, validate=True)
                for name, value in data.get("xattrs", {}).items()
            },
        )
        numbers = all(isinstance(number, int) for number in (copy.mode, user, group))
        if not isinstance(copy.path, str) or not numbers:
            raise TypeError("a path is not a string, or a mode or an owner is not a number")
        return copy


def restore_all(
    copies: Iterable[FileCopy], restored: Optional[Callable[[str], None]] = None
) -> list[str]:
    """Restore all files; one that fails does not stop the others.

    Args:
        copies: The files.
        restored: Called with the path of each file that was changed, also if another one failed.

    Returns the paths of the files that were changed. Raises OSError, which names all that failed.
    """
    changed = []
    failed = []
    for copy in copies:
        try:
            if copy.restore():
                changed.append(copy.path)
        except OSError as error:
            failed.append(f"{copy.path} ({error.strerror or error})")
    if restored is not None:
        for path in changed:
            restored(path)
    if failed:
        raise OSError(f"files that could not be restored: {', '.join(failed)}")
    return changed


def _write(
    path: str,
    handle: int,
    temporary: str,
    content: bytes,
    mode: int,
    like: Optional[FileCopy] = None,
) -> None:
    """Fill a new temporary file and give it the name C(path)."""
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            # A change of the owner clears bits of the mode, so the mode comes after it.
            if like is not None:
                os.fchown(stream.fileno(), *like.owner)
            os.fchmod(stream.fileno(), mode)
            if like is not None:
                _set_xattrs(stream.fileno(), like.xattrs)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    _flush_directory(os.path.dirname(path) or ".")


def _xattrs(handle: int) -> dict[str, bytes]:
    found = {}
    for name in _ignoring_support(os.listxattr, handle) or ():
        value = _ignoring_support(os.getxattr, handle, name)
        if value is not None:
            found[name] = value
    return found


def _set_xattrs(handle: int, wanted: Mapping[str, bytes]) -> None:
    now = _xattrs(handle)
    for name in now:
        # A new file has the default ACL of its directory, for example.
        if name not in wanted:
            _ignoring_support(os.removexattr, handle, name)
    for name, value in wanted.items():
        if now.get(name) != value:
            _ignoring_support(os.setxattr, handle, name, value)


def _ignoring_support(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except OSError as error:
        if error.errno not in _NO_XATTRS:
            raise
        return None


def _temporary(path: str) -> str:
    # Always the same, so that one that a killed process has left is found again.
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.k3s-new")


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        # On a read-only mount, the kernel reports that even if there is no such file.
        if error.errno == errno.EROFS and not os.path.lexists(path):
            return False
        raise
    return True


def _flush_directory(directory: str) -> None:
    _flush(directory, os.O_RDONLY | os.O_DIRECTORY)


def _flush(path: str, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
