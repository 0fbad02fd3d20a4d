# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A NetworkManager with real keyfiles, which binds its interfaces in the fake firewalld.

fake_daemon.py does what firewalld makes of the zones, as recordings/networkmanager-zones.json has
it. The real class is tested in test_networkmanager.py, against recordings of nmcli.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManagerError,
    Profile,
    with_zone,
    zone_in,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import (
    FirewalldDaemon,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_dbus import (
    DBusException,
)


class FakeNetworkManager:
    """Takes the place of _networkmanager.NetworkManager.

    Its writes count among those of the daemon, so that each of them can fail as well.
    """

    def __init__(self, daemon: FirewalldDaemon, directory: str, zones: Mapping[str, str]) -> None:
        """Take the zones that the profiles of the managed interfaces name, empty for none."""
        self._daemon = daemon
        self._directory = directory
        self.zones = dict(zones)
        """What it has read from the files."""
        os.makedirs(directory)
        for interface, zone in zones.items():
            path = self._path(interface)
            text = f"[connection]\nid={interface}\n# By hand.\n"
            with open(path, "wb") as stream:
                stream.write(with_zone(text.encode(), zone, path))
        self.boot()

    def boot(self) -> None:
        """Read the files and activate the profiles, before firewalld starts."""
        self._load()
        self._daemon.profiles = dict(self.zones)

    def manages(self, interface: str) -> bool:
        return interface in self.zones

    def zone(self, interface: str) -> str:
        return self.zones[interface]

    def files(self, interface: str, profile: Optional[Profile] = None) -> list[str]:
        return [self._path(interface)] if self.manages(interface) else []

    def profile(self, interface: str) -> Optional[Profile]:
        if not self.manages(interface):
            return None
        path = self._path(interface)
        return Profile(f"uuid of {interface}", path, FileCopy.take(path))

    def written(self, profile: Profile) -> Profile:
        content = FileCopy.take(profile.path).content or b""
        return replace(profile, digest=hashlib.sha256(content).hexdigest())

    def set_zone(self, interface: str, zone: str) -> None:
        self._bind(interface, FileCopy.take(self._path(interface)), zone)

    def restore(self, profile: Profile, zone: str) -> None:
        self._bind(profile.uuid.rpartition(" ")[2], profile.file, zone)

    def load_profile(self, path: str) -> None:
        if os.path.dirname(path) == self._directory:
            self._load()

    def _bind(self, interface: str, file: FileCopy, zone: str) -> None:
        """Write a file with another zone, and let the active device follow."""
        content = with_zone(file.content or b"", zone, file.path)

        def save() -> None:
            replace(file, content=content).restore()
            self._load()

        self._write(f"profile {interface} {zone}", save)
        bind = functools.partial(self._daemon.network_manager_binds, interface, zone)
        self._write(f"device {interface} {zone}", bind)

    def _write(self, name: str, action: Callable[[], None]) -> None:
        try:
            self._daemon.write(name, action)
        except DBusException as error:
            raise NetworkManagerError(str(error)) from error

    def _load(self) -> None:
        for interface in self.zones:
            path = self._path(interface)
            content = FileCopy.take(path).content
            assert content is not None, "without its file, the device would be deactivated"
            self.zones[interface] = zone_in(content, path)

    def _path(self, interface: str) -> str:
        return f"{self._directory}/{interface}.nmconnection"
