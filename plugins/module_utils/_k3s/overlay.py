# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what Kubernetes and its overlay network have on this host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._host import held_ports
from .running import running_kubernetes

_MOST_PORTS = 1000
# IFF_UP of linux/if.h.
_UP = 0x1


def read(interfaces: Iterable[str], net: str = "/sys/class/net") -> dict[str, Any]:
    """Return the state of the overlay network.

    Args:
        interfaces: Names of interfaces on which packets of pods arrive.
        net: The directory of sysfs that lists network interfaces.

    Returns:
        ``kubernetes``, names of processes of Kubernetes; ``interfaces``, whether each interface
        that exists is up, by name; ``udp_ports``, UDP ports that a process or the kernel holds.
    """
    up = {}
    for name in interfaces:
        try:
            with open(f"{net}/{name}/flags", encoding="ascii") as stream:
                up[name] = bool(int(stream.read(), 16) & _UP)
        except (OSError, ValueError):
            continue
    held = sorted({port for protocol, port in held_ports.read() if protocol == "udp"})
    return {
        "kubernetes": running_kubernetes(),
        "interfaces": up,
        "udp_ports": held[:_MOST_PORTS],
    }
