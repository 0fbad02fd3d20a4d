# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of a cluster, their addresses, and the packets that validate has to send."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property

from .table import CLIENT, CLIENTS, port_rules_of

SHARED = "shared"
SEGREGATED = "segregated"
CLUSTER = "cluster"
EXTERNAL = "external"


@dataclass(frozen=True)
class Nic:
    """A NIC of a machine, with its address and the network that it is on."""

    interface: str
    network: str
    address: str
    mac: str


@dataclass(frozen=True)
class Machine:
    """A server, an agent or a client outside."""

    name: str
    kind: str
    nics: tuple[Nic, ...]

    def on(self, network: str) -> Nic | None:
        """Return the NIC on a network, if there is one."""
        return next((nic for nic in self.nics if nic.network == network), None)


@dataclass(frozen=True)
class Packet:
    """What one machine sends to a port of an address of another."""

    source: str
    destination: str
    address: str
    protocol: str
    port: int


@dataclass(frozen=True, eq=False)
class Cluster:
    """All machines; with a shared interface there is the network "cluster" alone."""

    mode: str
    machines: tuple[Machine, ...]

    @cached_property
    def nodes(self) -> list[Machine]:
        """Servers and agents."""
        return [machine for machine in self.machines if machine.kind != CLIENT]

    @cached_property
    def clients(self) -> list[Machine]:
        """The clients outside."""
        return [machine for machine in self.machines if machine.kind == CLIENT]

    @property
    def outside(self) -> str:
        """The network by which clients come."""
        return EXTERNAL if self.mode == SEGREGATED else CLUSTER

    def machine(self, name: str) -> Machine:
        """Return the machine of that name."""
        return self._by_name[name]

    def nic(self, machine: Machine, network: str) -> Nic:
        """Return the NIC of a machine that must be on that network."""
        nic = machine.on(network)
        assert nic is not None, f"{machine.name} is not on the network {network}"
        return nic

    def nic_of(self, packet: Packet) -> Nic:
        """Return the NIC that a packet comes in by."""
        return self._by_address[packet.destination, packet.address]

    @cached_property
    def _by_name(self) -> dict[str, Machine]:
        return {machine.name: machine for machine in self.machines}

    @cached_property
    def _by_address(self) -> dict[tuple[str, str], Nic]:
        return {
            (machine.name, nic.address): nic for machine in self.machines for nic in machine.nics
        }

    def packets(
        self, full: bool = False, destinations: Container[str] | None = None
    ) -> Iterator[Packet]:
        """Yield what a report has to speak of, whatever its sample.

        `full` is the coverage of the ranges that shall be open; by default to all nodes.
        """
        for destination in self.nodes:
            if destinations is not None and destination.name not in destinations:
                continue
            inside = self.nic(destination, CLUSTER).address
            outside = self.nic(destination, self.outside).address
            for source in self.machines:
                if source == destination:
                    continue
                ports: set[tuple[str, str, int]] = set()
                port_rules = port_rules_of(destination.kind)
                admitted = {
                    (rule.protocol, rule.first)
                    for rule in port_rules
                    if source.kind in rule.sources
                }
                to_clients = {
                    (rule.protocol, rule.first) for rule in port_rules if CLIENT in rule.sources
                }
                for rule in port_rules:
                    is_open = source.kind in rule.sources
                    if source.kind != CLIENT and rule.sources == CLIENTS:
                        # Open to anyone outside, it need not be closed to the nodes.
                        continue
                    for port in rule.probed(full and is_open):
                        if source.kind != CLIENT:
                            ports.add((inside, rule.protocol, port))
                            continue
                        ports.add((outside, rule.protocol, port))
                        if (rule.protocol, port) not in admitted:
                            # Nor must the other network let clients in.
                            ports.add((inside, rule.protocol, port))
                    if source.kind != CLIENT and outside != inside:
                        # Nor must the NIC for clients let nodes in, but for what clients reach.
                        ports |= {
                            (outside, rule.protocol, port)
                            for port in rule.probed(False)
                            if (rule.protocol, port) not in to_clients
                        }
                for address, protocol, port in sorted(ports):
                    yield Packet(source.name, destination.name, address, protocol, port)
