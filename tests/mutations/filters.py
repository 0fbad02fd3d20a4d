# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A packet filter of other software on a node: which packets it drops."""

from __future__ import annotations

from dataclasses import dataclass

from .firewall import ACCEPT

Ports = frozenset[tuple[str, int]]
"""Pairs of protocol and port."""


@dataclass(frozen=True)
class PacketFilter:
    """A base chain beside those of firewalld."""

    names: tuple[str, ...]
    """Its table and chain, by which a report names it."""
    action: str
    networks: frozenset[str]
    """It concerns packets that arrive from these networks."""
    ports: Ports | None = None
    """It drops packets to these ports only; None if it drops packets to any port."""
    spared: Ports = frozenset()
    after_firewalld: bool = False

    def action_on(self, network: str, protocol: str, port: int, of_firewalld: str) -> str:
        """Return what becomes of a packet that firewalld does this with."""
        target = protocol, port
        if network not in self.networks or target in self.spared:
            return of_firewalld
        if self.ports is not None and target not in self.ports:
            return of_firewalld
        if self.after_firewalld and of_firewalld != ACCEPT:
            return of_firewalld
        return self.action
