# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what holds for the whole cluster: rules of the port table, networks, sources. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports

from .model import EXTERNAL, NODE_GROUPS, PROTOCOLS, SOURCES, Rule, Settings
from .networks import Network, to_source

_LONGEST_NAME = 100


def read_settings(given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return the settings and what is wrong with them.

    Args:
        given: The options C(ports), C(extra_ports), C(http_redirect), C(restrict_sources),
            C(external_sources), C(pod_cidr) and C(service_cidr), in Python's own types.

    Returns:
        Settings that hold what is valid, and every problem by the user's name of the variable. The
        two networks are taken as they are: validate_networks() looks at them once K3s's settings
        are known.
    """
    problems: list[str] = []
    rules = _read_rules("k3s_topology_ports", given["ports"], problems)
    rules += _read_rules("k3s_topology_extra_ports", given["extra_ports"], problems)
    seen: set[str] = set()
    for rule in rules:
        if rule["name"] in seen:
            problems.append(
                f"k3s_topology_ports and k3s_topology_extra_ports: the name '{rule['name']}' "
                "stands twice; give each rule a name of its own"
            )
        seen.add(rule["name"])
    if not _read_boolean("http_redirect", given, problems):
        rules = [rule for rule in rules if not _is_http_redirect(rule)]
    return Settings(
        pod_cidr=str(given["pod_cidr"]),
        service_cidr=str(given["service_cidr"]),
        rules=rules,
        restrict_sources=_read_boolean("restrict_sources", given, problems),
        external_sources=_read_sources(given["external_sources"], problems),
    ), problems


def _read_rules(
    variable: str, table: Sequence[Mapping[str, Any]], problems: list[str]
) -> list[Rule]:
    rules: list[Rule] = []
    for number, entry in enumerate(table, start=1):
        name = _name(entry.get("name")) if isinstance(entry, Mapping) else ""
        where = f"{variable}: rule {number}" + (f" ('{name}')" if name else "")
        if not isinstance(entry, Mapping):
            problems.append(
                f"{where} is no dictionary; give name, port, protocol, source, destination"
            )
            continue
        wrong = []
        if not name:
            wrong.append(
                f"has no name of up to {_LONGEST_NAME} printable characters; give it one as text"
            )
        first = last = 0
        try:
            first, last = _ports.parse_port(entry.get("port", ""))
        except ValueError as error:
            wrong.append(
                f"port {error}; give a number from {_ports.PORT_MIN} to {_ports.PORT_MAX}, or a "
                "range of such"
            )
        protocol = str(entry.get("protocol", "")).lower()
        if protocol not in PROTOCOLS:
            wrong.append(f"protocol is '{protocol}'; it is one of: {', '.join(PROTOCOLS)}")
        ends = {}
        for end, allowed in (("source", SOURCES), ("destination", NODE_GROUPS)):
            value = entry.get(end)
            members = [value] if isinstance(value, str) else value
            if (
                not isinstance(members, Sequence)
                or not members
                or any(member not in allowed for member in members)
            ):
                wrong.append(f"{end} is {value!r}; it is a list of: {', '.join(allowed)}")
                continue
            ends[end] = [member for member in allowed if member in members]
        if wrong:
            problems += [f"{where}: {text}" for text in wrong]
            continue
        rules.append(
            Rule(
                name=name,
                first=first,
                last=last,
                protocol=protocol,
                source=ends["source"],
                destination=ends["destination"],
                purpose=str(entry.get("purpose") or ""),
            )
        )
    return rules


def _name(value: Any) -> str:
    """Return the name of a rule, empty if it is not valid."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    name = str(value)
    return name if name.strip() and name.isprintable() and len(name) <= _LONGEST_NAME else ""


def _is_http_redirect(rule: Rule) -> bool:
    return (
        rule["source"] == [EXTERNAL]
        and rule["protocol"] == "tcp"
        and rule["first"] == rule["last"] == 80
    )


def _read_sources(texts: Sequence[str], problems: list[str]) -> list[str]:
    networks = [to_source("k3s_topology_external_sources", text, problems) for text in texts]
    if any(network.prefixlen == 0 for network in _collapse(networks)):
        problems.append(
            f"k3s_topology_external_sources is {', '.join(texts)}, "
            "which is everybody, and firewalld has no ipset for that; leave the list empty to "
            "admit anyone"
        )
    return list(texts)


def _collapse(networks: Sequence[Optional[Network]]) -> list[Network]:
    collapsed: list[Network] = []
    v4 = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    v6 = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    collapsed += ipaddress.collapse_addresses(v4)
    collapsed += ipaddress.collapse_addresses(v6)
    return collapsed


def _read_boolean(option: str, given: Mapping[str, Any], problems: list[str]) -> bool:
    """Read a boolean as Ansible does, from a survey's text too."""
    try:
        return bool(boolean(given[option]))
    except TypeError:
        problems.append(f"k3s_topology_{option} is {given[option]!r}; it is true or false")
        return True
