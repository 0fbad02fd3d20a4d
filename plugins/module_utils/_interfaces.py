# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interfaces, their addresses, and the connection that Ansible came by."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

_LOOPBACK = "lo"


def parse_addresses(links: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Turn the output of C(ip -json address show) into interface names and global addresses.

    Addresses are in CIDR form and in the order of the kernel. Temporary and deprecated ones are
    left out, since peers can't rely on them.
    """
    interfaces = {}
    for link in links:
        name = link.get("ifname", "")
        if not name or name == _LOOPBACK:
            continue
        interfaces[name] = [
            f"{address['local']}/{address['prefixlen']}"
            for address in link.get("addr_info", [])
            if address.get("scope") == "global"
            and not address.get("temporary")
            and not address.get("deprecated")
        ]
    return interfaces


def connection_address() -> str:
    """Return this host's address in the SSH connection, or an empty string.

    sudo takes SSH_CONNECTION out of the environment, so the processes above are asked as well.
    """
    value = os.environ.get("SSH_CONNECTION", "")
    process = os.getppid()
    while not value and process > 1:
        try:
            with open(f"/proc/{process}/environ", "rb") as stream:
                variables = stream.read().split(b"\0")
            with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
                process = int(stream.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return ""
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                value = variable.partition(b"=")[2].decode(errors="replace")
    parts = value.split()
    return parts[2] if len(parts) == 4 else ""
