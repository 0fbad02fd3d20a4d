# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are written whole or not at all, and copies of files to go back to."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional


def write_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that a power loss leaves the old one or the new one. Raises OSError."""
    _write(path, content, mode, None)


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


@dataclass(frozen=True)
class FileCopy:
    """A file as it was; C(content) is None where there was none."""

    path: str
    content: Optional[bytes]
    mode: int = 0o600
    owner: tuple[int, int] = (0, 0)

    @classmethod
    def take(cls, path: str) -> FileCopy:
        """Copy a file, which may be missing. Raises OSError where it can't be read."""
        # Whoever writes to a link writes to what it leads to.
        path = os.path.realpath(path)
        try:
            with open(path, "rb") as stream:
                status = os.fstat(stream.fileno())
                content = stream.read()
        except FileNotFoundError:
            return cls(path, None)
        return cls(path, content, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))

    def restore(self) -> bool:
        """Make the file what it was; return whether it was another. Raises OSError."""
        _unlink(_temporary(self.path))
        if FileCopy.take(self.path) == self:
            return False
        if self.content is None:
            remove_file(self.path)
        else:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            _write(self.path, self.content, self.mode, self.owner)
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        content = None if self.content is None else base64.b64encode(self.content).decode()
        return {
            "path": self.path,
            "content": content,
            "mode": self.mode,
            "owner": list(self.owner),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FileCopy:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError."""
        content = data["content"]
        user, group = data["owner"]
        return cls(
            data["path"],
            None if content is None else base64.b64decode(content),
            data["mode"],
            (user, group),
        )


def _write(path: str, content: bytes, mode: int, owner: Optional[tuple[int, int]]) -> None:
    temporary = _temporary(path)
    _unlink(temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    _flush_directory(os.path.dirname(path))


def _temporary(path: str) -> str:
    # Always the same, so that one that a killed process has left is found again.
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.k3s-new")


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _flush_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
