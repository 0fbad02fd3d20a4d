# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What K3s is told on a node, by the inventory and by its own files, in one record. Pure functions.

Sources may hold tokens: only plain values of KEYS are kept or named in a message.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

NODE_IP = "node-ip"
INTERFACE = "flannel-iface"
BACKEND = "flannel-backend"
POD_CIDR = "cluster-cidr"
SERVICE_CIDR = "service-cidr"
NODE_NAME = "node-name"
_OF_NODES = (NODE_IP, "node-external-ip", INTERFACE, NODE_NAME)
KEYS = {"server": (*_OF_NODES, BACKEND, POD_CIDR, SERVICE_CIDR), "agent": _OF_NODES}
"""The options that are read, by the group of the node; K3s's agents do not know the others."""
ALIASES = {"i": NODE_IP}
_ONE_FAMILY = (NODE_IP, POD_CIDR, SERVICE_CIDR)
_LISTS = (*_ONE_FAMILY, "node-external-ip")
"""K3s adds the values of the command line to those of the files, and divides them at commas."""
# Anything else is a variable of the shell, a template, the next option or not a value of these
# options at all. No part of it gets into a message.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:/=_-]{0,79}")
_DEFAULTS = {POD_CIDR: "10.42.0.0/16", SERVICE_CIDR: "10.43.0.0/16", BACKEND: "vxlan"}
"""K3s's own (pkg/cli/cmds/server.go, pkg/util/net.go)."""
_NULL = ("", "~", "null", "Null", "NULL")


class Setting(NamedTuple):
    """One option as one source sets it. C(values) is None if they are not plain text."""

    source: str
    key: str
    values: Optional[tuple[str, ...]]
    append: bool = False
    """Whether K3s adds it to what was set before."""
    alias: bool = False
    """Whether a file has the short name of the key. K3s adds up the values of both names."""

    @classmethod
    def of(
        cls, source: str, key: str, given: Any, append: bool = False, alias: bool = False
    ) -> Setting:
        """Return a setting of a value in YAML or on a command line."""
        items = list(given) if isinstance(given, (list, tuple)) else [given]
        texts = [str(item) for item in items if item is not None and str(item) not in _NULL]
        if key in _LISTS:
            texts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        else:
            texts = texts[-1:]
        plain = all(_PLAIN.fullmatch(text) for text in texts)
        return cls(source, key, tuple(texts) if plain else None, append, alias)


class Told(dict[str, tuple[str, str]]):
    """C({key: (value, source)}), with the first value of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.not_plain: dict[str, str] = {}
        """Key to source of what is told in a way that is not read here."""

    def value(self, key: str) -> Optional[str]:
        """Return a value, None if K3s is not told."""
        return self[key][0] if key in self else None

    def source(self, key: str) -> str:
        """Return a key as messages name it, C(node-ip in extra_server_args)."""
        return f"{key} in {self[key][1] if key in self else self.not_plain[key]}"


@dataclass(frozen=True)
class NodeSettings:
    """What a node's own files say."""

    settings: Sequence[Setting] = ()
    unreadable: Sequence[str] = ()
    """Files with the reason why they cannot be read."""
    config: str = ""
    """The file that K3s reads instead of /etc/rancher/k3s/config.yaml."""
    installed: Optional[Sequence[str]] = None
    """The addresses that K3s runs with, empty if they are not known; None if it has not run yet."""
    version: str = ""


@dataclass(frozen=True)
class Record:
    """Everything that is known of K3s's settings on one node."""

    told: Told
    node: NodeSettings = field(default_factory=NodeSettings)
    pending: Sequence[str] = ()
    """Keys that only the inventory sets, though K3s has run without them."""
    differences: Sequence[str] = ()
    """What the inventory and the node's files say differently."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the topology has it."""
        told = self.told
        return {
            "settings": {
                key: {"value": value, "source": source} for key, (value, source) in told.items()
            },
            "pending": list(self.pending),
            "unreadable": [
                *self.node.unreadable,
                # What the plan of K3s's drop-in file needs.
                *(
                    f"{told.source(key)} is not plain text"
                    for key in (NODE_IP, INTERFACE)
                    if key in told.not_plain
                ),
            ],
            "differences": list(self.differences),
            "config": self.node.config,
            "installed": None if self.node.installed is None else list(self.node.installed),
            "version": self.node.version,
        }


def combine(group: str, settings: Iterable[Setting]) -> tuple[Told, list[str]]:
    """Return what K3s makes of all settings of one node, and what cannot be used."""
    told = Told()
    by_name: dict[tuple[str, bool], list[tuple[str, str]]] = {}
    not_plain: dict[tuple[str, bool], str] = {}
    for setting in settings:
        if setting.key not in KEYS[group]:
            continue
        name = (setting.key, setting.alias)
        adds = setting.append and setting.key in _LISTS
        if setting.values is None:
            not_plain[name] = setting.source
            if not adds:
                by_name.pop(name, None)
            continue
        if not adds:
            not_plain.pop(name, None)
        if setting.values or not setting.append:
            earlier = by_name.get(name, []) if adds else []
            by_name[name] = earlier + [(value, setting.source) for value in setting.values]
    found: dict[str, list[tuple[str, str]]] = {}
    for (key, _alias), values in by_name.items():
        found.setdefault(key, []).extend(values)
    told.update({key: values[0] for key, values in found.items() if values})
    told.not_plain.update({key: source for (key, _alias), source in not_plain.items()})
    return told, [
        f"{told.source(key)} has IPv4 and IPv6; dual-stack clusters are not supported: give one "
        "family"
        for key in _ONE_FAMILY
        if len({_version(value) for value, _source in found.get(key, ())} - {None}) > 1
    ]


def merge(
    group: str, inventory: Iterable[Setting], node: Optional[NodeSettings]
) -> tuple[Record, list[str]]:
    """Return the record of a node, and what cannot be used.

    What K3s reads on the node counts more than what the inventory will tell it next.
    """
    told, problems = combine(group, inventory)
    if node is None:
        return Record(told), problems
    own, own_problems = combine(group, node.settings)
    differences = [
        f"{own.source(key)} is {own[key][0]}, and {told.source(key)} is {told[key][0]}"
        for key in own
        if key in told and not same(own[key][0], told[key][0])
    ]
    pending = [key for key in told if key not in own] if node.installed is not None else []
    for key in own.not_plain:
        told.pop(key, None)
    told.not_plain.update(own.not_plain)
    told.update(own)
    for key in own:
        told.not_plain.pop(key, None)
    return Record(told, node, pending, differences), [*problems, *own_problems]


def for_all(
    key: str,
    variable: Optional[str],
    explicit: Optional[str],
    told: Mapping[str, Told],
    complete: Collection[str],
    problems: list[str],
) -> Optional[str]:
    """Return what K3s's servers are told of the cluster, None if they are not told.

    C(told) is that of the servers. C(explicit) is the user's C(variable), None if it has its
    default. C(complete) are servers on which K3s has run and all of whose settings are known: what
    they are not told has K3s's default. A contradiction, between servers or with C(variable), is
    added to C(problems).
    """
    unread = [name for name, one in told.items() if key in one.not_plain]
    if unread:
        if explicit is None:
            remedy = f"set {variable}" if variable else "write the value itself there"
            problems.append(
                f"hosts {', '.join(unread)}: {told[unread[0]].source(key)} is not a plain value, "
                f"so it is not known here; {remedy}"
            )
        return None
    names = [name for name, one in told.items() if key in one]
    if not names:
        return None
    first = told[names[0]]
    value = first[key][0]
    values = {
        name: one.value(key) or (_DEFAULTS[key] if name in complete else value)
        for name, one in told.items()
    }
    other = next((name for name in values if not same(values[name], value)), None)
    if other is not None:
        problems.append(
            f"host {names[0]}: {first.source(key)} is {value}, and host {other} has "
            f"{values[other]}; K3s needs the same for all servers: set it once for their group"
        )
    elif explicit is not None and not same(explicit, value):
        problems.append(
            f"{variable} is {explicit}, and {first.source(key)} is {value} (hosts "
            f"{', '.join(names)}); give both the same value, or only the one of K3s"
        )
    return value


def for_node(
    name: str, key: str, variable: str, explicit: Optional[str], told: Told, problems: list[str]
) -> Optional[str]:
    """Return what K3s is told of one node, as for_all() does for the cluster."""
    if key in told.not_plain:
        if explicit is None:
            problems.append(
                f"host {name}: {told.source(key)} is not a plain value, so it is not known here; "
                f"set {variable}"
            )
        return None
    value = told.value(key)
    if value is not None and explicit is not None and not same(explicit, value):
        problems.append(
            f"host {name}: {variable} is {explicit}, and {told.source(key)} is {value}; give both "
            "the same value, or only the one of K3s"
        )
    return value


def same(one: str, other: str) -> bool:
    """Compare values; addresses and networks may be written in several ways."""
    try:
        return ipaddress.ip_interface(one.strip()) == ipaddress.ip_interface(other.strip())
    except ValueError:
        return one.strip() == other.strip()


def _version(text: str) -> Optional[int]:
    try:
        return ipaddress.ip_interface(text).version
    except ValueError:
        return None
