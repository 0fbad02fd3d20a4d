# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reload of firewalld would do to the objects of others. Pure functions.

A reload makes the permanent configuration the running one: what others have changed in the running
one alone (a ban, a container engine's interface) goes, and what waits in the permanent one comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .model import IPSET, POLICY, RUNTIME_KEYS, ZONE, Change, Objects, Settings

_IPSET_OF_RULE = re.compile(r'ipset="([^"]+)"')
# What the running firewalld can be given back without a reload.
_RESTORABLE = RUNTIME_KEYS | {"interfaces", "sources"}
_ORDER = (IPSET, ZONE, POLICY)

Direct = Mapping[str, Sequence[Sequence[Any]]]
"""Direct chains, rules and passthroughs: the arguments of firewalld's methods by their kind."""


@dataclass(frozen=True)
class Others:
    """What others have in the running firewalld."""

    objects: Objects = field(default_factory=dict)
    """Zones (with their sources), policies and ipsets."""
    interfaces: Mapping[str, str] = field(default_factory=dict)
    """The zones that hold interfaces, those of this collection included."""
    direct: Direct = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    """What iptables-save and ip6tables-save print, if a reload would flush it."""
    own_zones: tuple[str, ...] = ()
    """The zones of this collection."""

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        return {
            "objects": [[*key, settings] for key, settings in self.objects.items()],
            "interfaces": dict(self.interfaces),
            "direct": {kind: [list(one) for one in many] for kind, many in self.direct.items()},
            "tables": dict(self.tables),
            "own_zones": list(self.own_zones),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Others:
        """Read the form of to_dict(). Raises KeyError, TypeError or ValueError."""
        return cls(
            objects={(kind, name): settings for kind, name, settings in data["objects"]},
            interfaces=data["interfaces"],
            direct=data["direct"],
            tables=data["tables"],
            own_zones=tuple(data["own_zones"]),
        )


def reload_conflicts(permanent: Objects, running: Objects) -> list[str]:
    """Name what a reload would add to the runtime configuration, or remove from it, for good.

    An ipset that is only in the runtime and that nothing names was deleted already.
    """
    found = []
    named = _ipsets_named(running)
    for key in sorted(set(permanent) | set(running)):
        kind, name = key
        if key not in permanent:
            if kind == IPSET and name not in named:
                continue
            found.append(f"{kind} {name}, which is running only, would go")
        elif key not in running:
            # A zone that takes no packet and a set that no rule names change nothing.
            if kind == POLICY or {"interfaces", "sources"} & set(permanent[key]):
                found.append(f"{kind} {name}, which is not running yet, would become active")
        else:
            one, other = _fixed(permanent[key]), _fixed(running[key])
            different = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
            if different:
                found.append(f"{kind} {name} would change its {' and '.join(different)}")
    return found


def _ipsets_named(objects: Objects) -> set[str]:
    named: set[str] = set()
    for settings in objects.values():
        for rule in (*settings.get("rules_str", ()), *settings.get("rich_rules", ())):
            named.update(_IPSET_OF_RULE.findall(rule))
        for source in settings.get("sources", ()):
            kind, _colon, name = source.partition(":")
            named.update([name] if kind == "ipset" else [])
    return named


def restoration(before: Objects, after: Objects) -> list[Change]:
    """Return the changes that give others back what a reload has taken, interfaces aside."""
    steps = []
    for kind in _ORDER:
        for key in sorted(key for key in before if key[0] == kind and key in after):
            if before[key] != after[key]:
                steps.append(Change(key, after[key], before[key]))
    return steps


def interfaces_to_move(before: Others, after: Others) -> dict[str, str]:
    """Return the interfaces that a reload has moved, with the user's zones that held them.

    An empty zone stands for an interface that was in none. Interfaces that were in a zone of this
    collection are bound by the plan.
    """
    return {
        name: before.interfaces.get(name, "")
        for name in sorted({*before.interfaces, *after.interfaces})
        if before.interfaces.get(name) != after.interfaces.get(name)
        and before.interfaces.get(name) not in before.own_zones
        and after.interfaces.get(name) not in after.own_zones
    }


def would_flush_iptables(
    version: str, backend: str, has_direct_rules: bool, keeps_iptables: bool
) -> bool:
    """Tell whether a reload flushes every iptables table, whoever made its rules.

    From 2.0 on firewalld leaves them alone with the nftables backend unless there are direct rules
    (firewalld#863); C(keeps_iptables) tells that an older one has been given this change.
    """
    if backend == "iptables":
        return True
    return has_direct_rules or not (keeps_iptables or major(version) >= 2)


def major(version: str) -> int:
    """Return the major number of firewalld's version, 0 if it has none."""
    digits = version.partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _fixed(settings: Settings) -> Settings:
    return {name: value for name, value in settings.items() if name not in _RESTORABLE}
