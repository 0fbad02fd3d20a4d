# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkManager through nmcli: reads and writes, decides nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from .commands import RunCommand
from .files import FileCopy, remove_file, write_file

_ETC = "/etc/NetworkManager/system-connections/"
_RUN = "/run/NetworkManager/system-connections/"
_LIB = "/usr/lib/NetworkManager/system-connections/"
_IFCFG = "/etc/sysconfig/network-scripts/ifcfg-"
# /etc/NetworkManager/system-connections, /etc/sysconfig/network-scripts
_PROFILES = ("/NetworkManager/", "/network-scripts/")

# nmcli -t writes a colon and a backslash within a field with a backslash before it.
_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)")
_ESCAPED = re.compile(r"\\(.)")
# nmcli translates states, and in the C locale it prints other letters of a file name as "?".
_PLAIN = ("env", "LC_ALL=C.UTF-8", "LANGUAGE=")
_BUS = "org.freedesktop.NetworkManager"
_SETTINGS = "/org/freedesktop/NetworkManager/Settings"
# Of the states connecting, connected and deactivating.
_EXTERNAL = "(externally)"

_HEADER = re.compile(rb"\s*\[([^\]]*)\]\s*$")
_KEYFILE_ZONE = re.compile(rb"\s*zone\s*=(.*)")
_IFCFG_ZONE = re.compile(rb"\s*(?:export\s+)?ZONE=(.*)")
_SHADOWED = re.compile(r"^shadowed-storage=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Profile:
    """A connection profile as it was before its zone was set."""

    uuid: str
    path: str
    """The file as NetworkManager names it, which may be a symbolic link."""
    file: FileCopy
    digest: str = ""
    """SHA-256 of the file that set_zone() wrote, empty before written()."""

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        return {
            "uuid": self.uuid,
            "path": self.path,
            "file": self.file.to_dict(),
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError."""
        return cls(data["uuid"], data["path"], FileCopy.from_dict(data["file"]), data["digest"])


class NetworkManagerError(Exception):
    """nmcli failed; the text holds the command and what it said."""


class NetworkManager:
    """The NetworkManager of this host, which may be missing or stopped."""

    def __init__(self, run_command: RunCommand, nmcli: Optional[str] = None) -> None:
        self._run_command = run_command
        self._nmcli = nmcli or shutil.which("nmcli")
        self._connections: dict[str, Optional[str]] = {}

    def profiles(self) -> Optional[list[str]]:
        """Return the names of all profiles, None where no NetworkManager runs."""
        if self._nmcli is None:
            return None
        code, out, _err = self._run_command([self._nmcli, "-t", "-f", "NAME", "connection", "show"])
        return out.splitlines() if code == 0 else None

    def manages(self, interface: str) -> bool:
        """Tell whether NetworkManager has configured the interface from a profile.

        Other software may have configured it (a bridge, a WireGuard tunnel). NetworkManager then
        shows it as connected externally, with a profile that is not to be saved.
        """
        return self._connection(interface) is not None

    def zone(self, interface: str) -> str:
        """Return connection.zone of the interface's profile, empty if it names none."""
        return self._zone(str(self._connection(interface)))

    def set_zone(self, interface: str, zone: str) -> None:
        """Set connection.zone in the file of the interface's profile and on the active device.

        Nothing else changes in the file. A profile below /run or /usr/lib gets a copy below /etc.
        Raises NetworkManagerError or OSError.
        """
        self._set_zone(str(self._connection(interface)), zone)

    def files(self, interface: str, profile: Optional[Profile] = None) -> list[str]:
        """Return the files that set_zone(), and restore() of the profile, may write or remove.

        Files that exist come first. A rollback has to keep that order, because NetworkManager
        deactivates a device when it has no file of its profile. Raises NetworkManagerError.
        """
        paths: list[str] = []
        if self.manages(interface):
            uuid = str(self._connection(interface))
            source, target = self._place(uuid)
            paths = [target, source, *self._shadows(uuid)]
        if profile is not None:
            paths += [_target(profile.path), profile.path]
        paths = [path for path in dict.fromkeys(paths) if not path.startswith(_LIB)]
        return sorted(paths, key=lambda path: not os.path.exists(path))

    def profile(self, interface: str) -> Optional[Profile]:
        """Return the interface's profile as it is, None if NetworkManager does not manage it.

        Raises NetworkManagerError if set_zone() or restore() could not do what they promise.
        """
        if not self.manages(interface):
            return None
        uuid = str(self._connection(interface))
        source, target = self._place(uuid)
        file = FileCopy.take(source)
        directory = os.path.dirname(target)
        if self._file(uuid) != source:
            raise NetworkManagerError(
                f"the profile of {interface} has changes that are not saved in {source}. Restoring "
                "the file would drop them. No changes were made. To save them, run: "
                f"nmcli connection modify {uuid} connection.zone '{self._zone(uuid)}'"
            )
        if file.content is None:
            raise NetworkManagerError(
                f"the file {source} of the profile of {interface} does not exist. "
                f"No changes were made. To write it, run: nmcli connection modify {uuid} "
                f"connection.zone '{self._zone(uuid)}'"
            )
        if source != target and os.path.exists(target):
            raise NetworkManagerError(
                f"the profile of {interface} in {source} needs a copy, but {target} exists. "
                "No changes were made. Remove or rename that file"
            )
        if not os.access(directory, os.W_OK):
            raise NetworkManagerError(
                f"the directory {directory} is not writable. The zone of {interface} is set in "
                f"{target}. No changes were made. Make the directory writable"
            )
        return Profile(uuid, source, file)

    def written(self, profile: Profile) -> Profile:
        """Return a profile with the digest of the file that set_zone() wrote. Raises OSError."""
        content = FileCopy.take(_target(profile.path)).content
        return replace(profile, digest=_digest(content or b""))

    def restore(self, profile: Profile, zone: str) -> None:
        """Restore the file of a profile, and set the zone on the active device.

        If somebody has changed the file since set_zone(), only the zone changes in it. If C(zone)
        is not the zone that the original names, the zone of the restored file is C(zone). Safe to
        run again after an interruption. Raises NetworkManagerError or OSError.
        """
        source, target = profile.path, _target(profile.path)
        is_known = self.profiles() is not None and self._file(profile.uuid) != ""
        now = FileCopy.take(target)
        if now.content is None:
            # Somebody has renamed or removed the file, or an earlier restore() got this far.
            if is_known and source != target and self._load(source):
                self._load(target)
            if is_known and self._zone(profile.uuid) != zone:
                self._set_zone(profile.uuid, zone)
            return
        original = profile.file.content or b""
        is_original = now.content == with_zone(original, zone_in(now.content, target), target)
        is_unchanged = is_original or _digest(now.content) == profile.digest
        content = with_zone(original if is_original else now.content, zone, target)
        there = FileCopy.take(source).content
        if is_known:
            applied = None if is_original else with_zone(original, zone, source)
            self._bind(profile.uuid, target, content, zone, applied)
        if source.startswith(_RUN) and (is_unchanged or there is not None):
            # Whatever generated the file may have generated another one since.
            replace(profile.file, content=with_zone(there or content, zone, source)).restore()
            there = FileCopy.take(source).content
        can_go = source != target and is_unchanged and there is not None
        can_go = can_go and zone_in(there or b"", source) == zone
        # Without a file that it can read, NetworkManager would deactivate the device.
        if can_go and (not is_known or self._load(source)):
            remove_file(target)
            if is_known:
                self._load(target, source)
            return
        if is_known and source.startswith(_RUN) and there is not None:
            self._load(source)
        replace(
            profile.file if is_original and source == target else now, content=content
        ).restore()

    def load_profile(self, path: str) -> None:
        """Read a profile's file again, which may be gone, if NetworkManager runs."""
        if any(part in path for part in _PROFILES) and self.profiles() is not None:
            self._load(path)

    def active_profiles(self) -> dict[str, tuple[str, str]]:
        """Return the name and the file of the active profile of each interface that it manages."""
        states = dict(self._rows("DEVICE,STATE", "device", "status"))
        return {
            device: (name, path)
            for device, name, path in self._rows(
                "DEVICE,NAME,FILENAME", "connection", "show", "--active"
            )
            # It makes profiles up for interfaces that somebody else has set up.
            if _EXTERNAL not in states.get(device, "")
        }

    def _rows(self, fields: str, *arguments: str) -> list[list[str]]:
        out = self.run("-t", "-f", fields, *arguments)
        return _split(out, fields.count(",") + 1)

    def knows(self, name: str) -> bool:
        """Tell whether NetworkManager runs and has a profile of that name."""
        return name in (self.profiles() or ())

    def run(self, *arguments: str) -> str:
        """Run nmcli and return what it printed. Raises NetworkManagerError where it fails."""
        return self._run([self._nmcli or "nmcli", *arguments])

    def _run(self, command: Sequence[str]) -> str:
        code, out, err = self._run_command(command)
        if code != 0:
            raise NetworkManagerError(f"{' '.join(command)}: {(err or out).strip()}")
        return out

    # Private

    def _connection(self, interface: str) -> Optional[str]:
        if interface not in self._connections:
            uuid = None
            if self._nmcli is not None:
                fields = "GENERAL.STATE,GENERAL.CON-UUID"
                code, out, _err = self._run_command(
                    [*_PLAIN, self._nmcli, "-g", fields, "device", "show", interface]
                )
                state, _newline, rest = out.partition("\n")
                if code == 0 and _EXTERNAL not in state:
                    uuid = rest.strip() or None
            self._connections[interface] = uuid
        return self._connections[interface]

    def _zone(self, uuid: str) -> str:
        return self.run("-g", "connection.zone", "connection", "show", uuid).strip()

    def _file(self, uuid: str) -> str:
        """Return the file of a profile, empty if NetworkManager has none of it."""
        out = self._run(
            [*_PLAIN, self._nmcli or "nmcli", "-t", "-f", "UUID,FILENAME", "connection", "show"]
        )
        for line_uuid, path in _split(out, 2):
            if line_uuid == uuid:
                return path
        return ""

    def _place(self, uuid: str) -> tuple[str, str]:
        """Return the file of a profile, and the file below /etc that its zone is written to."""
        path = self._file(uuid)
        path = _shadowed(path) or path
        if not path.startswith((_ETC, _RUN, _LIB, _IFCFG)):
            raise NetworkManagerError(
                f"the profile {uuid} is not kept in a keyfile or ifcfg file but in "
                f"{path or 'memory'}. Its zone could not be restored. No changes were made. "
                f"To save it in a file, run: nmcli connection clone {uuid} NAME"
            )
        return path, _target(path)

    def _shadows(self, uuid: str) -> list[str]:
        """Return the files below /run that NetworkManager may write for a temporary change."""
        name = self._run(
            [*_PLAIN, self._nmcli or "nmcli", "-g", "connection.id", "connection", "show", uuid]
        )
        name = _ESCAPED.sub(r"\1", name.strip()).replace("/", "_")
        return [f"{_RUN}{name}{suffix}.nmconnection" for suffix in ("", f"-{uuid}")]

    def _set_zone(self, uuid: str, zone: str) -> None:
        source, target = self._place(uuid)
        file = FileCopy.take(source)
        if file.content is None:
            # Somebody has removed the file, but the profile is active until NetworkManager knows.
            self.run("connection", "modify", "--temporary", uuid, "connection.zone", zone)
            return
        content = with_zone(file.content, zone, source)
        self._bind(uuid, target, content, zone)
        if source == target:
            replace(file, content=content).restore()

    def _bind(
        self, uuid: str, target: str, content: bytes, zone: str, applied: Optional[bytes] = None
    ) -> None:
        """Make a file below /etc hold a profile with its zone, and the device follow.

        Reading a file again does not change an active device. A temporary change does; it is
        written to a file below /run, which hides every other file of the profile. The device
        follows only if nothing but the zone differs from what was applied to it, which is
        C(applied) if somebody has changed the profile since.
        """
        current = self._file(uuid)
        is_hidden = current.startswith(_RUN)
        if not _shadowed(current):
            # NetworkManager keeps what it has if it can't read a file, unless the file is gone.
            self._try(uuid, current if is_hidden else target, content, zone)
        _write(target, content)
        hiding = {current}
        if applied is not None and not target.startswith(_IFCFG):
            shadow = self._shadows(uuid)[0]
            _write(shadow, applied)
            self._load(shadow)
            hiding.add(shadow)
        self.run("connection", "modify", "--temporary", uuid, "connection.zone", zone)
        hiding.add(self._file(uuid))
        hidden_by = sorted(path for path in hiding if path.startswith(_RUN))
        for path in hidden_by:
            remove_file(path)
        self._load(*hidden_by, target)
        self._check(uuid, target, zone)

    def _try(self, uuid: str, path: str, content: bytes, zone: str) -> None:
        before = FileCopy.take(path)
        _write(path, content)
        if not self._load(path) or self._zone(uuid) != zone:
            before.restore()
            self._load(path)
            raise NetworkManagerError(
                f"NetworkManager does not read {path} with connection.zone '{zone}'. The file was "
                f"left as it was. To see why, run: nmcli connection load {path}; "
                "journalctl -u NetworkManager"
            )

    def _check(self, uuid: str, path: str, zone: str) -> None:
        found = self._file(uuid), self._zone(uuid)
        if found != (path, zone):
            raise NetworkManagerError(
                f"the profile {uuid} should be in {path} with connection.zone '{zone}', but "
                f"NetworkManager has it in {found[0]} with '{found[1]}'. "
                "Run: journalctl -u NetworkManager"
            )

    def _load(self, *paths: str) -> bool:
        """Read files again; return whether all of them are there and could be read."""
        # nmcli connection load does not report a failure in version 1.30.
        command = ["busctl", "call", _BUS, _SETTINGS, f"{_BUS}.Settings", "LoadConnections", "as"]
        return "bas true" in self._run([*command, str(len(paths)), *paths])


def with_zone(content: bytes, zone: str, path: str) -> bytes:
    """Return the content of a keyfile or ifcfg file with another zone, empty for none."""
    if zone_in(content, path) == zone:
        return content
    lines = content.splitlines(keepends=True)
    newline = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    if lines and not lines[-1].endswith((b"\r", b"\n")):
        lines[-1] += newline
    is_ifcfg = path.startswith(_IFCFG)
    held = [index for index, _value in _zones(lines, is_ifcfg)]
    headers = [index for index, line in enumerate(lines) if _group(line) == b"connection"]
    name = b"ZONE=" if is_ifcfg else b"zone="
    if held:
        lines[held[0]] = name + zone.encode() + newline if zone else b""
        for index in held[1:]:
            lines[index] = b""
    elif is_ifcfg:
        lines.append(name + zone.encode() + newline)
    else:
        if not headers:
            headers = [len(lines)]
            lines.append(b"[connection]" + newline)
        lines.insert(headers[0] + 1, name + zone.encode() + newline)
    return b"".join(lines)


def zone_in(content: bytes, path: str) -> str:
    """Return the zone that a keyfile or ifcfg file names, empty if it names none."""
    is_ifcfg = path.startswith(_IFCFG)
    values = [value for _index, value in _zones(content.splitlines(), is_ifcfg)]
    value = values[-1].strip() if values else b""
    return (value.strip(b"\"'") if is_ifcfg else value).decode(errors="replace")


def _zones(lines: Sequence[bytes], is_ifcfg: bool) -> list[tuple[int, bytes]]:
    found = []
    group: Optional[bytes] = None
    for index, line in enumerate(lines):
        group = _group(line) or group
        match = (_IFCFG_ZONE if is_ifcfg else _KEYFILE_ZONE).match(line)
        if match and (is_ifcfg or group == b"connection"):
            found.append((index, match[1]))
    return found


def _group(line: bytes) -> Optional[bytes]:
    match = _HEADER.match(line)
    return match[1] if match else None


def _target(path: str) -> str:
    is_below_etc = not path.startswith((_RUN, _LIB))
    return path if is_below_etc else _ETC + os.path.basename(path)


def _shadowed(path: str) -> str:
    """Return the file that a file of unsaved changes below /run hides, empty if it hides none."""
    if not path.startswith(_RUN) or not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        match = _SHADOWED.search(stream.read())
    return match[1].strip() if match else ""


def _write(path: str, content: bytes) -> None:
    # nm-settings-keyfile(5): a keyfile that others than its owner can read is ignored.
    mode = 0o644 if path.startswith(_IFCFG) else 0o600
    write_file(os.path.realpath(path), content, mode)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _split(out: str, fields: int) -> list[list[str]]:
    return [
        [_ESCAPED.sub(r"\1", field) for field in _FIELD.findall(line)[:fields]]
        for line in out.splitlines()
    ]
