# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what on a node decides about the cluster's packets. Changes nothing."""

from __future__ import annotations

from typing import Any

from ._firewalld.dbus_read import FirewalldReader
from ._firewalld.errors import FirewalldError, NotRunningError
from ._firewalld.files import CONFIGURATION, strict_forward_ports
from ._firewalld.inspect import inspect, not_running
from ._firewalld.iptables import Iptables
from ._firewalld.read import Wanted
from ._firewalld.record_store import RecordStore
from ._host import packet_filter
from ._host.commands import RunCommand
from ._host.networkmanager import NetworkManager, NetworkManagerError
from ._k3s import overlay

LIBRARY = ("dbus", "python3-dbus, which firewalld needs as well")
"""What Python needs on the node, and the package that has it."""


def read(run_command: RunCommand, wanted: Wanted, missing: str = "") -> dict[str, Any]:
    """Return the facts; the module port_listener documents them.

    Args:
        run_command: Runs commands on the node.
        wanted: The objects that its firewalld should have.
        missing: What is missing to read firewalld, empty if nothing is.
    """
    firewalld: dict[str, Any] = {}
    problem = missing
    if not problem:
        try:
            firewalld = _firewalld(run_command, wanted)
        except (FirewalldError, NetworkManagerError, OSError) as error:
            problem = str(error) or type(error).__name__
    interfaces = [name for zone in wanted["overlay_zones"] for name in zone["interfaces"]]
    filters = packet_filter.read(run_command)
    return {
        "problem": problem,
        "firewalld": firewalld,
        "overlay": overlay.read(interfaces),
        "packet_filters": filters["chains"],
        "packet_filters_unknown": filters["unknown"],
        "strict_forward_ports": strict_forward_ports(packet_filter.read_text(CONFIGURATION)),
    }


def _firewalld(run_command: RunCommand, wanted: Wanted) -> dict[str, Any]:
    record = RecordStore().load()
    try:
        firewalld = FirewalldReader(NetworkManager(run_command), Iptables(run_command))
    except NotRunningError:
        return not_running(record)
    return inspect(firewalld, record, wanted)
