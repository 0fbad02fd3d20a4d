# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of: machines, their groups, NICs and addresses. Changes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from common import LabError
from network import BRIDGES

FIRST_HOST = 11
NAME = re.compile(r"[a-z][a-z0-9-]*")
CLUSTER_GROUPS = ("server", "agent")

# What a machine's OS tree is made for.
PLAIN, SERVICES, VM = "plain", "services", "vm"

# What may look after a machine's NICs, and the unit that it is.
MANAGERS = {
    "networkmanager": "NetworkManager.service",
    "networkd": "systemd-networkd.service",
    "ifupdown": "networking.service",
}


@dataclass(frozen=True)
class Nic:
    """A network interface of a machine."""

    name: str
    bridge: str
    address: str
    gateway: str | None

    @property
    def cidr(self) -> str:
        """The address with its prefix length."""
        return f"{self.address}/24"


@dataclass(frozen=True)
class Machine:
    """A machine of the lab."""

    name: str
    groups: tuple[str, ...]
    nics: tuple[Nic, ...]
    vm: bool
    network: str
    services: bool
    disk: bool

    @property
    def flavour(self) -> str:
        """The kind of OS tree that it stands on."""
        if self.vm:
            return VM
        return SERVICES if self.services else PLAIN

    def nic(self, name: str) -> Nic:
        """The NIC of that name."""
        for nic in self.nics:
            if nic.name == name:
                return nic
        raise LabError(f"{self.name} has no NIC {name}")

    def link(self, nic: Nic) -> str:
        """The name of a NIC's other end, the port of the bridge."""
        return f"{self.name}-e{nic.name[3:]}"


@dataclass(frozen=True)
class Spec:
    """A whole lab."""

    suite: str
    machines: tuple[Machine, ...]

    def machine(self, name: str) -> Machine:
        """The machine of that name."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise LabError(f"the lab has no machine {name}")


def parse(data: dict[str, Any]) -> Spec:
    """Read and judge a spec as JSON has it."""
    _only(data, {"suite", "machines"}, "the spec")
    entries = data.get("machines") or []
    if not entries:
        raise LabError("the spec has no machines")
    machines = tuple(_machine(index, entry) for index, entry in enumerate(entries))
    names = [machine.name for machine in machines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabError(f"machines with the same name: {', '.join(twice)}")
    return Spec(suite=data.get("suite") or "bookworm", machines=machines)


def shortcut(suite: str, servers: int, agents: int, clients: int, nics: int) -> dict[str, Any]:
    """The spec, as JSON has it, that the command line's numbers stand for."""
    client_nics = ["cluster"] if nics == 1 else ["external"]
    kinds = (
        ("server", "server", servers, nics),
        ("agent", "agent", agents, nics),
        ("client", "external_clients", clients, client_nics),
    )
    machines = [
        {"name": f"{name}{number}", "groups": [group], "nics": bridges}
        for name, group, count, bridges in kinds
        for number in range(1, count + 1)
    ]
    return {"suite": suite, "machines": machines}


def _machine(index: int, entry: dict[str, Any]) -> Machine:
    known = {"name", "groups", "nics", "default_route", "vm", "network", "services", "disk"}
    _only(entry, known, "a machine")
    name = str(entry.get("name", ""))
    # With the suffix of its bridge ports a name must stay within the kernel's 15 characters.
    if not NAME.fullmatch(name) or len(name) > 12:
        raise LabError(f"machine name {name!r}: letters, digits and dashes, 12 at most")
    if FIRST_HOST + index > 254:
        raise LabError("more machines than the networks have addresses")
    bridges = entry.get("nics", 1)
    if bridges in range(1, len(BRIDGES) + 1):
        bridges = list(BRIDGES)[:bridges]
    known_once = isinstance(bridges, list) and all(
        bridge in list(BRIDGES) and bridges.count(bridge) == 1 for bridge in bridges
    )
    if not bridges or not known_once:
        raise LabError(f"{name}: nics is 1 to {len(BRIDGES)} or a list of {', '.join(BRIDGES)}")
    groups = entry.get("groups") or []
    if not isinstance(groups, list):
        raise LabError(f"{name}: groups is a list")
    vm = entry.get("vm", False)
    if not isinstance(vm, bool):
        raise LabError(f"{name}: vm is true or false")
    services = entry.get("services", False)
    if not isinstance(services, bool):
        raise LabError(f"{name}: services is true or false")
    if services and vm:
        raise LabError(f"{name}: a machine with vm: true has no services")
    disk = entry.get("disk", False)
    if not isinstance(disk, bool):
        raise LabError(f"{name}: disk is true or false")
    if disk and vm:
        raise LabError(f"{name}: a machine with vm: true has a disk anyway")
    network = entry.get("network", "networkmanager")
    if network not in list(MANAGERS):
        raise LabError(f"{name}: network is one of {', '.join(MANAGERS)}")
    if network != "networkmanager" and not vm:
        raise LabError(f"{name}: only a machine with vm: true may have network: {network}")
    routed = entry.get("default_route", True)
    nics = tuple(
        Nic(
            name=f"eth{number}",
            bridge=bridge,
            address=f"{BRIDGES[bridge]}.{FIRST_HOST + index}",
            gateway=f"{BRIDGES[bridge]}.1" if routed and number == 0 else None,
        )
        for number, bridge in enumerate(bridges)
    )
    return Machine(
        name=name,
        groups=tuple(groups),
        nics=nics,
        vm=vm,
        network=network,
        services=services,
        disk=disk,
    )


def _only(data: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise LabError(f"{what} has unknown keys: {', '.join(unknown)}")
