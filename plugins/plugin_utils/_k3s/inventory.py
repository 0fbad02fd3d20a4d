# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory tells K3s, in the variables of k3s-ansible. Pure functions.

k3s-ansible writes C(server_config_yaml) and C(agent_config_yaml) to K3s's configuration file, and
C(extra_server_args) and C(extra_agent_args) to its command line. They may hold tokens: only plain
values of KEYS are returned or named in a message.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import yaml

ADDRESS = "node-ip"
INTERFACE = "flannel-iface"
BACKEND = "flannel-backend"
POD_CIDR = "cluster-cidr"
SERVICE_CIDR = "service-cidr"
KEYS = {
    "server": (ADDRESS, INTERFACE, BACKEND, POD_CIDR, SERVICE_CIDR),
    "agent": (ADDRESS, INTERFACE),
}
"""The options that a server and an agent know."""
_LISTS = (ADDRESS, POD_CIDR, SERVICE_CIDR)
"""Of these, K3s adds the values of the command line to those of the file."""
_ALIASES = {"i": ADDRESS}
VARIABLES = {
    "server": ("server_config_yaml", "extra_server_args"),
    "agent": ("agent_config_yaml", "extra_agent_args"),
}
"""The variables of a server and an agent: the file, and then the command line."""
# Whatever else a value is, such as a variable of the shell, a template or the next option, it is
# not known here. No part of it gets into a message.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:/=_-]{0,79}")
_NULL = ("", "~", "null", "Null", "NULL")


class Told(dict[str, tuple[str, str]]):
    """What K3s is told on one node: C({key: (value, variable)}), with the first value of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.not_plain: dict[str, str] = {}
        """Key to variable of what is told in a way that is not read here."""

    def value(self, key: str) -> Optional[str]:
        """Return a value, None where K3s is not told."""
        return self[key][0] if key in self else None

    def source(self, key: str) -> str:
        """Return a key as messages name it, C(node-ip in extra_server_args)."""
        return f"{key} in {self[key][1] if key in self else self.not_plain[key]}"


def read(name: str, group: str, variable: Callable[[str], Any], problems: list[str]) -> Told:
    """Return what the inventory tells K3s on a host of a group (C(server) or C(agent)).

    C(variable) returns a variable of the host. What cannot be used is added to C(problems).
    """
    config, arguments = VARIABLES[group]
    found: dict[str, list[tuple[str, str]]] = {}
    told = Told()
    own: list[str] = []
    for source, pairs in (
        (config, _of_config(variable(config), config, own)),
        (arguments, _of_arguments(variable(arguments), arguments, own)),
    ):
        for key, given in pairs:
            if key not in KEYS[group]:
                continue
            values = _values(key, given)
            if not all(_PLAIN.fullmatch(value) for value in values):
                told.not_plain[key] = source
                continue
            earlier = found.get(key, []) if key in _LISTS else []
            found[key] = earlier + [(value, source) for value in values]
    told.update({key: values[0] for key, values in found.items() if values})
    for key in _LISTS:
        if len({_version(value) for value, _source in found.get(key, ())} - {None}) > 1:
            own.append(
                f"{told.source(key)} has IPv4 and IPv6; dual-stack clusters are not supported: "
                "give one family"
            )
    problems += [f"host {name}: {problem}" for problem in own]
    return told


def _of_config(given: Any, variable: str, problems: list[str]) -> list[tuple[str, Any]]:
    """Return the options of a configuration file, given as text or as a dictionary."""
    if isinstance(given, str):
        try:
            # Every scalar stays the text that it is.
            given = yaml.load(given, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            # The error's own text quotes the file.
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problems.append(f"{variable} is not valid YAML{where}; correct it")
            return []
    if given is None or given == "":
        return []
    if not isinstance(given, Mapping):
        problems.append(f"{variable} has no keys; give K3s's options as key: value")
        return []
    # A value of another key, such as a token, is not even looked at.
    keys = {written: _key(str(written).rstrip("+")) for written in given}
    return [(key, given[written]) for written, key in keys.items() if key in KEYS["server"]]


def _of_arguments(given: Any, variable: str, problems: list[str]) -> list[tuple[str, Any]]:
    """Return the options of a command line, given as text or as a list."""
    if given is None or given == "":
        return []
    text = " ".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        problems.append(f"{variable} cannot be split into words ({error}); correct its quotes")
        return []
    found: list[tuple[str, Any]] = []
    known = {*KEYS["server"], *_ALIASES}
    for word in words:
        if word == "--":
            break
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            continue
        key = option.lstrip("-")
        # The word after --kubelet-arg and its like is an option of another program.
        if not equals and (key in known or key.endswith("-arg")):
            value = next(words, "")
        found.append((_key(key), value))
    return found


def _key(written: str) -> str:
    return _ALIASES.get(written, written)


def _values(key: str, given: Any) -> list[str]:
    """Return values as K3s takes them: lists may come as one text with commas."""
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    texts = [str(item) for item in items if item is not None and str(item) not in _NULL]
    if key in _LISTS:
        return [part.strip() for text in texts for part in text.split(",") if part.strip()]
    return texts[-1:]


def _version(text: str) -> Optional[int]:
    try:
        return ipaddress.ip_interface(text).version
    except ValueError:
        return None


def for_all(
    key: str,
    variable: Optional[str],
    explicit: Optional[str],
    told: Mapping[str, Told],
    problems: list[str],
) -> Optional[str]:
    """Return what K3s's servers are told of the cluster, None where they are not told.

    C(told) is that of the servers. C(explicit) is the user's C(variable), None where it has its
    default. A contradiction, between servers or with C(variable), is added to C(problems).
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
    others = [name for name, one in told.items() if not _same(one.value(key) or "", value)]
    if others:
        problems.append(
            f"host {names[0]}: {first.source(key)} is {value}, and it is not for "
            f"{', '.join(others)}; K3s needs the same for all servers: set it once for their group"
        )
    elif explicit is not None and not _same(explicit, value):
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
    if value is not None and explicit is not None and not _same(explicit, value):
        problems.append(
            f"host {name}: {variable} is {explicit}, and {told.source(key)} is {value}; give both "
            "the same value, or only the one of K3s"
        )
    return value


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_interface(one.strip()) == ipaddress.ip_interface(other.strip())
    except ValueError:
        return one.strip() == other.strip()


def with_backend(
    rows: Sequence[Any], extra_rows: Sequence[Any], backend: Optional[str]
) -> list[Any]:
    """Return the port table with the ports of Flannel's backend in place of VXLAN's.

    A table without the shipped row of VXLAN is the user's own and stays. From K3s's documentation,
    "Networking", Inbound Rules for K3s Nodes.
    """
    kind = (backend or "").partition("=")[0]
    if kind not in ("wireguard-native", "host-gw"):
        return list(rows)
    taken = {row.get("name") for row in (*rows, *extra_rows) if isinstance(row, Mapping)}
    found: list[Any] = []
    for row in rows:
        if not _is_vxlan(row):
            found.append(row)
        elif kind == "wireguard-native" and "flannel-wireguard" not in taken:
            found.append(
                {
                    **row,
                    "name": "flannel-wireguard",
                    "port": "51820-51821",
                    "purpose": "Flannel WireGuard overlay",
                }
            )
    return found


def _is_vxlan(row: Any) -> bool:
    shipped = ("flannel-vxlan", "8472", "udp")
    return isinstance(row, Mapping) and shipped == (
        row.get("name"),
        str(row.get("port")),
        row.get("protocol"),
    )
