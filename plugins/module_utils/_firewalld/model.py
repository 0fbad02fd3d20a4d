# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of a node's firewalld: objects, what was read, what is wanted, changes, the record.

A node's state is a flat mapping from (kind, name) to normal settings, once for the permanent
configuration and once for the running one, so that both are compared by one function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .. import _ports
from .._host.networkmanager import Profile

IPSET = "ipset"
ZONE = "zone"
POLICY = "policy"
BINDING = "binding"
"""An interface's zone: settings are C({"zone": name}), an empty name where it has none."""
PORTS = "ports"
"""The plain ports of a zone of the user's: settings are C({"ports": ["6443/tcp", ...]})."""

Key = tuple[str, str]
Settings = dict[str, Any]
Objects = dict[Key, Settings]
ActiveZones = dict[str, dict[str, list[str]]]
"""Sources and interfaces by zone."""

# What firewalld can change in a running object; the rest (target, priority, an ipset's type)
# takes effect by a reload.
RUNTIME_KEYS = frozenset(
    "egress_zones entries forward forward_ports icmp_block_inversion icmp_blocks ingress_zones "
    "interfaces masquerade ports protocols rich_rules rules_str services source_ports zone".split()
)
OWNED_KINDS = (IPSET, ZONE, POLICY)


@dataclass(frozen=True)
class PreviousBinding:
    """How an interface was bound before it came into a zone of ours."""

    permanent: str
    runtime: str
    profile: Optional[Profile] = None
    """NetworkManager's file that held the permanent binding, if one did."""


@dataclass(frozen=True)
class AddedPorts:
    """What we added to the plain ports of a zone of the user's, and what stood there."""

    added: Sequence[str]
    before: Sequence[str]
    builtin: Optional[Settings] = None
    """The zone's settings where it was the distribution's own, without a file under /etc."""


@dataclass(frozen=True)
class Record:
    """What this collection created and changed, to restore the host; kept on the node.

    An object belongs to this collection only if it is listed here; its name proves nothing.
    """

    bindings: Mapping[str, PreviousBinding] = field(default_factory=dict)
    ports: Mapping[str, AddedPorts] = field(default_factory=dict)
    objects: frozenset[Key] = frozenset()
    """The ipsets, zones and policies that this collection created."""

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        return {
            "objects": [list(key) for key in sorted(self.objects)],
            "bindings": {
                name: {
                    "permanent": former.permanent,
                    "runtime": former.runtime,
                    "profile": former.profile.to_dict() if former.profile else None,
                }
                for name, former in self.bindings.items()
            },
            "ports": {
                zone: {
                    "added": list(added.added),
                    "before": list(added.before),
                    "builtin": added.builtin,
                }
                for zone, added in self.ports.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError if it is another."""
        _check(data)
        return cls(
            bindings={
                name: PreviousBinding(
                    permanent=former["permanent"],
                    runtime=former["runtime"],
                    profile=Profile.from_dict(former["profile"]) if former["profile"] else None,
                )
                for name, former in data["bindings"].items()
            },
            ports={zone: AddedPorts(**added) for zone, added in data["ports"].items()},
            objects=frozenset((kind, name) for kind, name in data["objects"]),
        )

    def union(self, later: Record) -> Record:
        """Return a record that covers this state, the later one, and every state in between."""
        return Record(
            bindings={**later.bindings, **self.bindings},
            ports={**self.ports, **later.ports},
            objects=self.objects | later.objects,
        )


def _check(data: Mapping[str, Any]) -> None:
    """Raise TypeError or KeyError if the parts of a record are not of their types."""

    def need(condition: bool, what: Any) -> None:
        if not condition:
            raise TypeError(f"unexpected value {str(what)[:80]}")

    def need_ports(ports: Any) -> None:
        need(isinstance(ports, list), ports)
        for port in ports:
            need(isinstance(port, str), port)
            _ports.parse_port(port.partition("/")[0])

    for key in data["objects"]:
        need(isinstance(key, list) and len(key) == 2, key)
        need(key[0] in OWNED_KINDS and isinstance(key[1], str), key)
    for former in data["bindings"].values():
        need(isinstance(former["permanent"], str), former)
        need(isinstance(former["runtime"], str), former)
    for added in data["ports"].values():
        need_ports(added["added"])
        need_ports(added["before"])
        need(isinstance(added.get("builtin"), (dict, type(None))), added)


@dataclass(frozen=True)
class State:
    """What was read from a node."""

    permanent: Objects
    runtime: Objects
    default_zone: str
    permanent_keys: frozenset[Key] = frozenset()
    """Every object of the permanent configuration, those of others included."""
    zones: Mapping[str, Settings] = field(default_factory=dict)
    """Permanent settings of the zones of the user's that hold an interface in question."""
    running_zones: Mapping[str, Settings] = field(default_factory=dict)
    """Their running settings."""
    ends_early: bool = False
    """Whether a zone's target drops or rejects before policies of positive priority are asked.

    firewalld 0.9 does that; there our policies come before all zones.
    """
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sources of the user's zones in the runtime: addresses, networks, C(ipset:NAME)."""
    accepting: frozenset[str] = frozenset()
    """Which of these zones accept all packets, so that a policy adds nothing to them."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """The user's zones that hold interfaces of the overlay and accept all packets, by interface."""
    builtin_zones: frozenset[str] = frozenset()
    foreign_policies: Mapping[str, set[str]] = field(default_factory=dict)
    """The zones that each policy of others names."""
    profiles: Mapping[str, Optional[Profile]] = field(default_factory=dict)
    """NetworkManager's files that bind the interfaces in question."""


@dataclass(frozen=True)
class Target:
    """What a node shall hold, and the record that goes with it."""

    permanent: Objects
    runtime: Objects
    record: Record


@dataclass(frozen=True)
class Change:
    """One step. C(before) is None for an object to create, C(after) for one to remove."""

    key: Key
    before: Optional[Settings]
    after: Optional[Settings]

    @property
    def needs_reload(self) -> bool:
        """Whether the running firewalld can take this change only by a reload."""
        if self.before is None or self.after is None:
            return True
        names = set(self.before) | set(self.after)
        changed = {name for name in names if self.before.get(name) != self.after.get(name)}
        return not changed <= RUNTIME_KEYS


def owned_keys(objects: Iterable[Key]) -> frozenset[Key]:
    """Return the keys of objects that can be created and owned, not of bindings and ports."""
    return frozenset(key for key in objects if key[0] in OWNED_KINDS)
