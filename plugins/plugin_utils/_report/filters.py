# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packet filters of other software that drop a packet. Pure functions."""

from __future__ import annotations

from collections.abc import Collection

from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter import rules

from .._packet_filter import remedy, title, with_hit
from .firewalls import Firewall

# The family of tables that packets of an IP version do not meet.
_OTHER = {4: "ip6", 6: "ip"}
ANY = {4: "0.0.0.0/0", 6: "::/0"}
"""Any address of an IP version."""


def filtered(
    firewall: Firewall,
    hooks: Collection[str],
    packet: rules.Packet,
    certain: bool,
    named_packet: str = "it",
) -> str:
    """Return which base chain of a host drops a packet at one of some hooks, and what to do.

    C(named_packet) is what the text calls the packet. The text is empty if none drops it for
    certain, or if none may if C(certain) is false.
    """
    interfaces = {*packet.inputs, *packet.outputs}
    to = rules.network(packet.destination)
    for chain in firewall.packet_filters:
        elsewhere = chain["devices"] and interfaces and not interfaces & {*chain["devices"]}
        other = to is not None and chain["family"] == _OTHER[to.version]
        if chain["hook"] not in hooks or other or elsewhere:
            continue
        found = rules.fate(chain["rules"], chain["chain"], chain["policy"], packet)
        hits = [found.dropped] if found.dropped else [] if certain else found.possible
        for hit in hits[:1]:
            named = with_hit(chain, hit)
            verb = "drops" if certain else "may drop"
            inside = f" in chain {hit.chain}" if hit.chain != chain["chain"] else ""
            return f"{title(named)} {verb} {named_packet}: {named['rule']}{inside}: {remedy(named)}"
    return ""
