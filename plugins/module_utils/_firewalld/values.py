# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of firewalld's objects: between what firewalld speaks and what can be compared."""

from __future__ import annotations

from typing import Any, Optional

from .model import IPSET, POLICY, ZONE, Settings

DESCRIPTION = "Created and managed by the Ansible collection edgeops.k3s_network."
# D-Bus types of the members of lists; the others are strings.
LIST_SIGNATURES = {
    "ports": "(ss)",
    "source_ports": "(ss)",
    "forward_ports": "(ssss)",
}
_LIST_KEYS = {
    ZONE: (
        "services ports icmp_blocks forward_ports sources rules_str protocols source_ports"
    ).split(),
    POLICY: (
        "services ports icmp_blocks forward_ports rich_rules protocols source_ports "
        "ingress_zones egress_zones"
    ).split(),
}
# firewalld keeps what it is not told, and a new zone forwards by default from 1.0 on.
_BOOLEANS = {
    ZONE: ("forward", "masquerade", "icmp_block_inversion"),
    POLICY: ("masquerade",),
}
_DEFAULTS = {"target": "default"}
_ABOUT = ("version", "short", "description", "UNUSED")


def normal(kind: str, raw: Any, with_interfaces: bool = False) -> Settings:
    """Return plain values that can be compared: sorted, and without empty ones."""
    if kind == IPSET:
        _version, _short, _description, set_type, options, entries = raw
        plain = {str(key): str(value) for key, value in options.items()}
        family = plain.pop("family", "inet")
        settings: Settings = {
            "type": str(set_type),
            "family": family,
            "entries": sorted(str(entry) for entry in entries),
        }
        if plain:
            settings["options"] = plain
        return settings
    settings = {}
    for key, value in raw.items():
        key = str(key)
        # The NICs of a zone of ours are compared as bindings.
        if key in _ABOUT or (kind == ZONE and key == "interfaces" and not with_interfaces):
            continue
        plain_value = _plain(key, value)
        if plain_value not in ("", [], False):
            settings[key] = plain_value
    return settings


def complete(kind: str, settings: Settings, before: Optional[Settings] = None) -> Settings:
    """Return the settings of a zone or policy as firewalld takes them, empty ones included.

    firewalld keeps a key that it is not sent, so one that C(before) has and that is not wanted is
    sent with its default. Keys that this firewalld does not know are in neither.
    """
    whole = {key: value for key, value in settings.items() if not isinstance(value, list)}
    for key, value in (before or {}).items():
        if not isinstance(value, list):
            whole.setdefault(key, _DEFAULTS.get(key, type(value)()))
    for key in _BOOLEANS[kind]:
        whole[key] = bool(settings.get(key, False))
    lists = {key for key, value in (before or {}).items() if isinstance(value, list)}
    for key in {
        *_LIST_KEYS[kind],
        *lists,
        *(k for k, v in settings.items() if isinstance(v, list)),
    }:
        value = settings.get(key, [])
        if key in ("ports", "source_ports"):
            whole[key] = port_pairs(value)
        elif key in LIST_SIGNATURES:
            whole[key] = [tuple(one) for one in value]
        else:
            whole[key] = list(value)
    return whole


def port_pairs(ports: list[str]) -> list[tuple[str, str]]:
    """Turn C(80/tcp) into the pair that firewalld takes."""
    pairs = []
    for text in ports:
        port, _slash, protocol = text.partition("/")
        pairs.append((port, protocol))
    return pairs


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        if key in ("ports", "source_ports"):
            return sorted(f"{port}/{protocol}" for port, protocol in value)
        if key in LIST_SIGNATURES:
            return sorted([str(part) for part in one] for one in value)
        return sorted(str(one) for one in value)
    if isinstance(value, dict):
        return {str(name): _plain(name, one) for name, one in value.items()}
    # dbus.Boolean is an int.
    if type(value).__name__ in ("Boolean", "bool"):
        return bool(value)
    return int(value) if isinstance(value, int) else str(value)
