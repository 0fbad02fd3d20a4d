# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bindings of interfaces in NetworkManager's profiles, whether firewalld runs or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from .._host.networkmanager import NetworkManager, Profile
from .files import written_files
from .model import Key


class Profiles:
    """What dbus.Firewalld and offline.OfflineFirewalld do with NetworkManager."""

    def __init__(self, network_manager: NetworkManager) -> None:
        self._network_manager = network_manager

    def forget(self) -> None:
        """Read everything again: others may have changed it."""
        raise NotImplementedError

    def permanent_holder(self, interface: str) -> str:
        """Return the zone whose permanent configuration lists an interface, or an empty text."""
        raise NotImplementedError

    def permanent_zone_of(self, interface: str) -> str:
        """Return the zone that an interface gets at the next start, empty for the default."""
        if self._network_manager.manages(interface):
            return self._network_manager.zone(interface)
        return self.permanent_holder(interface)

    def profile_of(self, interface: str) -> Optional[Profile]:
        """Return the profile of NetworkManager that binds an interface, None if none does."""
        return self._network_manager.profile(interface)

    def written_profile(self, profile: Profile) -> Profile:
        """Return a profile's record with what NetworkManager wrote since it was taken."""
        return self._network_manager.written(profile)

    def restore_profile(self, profile: Profile, zone: str) -> None:
        """Restore a profile of NetworkManager, which then names a zone."""
        self._network_manager.restore(profile, zone)
        self.forget()

    def load_profile(self, path: str) -> None:
        """Let NetworkManager read a file again if it is one of its profiles."""
        self._network_manager.load_profile(path)
        self.forget()

    def file_paths(self, keys: Sequence[Key], profiles: Mapping[str, Profile]) -> list[str]:
        """Return the files that changing these objects and restoring profiles may write."""
        return written_files(keys, profiles, self._network_manager, self.permanent_holder)
