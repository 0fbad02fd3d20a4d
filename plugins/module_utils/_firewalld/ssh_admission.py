# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a firewalld configuration admits a new connection like Ansible's own. Pure functions.

Modelled on the nftables backend of firewalld 0.9.3, 1.3.3 and 2.3.1 (core/nftables.py,
core/fw_policy.py, core/fw_zone.py, core/rich.py). A configuration does not say whose it is, so
a verdict is given only where all versions agree. They differ in this:

- 0.9 and 1.x take a policy's ingress zone for its NICs and sources, whichever zone takes the
  packet, so that a NIC bound to no zone is not in the default zone for them. 2.x goes by the zone.
- 0.9 applies a zone's target, unless it is the default one, before policies of positive priority.
- 0.9 does not follow a service's includes in rich rules.
- 2.0 to 2.4 lose the order once two policies of one priority share an ingress zone: their sort
  key lacks the policy's name, so what is added later comes too early, such as the end of a NIC's
  zone before that of a source's zone.

Unknown to it are direct rules, other tables of nftables, panic mode, the iptables backend, and
AllowZoneDrifting of 0.9, which is off by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Optional

from .model import Settings
from .rich_rules import rich_rules
from .ssh_chains import ADMIT, REFUSE, Ends, ends_of, versions_of, zones_of
from .ssh_match import Configuration, Packet, address_of


@dataclass(frozen=True)
class Connection:
    """The connection to admit, as far as the one that Ansible came by tells."""

    source: str
    """IP address that the controller comes from."""
    port: int
    """TCP port of this host."""
    interface: str
    """NIC that it arrives on, empty where that is not known."""


class Verdict(NamedTuple):
    """Whether the connection is admitted, None where that cannot be told, and by what."""

    admitted: Optional[bool]
    because: str


def evaluate(configuration: Configuration, connection: Connection) -> Verdict:
    """Tell whether a new TCP connection would be admitted to this host."""
    # Since 2.4 upstream ships policies that are disabled, which have no effect.
    enabled = {
        name: policy for name, policy in configuration.policies.items() if not policy.get("disable")
    }
    configuration = replace(configuration, policies=enabled)
    address = address_of(connection.source)
    if connection.interface == "lo" or (address is not None and address.is_loopback):
        return Verdict(True, "the loopback interface is always admitted")
    packet = Packet(configuration, address, connection.port)
    interfaces = {connection.interface}
    if not connection.interface:
        interfaces |= _values(configuration.zones, "interfaces") - {"lo"}
    ends: Ends = {}
    for version in versions_of(configuration):
        for interface in sorted(interfaces):
            for zone, bound in zones_of(packet, interface, version):
                ends = {**ends_of(packet, zone, bound, interface, version), **ends}
    if REFUSE not in ends:
        return Verdict(True, ends[ADMIT])
    if ADMIT not in ends:
        return Verdict(False, ends[REFUSE])
    return Verdict(None, f"either {ends[ADMIT]} or {ends[REFUSE]}")


def only_accepts(policy: Settings) -> bool:
    """Tell whether a policy can only admit: it has no other target and no rule but accept."""
    return (
        policy.get("target", "CONTINUE") in ("CONTINUE", "ACCEPT")
        and not policy.get("forward_ports")
        and not policy.get("icmp_blocks")
        and all(
            "accept" in rule.elements
            and not {"drop", "reject", "forward-port"} & set(rule.elements)
            for rule in rich_rules(policy)
        )
    )


def services_needed(configuration: Configuration) -> set[str]:
    """Return the services that are mentioned, and what those that are defined include.

    Once looked up and entered, they may include others: to be asked again until nothing is new.
    """
    needed = _values(configuration.zones, "services") | _values(configuration.policies, "services")
    for settings in [*configuration.zones.values(), *configuration.policies.values()]:
        for rule in rich_rules(settings):
            if "service" in rule.elements:
                needed.add(rule.elements["service"].get("name", ""))
    todo = sorted(needed)
    while todo:
        includes = set(configuration.services.get(todo.pop(), {}).get("includes", ()))
        todo += includes - needed
        needed |= includes
    return needed - {""}


def _values(objects: Mapping[str, Settings], key: str) -> set[str]:
    return {value for settings in objects.values() for value in settings.get(key, ())}
