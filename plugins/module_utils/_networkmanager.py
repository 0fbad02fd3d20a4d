# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkManager through nmcli: reads and writes, decides nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import write_file

RunCommand = Callable[[Sequence[str]], tuple[int, str, str]]
"""Runs a command and returns (return code, stdout, stderr), as AnsibleModule.run_command does."""


# nmcli -t writes a colon and a backslash within a field with a backslash before it.
_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)")
_ESCAPED = re.compile(r"\\(.)")
# nmcli writes these into a profile's file when it changes the zone.
_VOLATILE_KEYS = ("timestamp=", "zone=")


@dataclass(frozen=True)
class Profile:
    """A profile's file with its text."""

    path: str
    text: str

    def same_but_for_zone(self, text: str) -> bool:
        """Tell whether another text of the file differs in what a change of zone writes only."""
        return _essence(self.text) == _essence(text)


# /etc/NetworkManager/system-connections, /etc/sysconfig/network-scripts
_PROFILES = ("/NetworkManager/", "/network-scripts/")


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
        """Tell whether a profile of NetworkManager is active on the interface."""
        return self._connection(interface) is not None

    def zone(self, interface: str) -> str:
        """Return connection.zone of the interface's profile, empty where it names none."""
        uuid = self._connection(interface)
        return self.run("-g", "connection.zone", "connection", "show", str(uuid)).strip()

    def set_zone(self, interface: str, zone: str) -> None:
        """Write connection.zone of the interface's profile; an active one follows at once."""
        uuid = self._connection(interface)
        self.run("connection", "modify", str(uuid), "connection.zone", zone)

    def file(self, interface: str) -> str:
        """Return the path of the interface's profile, empty where it is kept in memory alone."""
        uuid = self._connection(interface)
        for line in self.run("-t", "-f", "UUID,FILENAME", "connection", "show").splitlines():
            line_uuid, _colon, path = line.partition(":")
            if line_uuid == uuid:
                return path.replace("\\:", ":")
        return ""

    def profile(self, interface: str) -> Optional[Profile]:
        """Return the file of the interface's profile, None where there is none under /etc."""
        path = self.file(interface) if self.manages(interface) else ""
        if not path.startswith("/etc/"):
            return None
        with open(path, encoding="utf-8") as stream:
            return Profile(path=path, text=stream.read())

    def restore(self, profile: Profile) -> None:
        """Write a profile's file as it was, unless somebody else has changed or removed it."""
        try:
            with open(profile.path, encoding="utf-8") as stream:
                if not profile.same_but_for_zone(stream.read()):
                    return
        except FileNotFoundError:
            return
        write_file(profile.path, profile.text.encode())
        self.run("connection", "load", profile.path)

    def load_profile(self, path: str) -> None:
        """Read a file again where it is a profile's and NetworkManager runs."""
        if any(part in path for part in _PROFILES) and self.profiles() is not None:
            self.run("connection", "load", path)

    def active_profiles(self) -> dict[str, tuple[str, str]]:
        """Return the name and the file of the active profile of each interface that it manages."""
        states = dict(self._rows("DEVICE,STATE", "device", "status"))
        return {
            device: (name, path)
            for device, name, path in self._rows(
                "DEVICE,NAME,FILENAME", "connection", "show", "--active"
            )
            # It makes profiles up for interfaces that somebody else has set up.
            if states.get(device) != "connected (externally)"
        }

    def _rows(self, fields: str, *arguments: str) -> list[list[str]]:
        out = self.run("-t", "-f", fields, *arguments)
        return [
            [_ESCAPED.sub(r"\1", field) for field in _FIELD.findall(line)[: fields.count(",") + 1]]
            for line in out.splitlines()
        ]

    def knows(self, name: str) -> bool:
        """Tell whether NetworkManager runs and has a profile of that name."""
        return name in (self.profiles() or ())

    def run(self, *arguments: str) -> str:
        """Run nmcli and return what it printed. Raises NetworkManagerError where it fails."""
        command = [self._nmcli or "nmcli", *arguments]
        code, out, err = self._run_command(command)
        if code != 0:
            raise NetworkManagerError(f"{' '.join(command)}: {(err or out).strip()}")
        return out

    def _connection(self, interface: str) -> Optional[str]:
        if interface not in self._connections:
            uuid = None
            if self._nmcli is not None:
                code, out, _err = self._run_command(
                    [self._nmcli, "-g", "GENERAL.CON-UUID", "device", "show", interface]
                )
                uuid = out.strip() or None if code == 0 else None
            self._connections[interface] = uuid
        return self._connections[interface]


def _essence(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(_VOLATILE_KEYS)]
