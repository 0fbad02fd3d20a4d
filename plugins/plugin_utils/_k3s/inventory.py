# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory tells K3s, in the variables of k3s-ansible. Pure functions.

k3s-ansible writes C(server_config_yaml) and C(agent_config_yaml) to K3s's configuration file, and
C(extra_server_args) and C(extra_agent_args) on its command line. They may hold tokens: nothing but
the values of KEYS is returned or named in a message.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional

import yaml

ADDRESS = "node-ip"
INTERFACE = "flannel-iface"
BACKEND = "flannel-backend"
POD_CIDR = "cluster-cidr"
SERVICE_CIDR = "service-cidr"
KEYS = (ADDRESS, INTERFACE, BACKEND, POD_CIDR, SERVICE_CIDR)
LISTS = (ADDRESS, POD_CIDR, SERVICE_CIDR)
"""Of these K3s adds the values of the command line to those of the file."""
_ALIASES = {"i": ADDRESS}
_BACKENDS = ("vxlan", "wireguard-native", "host-gw", "none")
_VARIABLES = {
    "server": ("server_config_yaml", "extra_server_args"),
    "agent": ("agent_config_yaml", "extra_agent_args"),
}


class Told(dict[str, tuple[str, str]]):
    """What K3s is told on one node: C({key: (value, variable)}), with the first value of a list."""

    def value(self, key: str) -> Optional[str]:
        """Return a value, None where K3s is not told."""
        return self[key][0] if key in self else None

    def source(self, key: str) -> str:
        """Return a key as messages name it, C(node-ip in extra_server_args)."""
        return f"{key} in {self[key][1]}"


def read(name: str, group: str, variable: Callable[[str], Any], problems: list[str]) -> Told:
    """Return what the inventory tells K3s on a host of a group (C(server) or C(agent)).

    C(variable) returns a variable of the host. What cannot be used is added to C(problems).
    """
    config, arguments = _VARIABLES[group]
    found: dict[str, list[tuple[str, str]]] = {}
    own: list[str] = []
    for source, pairs in (
        (config, _of_config(variable(config), config, own)),
        (arguments, _of_arguments(variable(arguments), arguments, own)),
    ):
        for key, values in pairs:
            earlier = found.get(key, []) if key in LISTS else []
            found[key] = earlier + [(value, source) for value in values]
    told = Told({key: values[0] for key, values in found.items() if values})
    for key in LISTS:
        own += _of_both_families(key, [value for value, _source in found.get(key, [])], told)
    backend = told.value(BACKEND)
    if backend is not None and backend not in _BACKENDS:
        own.append(
            f"{told.source(BACKEND)} is '{_shown(backend)}'; K3s knows: {', '.join(_BACKENDS)}"
        )
    problems += [f"host {name}: {problem}" for problem in own]
    return told


def _of_config(given: Any, variable: str, problems: list[str]) -> list[tuple[str, list[str]]]:
    """Return the keys of a configuration file, given as text or as a dictionary."""
    if given in (None, ""):
        return []
    if isinstance(given, str):
        try:
            given = yaml.safe_load(given)
        except yaml.YAMLError as error:
            # The error's text quotes the file.
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problems.append(f"{variable} is not valid YAML{where}; correct it")
            return []
    if given is None:
        return []
    if not isinstance(given, Mapping):
        problems.append(f"{variable} has no keys; give K3s's options as key: value")
        return []
    return [
        (key, _values(key, value))
        for written, value in given.items()
        for key in [_key(str(written).rstrip("+"))]
        if key in KEYS and value is not None
    ]


def _of_arguments(given: Any, variable: str, problems: list[str]) -> list[tuple[str, list[str]]]:
    """Return the options of a command line, given as text or as a list."""
    if given in (None, ""):
        return []
    text = " ".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        problems.append(f"{variable} cannot be split into words ({error}); correct its quotes")
        return []
    found = []
    for word in words:
        option, equals, value = word.partition("=")
        key = _key(option.lstrip("-"))
        if option.startswith("-") and key in KEYS:
            found.append((key, _values(key, value if equals else next(words, ""))))
    return found


def _key(written: str) -> str:
    return _ALIASES.get(written, written)


def _values(key: str, given: Any) -> list[str]:
    """Return values as K3s takes them: lists may come as one text with commas."""
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    texts = [str(item) for item in items]
    if key in LISTS:
        return [part.strip() for text in texts for part in text.split(",") if part.strip()]
    return [text for text in texts[-1:] if text]


def _of_both_families(key: str, values: Sequence[str], told: Told) -> list[str]:
    versions = {version for version in map(_version, values) if version}
    if len(versions) < 2:
        return []
    return [
        f"{told.source(key)} has IPv4 and IPv6; dual-stack clusters are not supported: give one "
        "family"
    ]


def _version(text: str) -> Optional[int]:
    try:
        return ipaddress.ip_interface(text).version
    except ValueError:
        return None


def _shown(text: str) -> str:
    """Return a text that is safe to print, and short."""
    return "".join(one if one.isprintable() else "?" for one in text[:40])


def for_all(
    key: str, variable: str, explicit: Optional[str], told: Mapping[str, Told], problems: list[str]
) -> Optional[str]:
    """Return what K3s is told of the whole cluster, None where it is not told.

    C(explicit) is the user's C(variable), None where it has its default. A contradiction, between
    nodes or with C(variable), is added to C(problems).
    """
    by_value: dict[str, list[str]] = {}
    for name, one in told.items():
        if key in one:
            by_value.setdefault(str(one.value(key)), []).append(name)
    if not by_value:
        return None
    if len(by_value) > 1:
        values = "; ".join(
            f"{_shown(value)} for {', '.join(names)}" for value, names in by_value.items()
        )
        problems.append(f"{key} of K3s is not the same for all servers ({values}); give one value")
        return None
    value, names = next(iter(by_value.items()))
    if explicit is not None and not _same(explicit, value):
        problems.append(
            f"{variable} is {_shown(explicit)}, and {told[names[0]].source(key)} is {_shown(value)}"
            f" (hosts {', '.join(names)}); give both the same value, or only the one of K3s"
        )
    return value


def for_node(
    name: str, key: str, variable: str, explicit: Optional[str], told: Told, problems: list[str]
) -> Optional[str]:
    """Return what K3s is told of one node, as for_all() does for the cluster."""
    value = told.value(key)
    if value is not None and explicit is not None and not _same(explicit, value):
        problems.append(
            f"host {name}: {variable} is {_shown(explicit)}, and {told.source(key)} is "
            f"{_shown(value)}; give both the same value, or only the one of K3s"
        )
    return value


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_interface(one.strip()) == ipaddress.ip_interface(other.strip())
    except ValueError:
        return one.strip() == other.strip()


def backend_ports(backend: Optional[str]) -> Optional[Iterable[tuple[str, str, str]]]:
    """Return (name, port, purpose) of the overlay's rules, all UDP; None for the table's own.

    From K3s's documentation, "Networking" (Inbound Rules for K3s Nodes).
    """
    if backend is None or backend == "vxlan":
        return None
    if backend == "wireguard-native":
        return [("flannel-wireguard", "51820-51821", "Flannel WireGuard overlay")]
    return []
