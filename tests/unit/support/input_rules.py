# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the variables of k3s_topology may be, written independently of the code that validates them.

C(problems()) takes what a user gives and returns which rules it breaks. The cluster has two nodes
with the NICs of NICS. Nothing of the collection is imported here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Optional

import yaml

NICS = {
    "s1": {"eth0": "192.0.2.11", "eth1": "198.51.100.11"},
    "a1": {"eth0": "192.0.2.21", "eth1": "198.51.100.21"},
}
SHIPPED = "etcd"
"""A rule of the shipped table, whose name the inputs have as well."""
GROUPS = ("server", "agent")
TRUE = ("y", "yes", "on", "1", "true", "t", "1.0")
FALSE = ("n", "no", "off", "0", "false", "f", "0.0")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
# First bits of ranges from which no other host sends: this network, loopback, link-local, multicast
# and reserved.
_BAD = ("00000000", "01111111", "1010100111111110", "1110", "1111")


class BrokenRuleError(Exception):
    """A rule is broken."""


def _bits(address: str) -> str:
    return "".join(f"{int(one):08b}" for one in address.split("."))


def _set(value: Any) -> Any:
    """Return a value, None if it is unset: an empty text is."""
    if isinstance(value, str):
        if "__omit_place_holder__" in value or "{{" in value or "{%" in value:
            raise BrokenRuleError("a template or omit")
        if not value.strip():
            return None
    return value


def _text(value: Any) -> Optional[str]:
    value = _set(value)
    if value is None:
        return None
    if type(value) not in (str, int, float):
        raise BrokenRuleError("not a text")
    return str(value).strip()


def _list(value: Any, of_words: bool) -> Optional[list[Any]]:
    value = _set(value)
    if isinstance(value, str):
        text = value.strip()
        if of_words and text[0] not in "[{" and not text.startswith("- "):
            return re.split(r"[\s,]+", text.strip(", \t\r\n")) if text.strip(", \n") else []
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError):
            raise BrokenRuleError("not YAML") from None
        value = False if value is None else value
    if value is not None and not isinstance(value, list):
        raise BrokenRuleError("not a list")
    if of_words and value is not None:
        if any(isinstance(one, (bool, list, dict)) or one is None for one in value):
            raise BrokenRuleError("an entry that is not a text")
        value = [word for one in value for word in re.split(r"[\s,]+", str(one)) if word]
    return value


def _boolean(value: Any) -> None:
    value = _set(value)
    if value is not None and str(value).strip().lower() not in (*TRUE, *FALSE):
        raise BrokenRuleError("not a boolean")


def _network(text: str, is_source: bool) -> tuple[int, str]:
    """Return version and first bits of a network."""
    address, slash, prefix = text.partition("/")
    if _V4.fullmatch(address):
        if slash and not re.fullmatch(r"[1-9]?[0-9]", prefix):
            raise BrokenRuleError("prefix")
        length = int(prefix) if slash else 32
        if length > 32 or (not is_source and not 1 <= length <= 30):
            raise BrokenRuleError("prefix")
        bits = _bits(address)
        if "1" in bits[length:]:
            raise BrokenRuleError("host bits")
        if length and any(bits[:length].startswith(bad) for bad in _BAD):
            raise BrokenRuleError("a range that no host uses")
        return 4, bits[:length]
    # The inputs have only a few of these.
    if text in ("fd00::/8", "fd42::/56", "fd43::/112", "2001:db8::/32"):
        return 6, text
    raise BrokenRuleError("not a network")


def _networks(given: dict[str, Any]) -> None:
    found = {}
    for key, default in (("pod_cidr", "10.42.0.0/16"), ("service_cidr", "10.43.0.0/16")):
        found[key] = _network(_text(given.get(key)) or default, is_source=False)
    if any(version != 4 for version, _bits_ in found.values()):
        raise BrokenRuleError("another IP version than the nodes")
    pods, services = (bits for _version, bits in found.values())
    if pods.startswith(services) or services.startswith(pods):
        raise BrokenRuleError("overlap")
    # The NIC of the cluster network, which s1 may name by its address.
    named = _text(given.get("cluster_interface"))
    own = next((nic for nic, one in NICS["s1"].items() if one == _text(given.get("node_ip"))), None)
    for host, nics in NICS.items():
        nic = named or (own if host == "s1" else None) or "eth0"
        subnet = _bits(nics.get(nic, nics["eth0"]))[:24]
        for bits in (pods, services):
            if bits.startswith(subnet) or subnet.startswith(bits):
                raise BrokenRuleError("overlap with a node")


def _sources(value: Any) -> None:
    found = [_network(one, is_source=True) for one in _list(value, of_words=True) or []]
    if found and all(version == 6 for version, _first in found):
        raise BrokenRuleError("only another IP version")
    if any(version == 4 and not bits for version, bits in found):
        raise BrokenRuleError("everybody")
    halves = {bits for version, bits in found if version == 4}
    if {"0", "1"} <= halves:
        raise BrokenRuleError("everybody")


def _interval(value: Any) -> tuple[int, int]:
    if type(value) not in (int, str):
        raise BrokenRuleError("not a port")
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?: *- *([1-9][0-9]{0,4}))?", str(value).strip())
    if not found or not str(value).isascii():
        raise BrokenRuleError("not a port")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last <= 65535:
        raise BrokenRuleError("not a range")
    return first, last


def _rules(given: dict[str, Any]) -> None:
    # What is unset has the shipped table, and the tests give one rule if they give none.
    names = set() if _set(given.get("ports")) is not None else {SHIPPED}
    if "ports" not in given:
        names = {"api"}
    for key in ("ports", "extra_ports"):
        for rule in _list(given.get(key), of_words=False) or []:
            if not isinstance(rule, dict):
                raise BrokenRuleError("not a dictionary")
            name = rule.get("name")
            if type(name) not in (str, int) or not str(name).strip() or str(name) in names:
                raise BrokenRuleError("name")
            if not str(name).isprintable() or len(str(name)) > 100:
                raise BrokenRuleError("name")
            names.add(str(name))
            _interval(rule.get("port"))
            if str(rule.get("protocol")).lower() not in ("tcp", "udp"):
                raise BrokenRuleError("protocol")
            for end, allowed in (
                ("source", (*GROUPS, "pod", "external")),
                ("destination", GROUPS),
            ):
                members = rule.get(end)
                members = [members] if isinstance(members, str) else members
                if not isinstance(members, list) or not members:
                    raise BrokenRuleError(end)
                if any(not isinstance(one, str) or one not in allowed for one in members):
                    raise BrokenRuleError(end)


def _interfaces(given: dict[str, Any]) -> None:
    mode = _text(given.get("mode")) or "shared"
    if mode not in ("shared", "segregated"):
        raise BrokenRuleError("mode")
    cluster, external = (_text(given.get(f"{key}_interface")) for key in ("cluster", "external"))
    for name in (cluster, external):
        if name is not None and name not in NICS["s1"]:
            raise BrokenRuleError("no such interface")
    if mode == "segregated" and (not cluster or not external or cluster == external):
        raise BrokenRuleError("two interfaces")
    overlay = _list(given.get("overlay_interfaces"), of_words=True)
    if overlay is not None:
        for name in overlay:
            if not name.isprintable() or not 1 <= len(name.encode(errors="replace")) <= 15:
                raise BrokenRuleError("overlay")
            if set(name) & set("/:+* "):
                raise BrokenRuleError("overlay")
            if name in ("lo", ".", ".."):
                raise BrokenRuleError("overlay")
        if not overlay or (mode == "segregated" and external in overlay):
            raise BrokenRuleError("overlay")
    address = _text(given.get("node_ip"))
    held = NICS["s1"]
    if address is not None and address not in ([held[cluster]] if cluster else list(held.values())):
        raise BrokenRuleError("node_ip")
    outside = _text(given.get("external_address"))
    nic = external or cluster
    if outside is not None:
        if nic is None:
            nic = next((name for name, one in held.items() if one == address), "eth0")
        if outside != held[nic]:
            raise BrokenRuleError("external_address")


def problems(given: dict[str, Any]) -> list[str]:
    """Return which rules are broken; node_ip and external_address are those of s1."""
    found = []
    for rule in (
        _networks,
        _interfaces,
        _rules,
        lambda whole: _sources(whole.get("external_sources")),
        lambda whole: _boolean(whole.get("http_redirect")),
        lambda whole: _boolean(whole.get("restrict_sources")),
    ):
        try:
            rule(given)
        except BrokenRuleError as error:
            found.append(str(error))
    return found


def shown(given: dict[str, Any]) -> str:
    """Return an input as a text for a failure."""
    return json.dumps(given, default=str)[:2000]
