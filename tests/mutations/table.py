# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide's table with its ranges, by hand; molecule/guide.py has it port by port."""

from __future__ import annotations

from dataclasses import dataclass

SERVER = "server"
AGENT = "agent"
CLIENT = "client"

NODES = frozenset({SERVER, AGENT})
SERVERS = frozenset({SERVER})
CLIENTS = frozenset({CLIENT})

# validate probes a range of so many ports whole, and of a larger one both ends and a sample.
SMALL = 18


@dataclass(frozen=True)
class PortRule:
    """Ports that some kinds of machine may reach on some kinds of node."""

    protocol: str
    first: int
    last: int
    sources: frozenset[str]
    destinations: frozenset[str]

    @property
    def is_small(self) -> bool:
        """Whether validate probes each port in any case."""
        return self.last - self.first < SMALL

    @property
    def ports(self) -> str:
        """The ports as firewalld writes them."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def probed(self, full: bool) -> list[int]:
        """The ports that validate probes for certain."""
        if full or self.is_small:
            return list(range(self.first, self.last + 1))
        return [self.first, self.last]


PORT_RULES = (
    PortRule("tcp", 2379, 2380, SERVERS, SERVERS),
    PortRule("tcp", 6443, 6443, NODES, SERVERS),
    PortRule("udp", 8472, 8472, NODES, NODES),
    PortRule("tcp", 10250, 10250, NODES, NODES),
    PortRule("tcp", 5001, 5001, NODES, SERVERS),
    PortRule("tcp", 9500, 9503, NODES, NODES),
    PortRule("tcp", 8500, 8504, NODES, NODES),
    PortRule("tcp", 10000, 30000, NODES, NODES),
    PortRule("tcp", 3260, 3260, NODES, NODES),
    PortRule("tcp", 2049, 2049, NODES, NODES),
    PortRule("tcp", 6379, 6379, NODES, NODES),
    PortRule("tcp", 9093, 9093, NODES, NODES),
    PortRule("tcp", 9095, 9095, NODES, NODES),
    PortRule("tcp", 8086, 8086, NODES, NODES),
    PortRule("tcp", 80, 80, CLIENTS, NODES),
    PortRule("tcp", 443, 443, CLIENTS, NODES),
    PortRule("tcp", 9095, 9095, CLIENTS, NODES),
    PortRule("tcp", 6379, 6379, CLIENTS, NODES),
    PortRule("tcp", 8125, 8125, CLIENTS, NODES),
    PortRule("udp", 8125, 8125, CLIENTS, NODES),
)


def port_rules_of(destination: str) -> list[PortRule]:
    """The rules that concern a kind of node."""
    return [rule for rule in PORT_RULES if destination in rule.destinations]
