# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that understands the commands by which mutations change its firewall, by their text."""

from __future__ import annotations

import re

from ansible_collections.edgeops.k3s_network.tests.mutations.changes import rich_rule
from ansible_collections.edgeops.k3s_network.tests.mutations.cluster import CLUSTER, Cluster
from ansible_collections.edgeops.k3s_network.tests.mutations.firewall import Firewall

_COMMAND = re.compile(
    r"firewall-cmd --(policy|zone|ipset)=(\S+) --(add|remove|change)-(\S+?)='?([^']*)'?"
)

State = set[tuple[str, str]]


def state(cluster: Cluster, firewall: Firewall) -> State:
    """Return what a firewall of the model holds: (place, what is in it)."""
    held = {("zone of", f"{nic} {zone}") for nic, zone in firewall.zones.items()}
    for place, rules in firewall.rules.items():
        held |= {(place, rich_rule(cluster, rule)) for rule in rules}
    for ipset, members in firewall.ipsets.items():
        nics = (cluster.nic(cluster.machine(member), CLUSTER) for member in members)
        held |= {(ipset, nic.address) for nic in nics}
    return held


def run(before: State, commands: list[str]) -> State:
    """Return what is held after these commands; each has to change something."""
    held = set(before)
    for command in commands:
        match = _COMMAND.fullmatch(command)
        assert match, command
        _kind, place, verb, what, value = match.groups()
        if what == "interface":
            held = {one for one in held if not one[1].startswith(f"{value} ")}
            held.add(("zone of", f"{value} {place}"))
            continue
        if what == "port":
            # A plain port admits like a rule without a source.
            port, protocol = value.split("/")
            value = f'rule port port="{port}" protocol="{protocol}" accept'
        one = (place, value)
        assert (one in held) == (verb == "remove"), command
        held ^= {one}
    return held
