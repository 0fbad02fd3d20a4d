# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory says of the cluster, resolved once, and what K3s's settings add. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Optional

from .._k3s import settings as k3s
from .._packed import pack, unpack
from .model import SERVER, Host, Rule, Settings

_VXLAN = ("flannel-vxlan", 8472, 8472, "udp")
_WIREGUARD: Any = {
    "name": "flannel-wireguard",
    "first": 51820,
    "last": 51821,
    "purpose": "Flannel WireGuard overlay",
}


@dataclass(frozen=True)
class Inventory:
    """What was resolved before a node was read."""

    settings: Settings
    hosts: Sequence[Host]
    """Every node, without its facts."""
    k3s: Mapping[str, Sequence[k3s.Setting]]
    """What the inventory tells K3s, by node."""
    explicit: Mapping[str, Optional[str]] = field(default_factory=dict)
    """C(pod_cidr) and C(service_cidr) as the user set them, None if they have their default."""
    clients: Sequence[str] = ()
    client_addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The addresses to which Ansible may connect, by external client."""

    def to_text(self) -> str:
        """Return it as one text, for the task that derives the topology."""
        return pack(
            {
                "settings": asdict(self.settings),
                "hosts": [asdict(host) for host in self.hosts],
                "k3s": {name: [list(one) for one in told] for name, told in self.k3s.items()},
                "explicit": dict(self.explicit),
                "clients": list(self.clients),
                "client_addresses": {
                    name: list(one) for name, one in self.client_addresses.items()
                },
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Inventory:
        """Return what to_text() wrote."""
        data = unpack(text)
        return cls(
            settings=Settings(**data["settings"]),
            hosts=[Host(**host) for host in data["hosts"]],
            k3s={name: [_setting(*one) for one in told] for name, told in data["k3s"].items()},
            explicit=data["explicit"],
            clients=data["clients"],
            client_addresses=data["client_addresses"],
        )


class Resolved(NamedTuple):
    """The inventory with what K3s is told: it decides what the user leaves open."""

    settings: Settings
    hosts: list[Host]
    problems: list[str]


def resolve(
    inventory: Inventory, nodes: Optional[Mapping[str, k3s.NodeSettings]] = None
) -> Resolved:
    """Return settings and hosts with what K3s is told.

    C(nodes) are the settings of those that have been read and have any. It is None before nodes are
    read. A value of the inventory that is not plain is accepted then: the node's may be plain.
    """
    known = nodes or {}
    is_final = nodes is not None
    problems: list[str] = []
    records: dict[str, k3s.Record] = {}
    for host in inventory.hosts:
        record, own = k3s.merge(host.group, inventory.k3s[host.name], known.get(host.name))
        records[host.name] = record
        problems += [f"host {host.name}: {problem}" for problem in own]
    servers = {
        host.name: records[host.name].told for host in inventory.hosts if host.group == SERVER
    }
    if not is_final:
        for record in records.values():
            record.told.not_plain.clear()
    # Of these, K3s has run with its defaults if they are not told.
    complete = {
        name
        for name, node in known.items()
        if name in servers and node.installed is not None and not node.unreadable
    }
    changes: dict[str, Any] = {}
    for option, key in (("pod_cidr", k3s.POD_CIDR), ("service_cidr", k3s.SERVICE_CIDR)):
        explicit = inventory.explicit.get(option)
        variable = f"k3s_topology_{option}"
        value = k3s.for_all(key, variable, explicit, servers, complete, problems)
        if value is not None:
            source = next(told.source(key) for told in servers.values() if key in told)
            changes.update({option: value, f"{option}_source": source})
    backend = k3s.for_all(k3s.BACKEND, None, None, servers, complete, problems)
    changes["rules"] = with_backend(inventory.settings.rules, backend)
    hosts = [
        _with_record(host, records[host.name], inventory.k3s[host.name], problems)
        for host in inventory.hosts
    ]
    return Resolved(replace(inventory.settings, **changes), hosts, problems)


def _with_record(
    host: Host, record: k3s.Record, inventory: Sequence[k3s.Setting], problems: list[str]
) -> Host:
    """Return a host with the address and NIC that K3s is told. Contradictions become problems."""
    changes: dict[str, Any] = {"k3s": record.to_dict()}
    for option, key in (("node_ip", k3s.NODE_IP), ("cluster_interface", k3s.INTERFACE)):
        given = getattr(host, option)
        variable = getattr(host, f"{option}_source")
        value = k3s.for_node(host.name, key, variable, given, record.told, problems)
        if value is not None and given is None:
            changes.update({option: value, f"{option}_source": record.told.source(key)})
    if "node_ip" in changes:
        told = k3s.combine(host.group, inventory)[0].value(k3s.NODE_IP)
        changes["node_ip_is_reported"] = told is None or not k3s.same(told, changes["node_ip"])
    return replace(host, **changes)


def with_backend(rules: Sequence[Rule], backend: Optional[str]) -> list[Rule]:
    """Return the rules with the ports of Flannel's backend in place of VXLAN's.

    A table without the shipped rule of VXLAN is the user's own and stays. From K3s's documentation,
    "Networking", Inbound Rules for K3s Nodes.
    """
    kind = (backend or "").partition("=")[0]
    if kind not in ("wireguard-native", "host-gw"):
        return list(rules)
    taken = {rule["name"] for rule in rules}
    found: list[Rule] = []
    for rule in rules:
        if (rule["name"], rule["first"], rule["last"], rule["protocol"]) != _VXLAN:
            found.append(rule)
        elif kind == "wireguard-native" and _WIREGUARD["name"] not in taken:
            found.append({**rule, **_WIREGUARD})
    return found


def _setting(source: str, key: str, values: Optional[list[str]], *flags: bool) -> k3s.Setting:
    return k3s.Setting(source, key, None if values is None else tuple(values), *flags)
