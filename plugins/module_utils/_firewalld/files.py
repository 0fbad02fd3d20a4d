# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files under /etc in which firewalld keeps the permanent configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence

from .._host.networkmanager import NetworkManager, Profile
from .model import BINDING, IPSET, POLICY, PORTS, ZONE, Key

ETC = "/etc/firewalld"
CONFIGURATION = f"{ETC}/firewalld.conf"
_DIRECTORIES = {IPSET: "ipsets", ZONE: "zones", PORTS: "zones", POLICY: "policies"}


def files_of(kind: str, name: str) -> list[str]:
    """Return the files of /etc that firewalld may write for an object."""
    path = f"{ETC}/{_DIRECTORIES[kind]}/{name}.xml"
    return [path, f"{path}.old"]


def written_files(
    keys: Sequence[Key],
    profiles: Mapping[str, Profile],
    network_manager: NetworkManager,
    zone_of: Callable[[str], str],
) -> list[str]:
    """Return the files that changing objects may write.

    C(profiles) are those to restore, by interface; C(zone_of) returns firewalld's own bindings.
    """
    paths: dict[str, None] = {}
    for kind, name in keys:
        if kind != BINDING:
            paths.update(dict.fromkeys(files_of(kind, name)))
        elif network_manager.manages(name):
            paths.update(dict.fromkeys(network_manager.files(name, profiles.get(name))))
        else:
            zone = zone_of(name)
            paths.update(dict.fromkeys(files_of(ZONE, zone) if zone else []))
    return list(paths)


def is_customized(key: Key) -> bool:
    """Tell whether somebody has given an object a file under /etc."""
    return os.path.exists(files_of(*key)[0])


def strict_forward_ports(text: str) -> bool:
    """Tell whether firewalld rejects DNAT of other software (since 2.3)."""
    found = re.findall(r"^\s*StrictForwardPorts\s*=\s*(\w+)", text, re.MULTILINE)
    return bool(found) and found[-1].lower() in ("yes", "true")
