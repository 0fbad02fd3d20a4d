# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interfaces, their addresses, and the connection that Ansible came by."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

_LOOPBACK = "lo"


class SshConnection(NamedTuple):
    """Who came from where: SSH_CONNECTION without the client's port."""

    source: str
    address: str
    port: int


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


def ssh_connection() -> Optional[SshConnection]:
    """Return the SSH connection that Ansible came by, None where it came by another way.

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
            return None
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                value = variable.partition(b"=")[2].decode(errors="replace")
    return parse_ssh_connection(value)


def parse_ssh_connection(value: str) -> Optional[SshConnection]:
    """Read SSH_CONNECTION. Returns None where it is empty or not of a connection over IP."""
    parts = value.split()
    # sshd writes UNKNOWN where it was not reached over IP.
    if len(parts) != 4 or not parts[3].isdigit() or not all(map(_is_address, parts[::2])):
        return None
    return SshConnection(source=parts[0], address=parts[2], port=int(parts[3]))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def interface_of(links: Sequence[Mapping[str, Any]], address: str) -> str:
    """Return the interface that has an address, empty for none. C(links) is as ip prints it."""
    wanted = ipaddress.ip_address(address.partition("%")[0])
    for link in links:
        for one in link.get("addr_info", []):
            if ipaddress.ip_address(one["local"]) == wanted:
                return str(link.get("ifname", ""))
    return ""
