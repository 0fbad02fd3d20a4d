# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single changes of a node's firewall: what they do to the model, and the commands for the node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Union

from .cluster import CLUSTER, Cluster
from .firewall import FROM_CLIENTS, FROM_NODES, Firewall, Rule


@dataclass(frozen=True)
class RuleChange:
    """A rule comes into a policy or zone, or leaves it."""

    place: str
    rule: Rule
    add: bool

    def apply(self, firewall: Firewall) -> Firewall:
        """Return the firewall after the change."""
        rules = firewall.rules[self.place]
        after = rules | {self.rule} if self.add else rules - {self.rule}
        return replace(firewall, rules={**firewall.rules, self.place: after})

    def inverse(self) -> RuleChange:
        """Return what takes the change back."""
        return replace(self, add=not self.add)

    def command(self, cluster: Cluster) -> str:
        """Return the command for the node."""
        kind = "policy" if self.place in (FROM_NODES, FROM_CLIENTS) else "zone"
        verb = "add" if self.add else "remove"
        option = self.rule.option or f"rich-rule='{rich_rule(cluster, self.rule)}'"
        return f"firewall-cmd --{kind}={self.place} --{verb}-{option}"


@dataclass(frozen=True)
class PolicyChange:
    """All rich rules leave a policy, or come back."""

    policy: str
    rules: frozenset[Rule]
    add: bool

    def apply(self, firewall: Firewall) -> Firewall:
        """Return the firewall after the change."""
        after = self.rules if self.add else frozenset()
        return replace(firewall, rules={**firewall.rules, self.policy: after})

    def inverse(self) -> PolicyChange:
        """Return what takes the change back."""
        return replace(self, add=not self.add)

    def command(self, cluster: Cluster) -> str:
        """Return the command for the node."""
        verb = "add" if self.add else "remove"
        texts = sorted(rich_rule(cluster, rule) for rule in self.rules)
        options = " ".join(f"--{verb}-rich-rule='{text}'" for text in texts)
        return f"firewall-cmd --policy={self.policy} {options}"


@dataclass(frozen=True)
class SourceChange:
    """A zone takes the packets of a machine by its address, or no longer does."""

    zone: str
    machine: str
    add: bool

    def apply(self, firewall: Firewall) -> Firewall:
        """Return the firewall after the change."""
        others = {name: zone for name, zone in firewall.sources.items() if name != self.machine}
        after = {**others, self.machine: self.zone} if self.add else others
        return replace(firewall, sources=after)

    def inverse(self) -> SourceChange:
        """Return what takes the change back."""
        return replace(self, add=not self.add)

    def command(self, cluster: Cluster) -> str:
        """Return the command for the node."""
        change = f"firewall-cmd --zone={self.zone}"
        address = address_of(cluster, self.machine)
        if self.add:
            return f"{change} --add-source={address}"
        # The remedy of a report may have removed it.
        return f"! {change} -q --query-source={address} || {change} --remove-source={address}"


@dataclass(frozen=True)
class EntryChange:
    """A machine comes into an ipset, or leaves it."""

    ipset: str
    machine: str
    add: bool

    def apply(self, firewall: Firewall) -> Firewall:
        """Return the firewall after the change."""
        one, members = {self.machine}, firewall.ipsets[self.ipset]
        after = members | one if self.add else members - one
        return replace(firewall, ipsets={**firewall.ipsets, self.ipset: after})

    def inverse(self) -> EntryChange:
        """Return what takes the change back."""
        return replace(self, add=not self.add)

    def command(self, cluster: Cluster) -> str:
        """Return the command for the node."""
        verb = "add" if self.add else "remove"
        address = cluster.nic(cluster.machine(self.machine), CLUSTER).address
        return f"firewall-cmd --ipset={self.ipset} --{verb}-entry={address}"


@dataclass(frozen=True)
class ZoneChange:
    """A NIC goes from one zone to another."""

    interface: str
    before: str
    after: str

    def apply(self, firewall: Firewall) -> Firewall:
        """Return the firewall after the change."""
        return replace(firewall, zones={**firewall.zones, self.interface: self.after})

    def inverse(self) -> ZoneChange:
        """Return what takes the change back."""
        return replace(self, before=self.after, after=self.before)

    def command(self, _cluster: Cluster) -> str:
        """Return the command for the node."""
        return f"firewall-cmd --zone={self.after} --change-interface={self.interface}"


Change = Union[RuleChange, PolicyChange, SourceChange, EntryChange, ZoneChange]


def rich_rule(cluster: Cluster, rule: Rule) -> str:
    """Return a rule in the spelling that firewalld itself prints."""
    source = ""
    if rule.ipset is not None:
        source = f'source ipset="{rule.ipset}"'
    elif rule.machine is not None:
        source = f'source address="{address_of(cluster, rule.machine)}"'
    # A kind of reject belongs to a family; the collection's rules for anyone have none.
    family = 'family="ipv4"' if source or "type=" in rule.action else ""
    priority = f'priority="{rule.priority}"' if rule.priority else ""
    port = f'port port="{rule.ports}" protocol="{rule.protocol}"'
    parts = ("rule", priority, family, source, port, rule.action)
    return " ".join(part for part in parts if part)


def address_of(cluster: Cluster, name: str) -> str:
    """Return the address by which a machine comes to the nodes."""
    machine = cluster.machine(name)
    nic = machine.on(CLUSTER) if machine in cluster.nodes else machine.on(cluster.outside)
    assert nic is not None
    return nic.address
