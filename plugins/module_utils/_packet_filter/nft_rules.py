# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the expressions of a rule that C(nft -j) printed. Pure functions.

The format is that of libnftables-json(5). What is not known here makes a rule C(partial).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from .rules import ACCEPT, DROP, GOTO, JUMP, RETURN, UNKNOWN, Rule

# More elements than these are not evaluated.
_MOST = 100

_PLAIN = {"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN}
# A packet that these act on meets no further rule of the base chain.
_ENDING = ("dnat", "snat", "masquerade", "redirect", "tproxy")
_MAY_DROP = ("queue", "synproxy", "fwd")
_HARMLESS = (
    *("counter", "log", "mangle", "notrack", "flow", "dup", "set", "map", "secmark", "last"),
    *("ct helper", "ct timeout", "ct expectation"),
)
_XT_ENDING = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "TPROXY": ACCEPT}
_XT_HARMLESS = (
    *("AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "HL", "LOG"),
    *("MARK", "NFLOG", "SECMARK", "SET", "TCPMSS", "TOS", "TRACE", "TTL"),
)
_META = {
    "iif": "inputs",
    "iifname": "inputs",
    "oif": "outputs",
    "oifname": "outputs",
    "l4proto": "protocols",
}
_ADDRESSES = {"saddr": "sources", "daddr": "destinations"}
_ANY = ("0.0.0.0/0", "::/0")
_FAMILIES = {"ipv4": _ANY[0], "ip": _ANY[0], "ipv6": _ANY[1], "ip6": _ANY[1]}
_PROTOCOLS = {"6": "tcp", "17": "udp", "58": "ipv6-icmp"}

Sets = Mapping[str, Sequence[Any]]
"""The elements of each set and map of a table, by its name."""


def read_rule(expressions: Sequence[Any], sets: Sets) -> Iterator[Rule]:
    """Yield what a rule does: nothing if it has no verdict, one for each verdict of a map."""
    conditions = Rule()
    for expression in expressions:
        if not isinstance(expression, Mapping) or len(expression) != 1:
            conditions["partial"] = True
            continue
        ((kind, what),) = expression.items()
        if kind == "match":
            _add_match(conditions, what, sets)
        elif kind == "vmap":
            yield from _read_map(conditions, what, sets)
        elif kind == "xt":
            rule = _read_xt(conditions, what)
            if rule:
                yield rule
        elif kind not in _HARMLESS:
            rule = _read_verdict(kind, what)
            if rule:
                yield Rule(**{**conditions, **rule})
                return
            # Such as a limit or quota.
            conditions["partial"] = True


def _read_verdict(kind: str, what: Any) -> Optional[Rule]:
    if kind in _PLAIN:
        return Rule(verdict=_PLAIN[kind])
    if kind in (JUMP, GOTO) and isinstance(what, Mapping):
        return Rule(verdict=kind, target=str(what.get("target", "")))
    if kind in _ENDING:
        return Rule(verdict=ACCEPT)
    return Rule(verdict=UNKNOWN) if kind in _MAY_DROP else None


def _read_xt(conditions: Rule, what: Any) -> Optional[Rule]:
    """Read an extension of iptables, of which older versions of nft do not print the name."""
    kind, name = (what.get("type"), what.get("name")) if isinstance(what, Mapping) else ("", "")
    if kind == "target":
        if name in _XT_HARMLESS:
            return None
        verdict = _XT_ENDING.get(str(name), UNKNOWN)
        return Rule(**{**conditions, "verdict": verdict})
    if kind == "match" and name == "comment":
        return None
    conditions["partial"] = True
    if not kind:
        return Rule(**{**conditions, "verdict": UNKNOWN})
    return None


def _read_map(conditions: Rule, what: Any, sets: Sets) -> Iterator[Rule]:
    """Yield a rule for each element of a map of verdicts."""
    if not isinstance(what, Mapping):
        conditions["partial"] = True
        return
    elements = _elements(what.get("data"), sets)
    if elements is None or len(elements) > _MOST:
        yield Rule(**{**conditions, "verdict": UNKNOWN, "partial": True})
        return
    for element in elements:
        if not isinstance(element, Sequence) or isinstance(element, str) or len(element) != 2:
            continue
        value, verdict = element
        if not isinstance(verdict, Mapping) or len(verdict) != 1:
            continue
        ((kind, target),) = verdict.items()
        rule = _read_verdict(kind, target)
        if rule is None:
            continue
        one = Rule(**{**conditions, **rule})
        _add_match(one, {"op": "==", "left": what.get("key"), "right": value}, sets)
        yield one


def _add_match(rule: Rule, what: Any, sets: Sets) -> None:
    """Add a condition to a rule."""
    left, right, operator = (
        (what.get("left"), what.get("right"), what.get("op"))
        if isinstance(what, Mapping)
        else (None, None, None)
    )
    kind, key = _selector(left)
    elements = _elements(right, sets)
    if elements is None or operator not in ("==", "in", "!=") or len(elements) > _MOST:
        rule["partial"] = True
        return
    negated = operator == "!="
    if kind == "meta" and key in _META:
        _narrow(rule, _META[key], _names(elements), negated)
    elif (kind == "meta" and key in ("nfproto", "protocol")) or (kind, key) == ("ether", "type"):
        _add_family(rule, elements, negated)
    elif kind in ("ip", "ip6") and key in _ADDRESSES:
        _add_networks(rule, _ADDRESSES[key], elements, negated)
    elif (kind, key) in (("ip", "protocol"), ("ip6", "nexthdr")):
        _narrow(rule, "protocols", _names(elements), negated)
    elif kind in ("tcp", "udp", "th"):
        _add_transport(rule, kind, key, elements, negated)
    elif kind in ("icmp", "icmpv6", "sctp", "dccp", "udplite", "esp", "ah"):
        _narrow(rule, "protocols", ["ipv6-icmp" if kind == "icmpv6" else kind], False)
        rule["partial"] = True
    elif (kind, key) == ("ct", "state"):
        _narrow(rule, "states", _names(elements), negated)
    elif kind == "fib" and key == "type daddr":
        _add_local(rule, elements, negated)
    else:
        rule["partial"] = True


def _selector(left: Any) -> tuple[str, str]:
    """Return what a match compares, such as C(tcp) and C(dport)."""
    if not isinstance(left, Mapping) or len(left) != 1:
        return "", ""
    ((kind, what),) = left.items()
    if not isinstance(what, Mapping):
        return "", ""
    if kind == "payload":
        return str(what.get("protocol", "")), str(what.get("field", ""))
    if kind == "fib":
        flags = what.get("flags")
        flags = [flags] if isinstance(flags, str) else flags
        if not isinstance(flags, list) or not all(isinstance(one, str) for one in flags):
            return "", ""
        return kind, f"{what.get('result')} {' '.join(flags)}"
    return str(kind), str(what.get("key", ""))


def _elements(right: Any, sets: Sets) -> Optional[Sequence[Any]]:
    """Return the values of the right side of a match, None if they are not known."""
    if isinstance(right, str) and right.startswith("@"):
        return sets.get(right[1:])
    if isinstance(right, Mapping) and "set" in right:
        right = right["set"]
        return right if isinstance(right, list) else [right]
    return right if isinstance(right, list) else [right]


def _value(element: Any) -> Any:
    """Return an element without its comment, counter or timeout."""
    if isinstance(element, Mapping) and isinstance(element.get("elem"), Mapping):
        return element["elem"].get("val")
    return element


def _names(elements: Sequence[Any]) -> list[str]:
    """Return names as text, and protocols of which the number is given by name."""
    texts = [str(_value(one)) for one in elements]
    return [_PROTOCOLS.get(one, one) for one in texts]


def _narrow(rule: Rule, name: str, values: list[Any], negated: bool) -> None:
    """Add a condition. A second one of a kind makes the rule partial."""
    if name in rule:
        rule["partial"] = True
        return
    rule[name] = values  # type: ignore[literal-required]
    if negated:
        rule["negated"] = [*rule.get("negated", ()), name]


def _add_transport(rule: Rule, kind: str, key: str, elements: Sequence[Any], no: bool) -> None:
    if kind != "th":
        # A rule that compares a port is about packets of that protocol.
        if rule.get("protocols", [kind]) != [kind] or "protocols" in rule.get("negated", ()):
            rule["partial"] = True
        rule["protocols"] = [kind]
    ranges = [_ports(_value(one)) for one in elements]
    if key != "dport" or None in ranges:
        rule["partial"] = True
        return
    _narrow(rule, "ports", ranges, no)


def _ports(value: Any) -> Optional[list[int]]:
    if isinstance(value, int):
        return [value, value]
    bounds = value.get("range") if isinstance(value, Mapping) else None
    if isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(x, int) for x in bounds):
        return bounds
    return None


def _add_family(rule: Rule, elements: Sequence[Any], negated: bool) -> None:
    """Add that a packet is of IPv4 or IPv6: its source is any address of that family."""
    if "sources" in rule or "destinations" in rule:
        # An address is of a family already.
        return
    named = {_FAMILIES.get(str(_value(one))) for one in elements}
    # Without one of both it is about others, such as ARP.
    rule["sources"] = [one for one in _ANY if (one in named) != negated]


def _add_networks(rule: Rule, name: str, elements: Sequence[Any], negated: bool) -> None:
    found: list[str] = []
    for element in elements:
        networks = _networks(_value(element))
        if networks is None:
            rule["partial"] = True
            return
        found += networks
    if len(found) > _MOST:
        rule["partial"] = True
        return
    if name == "sources" and set(rule.get("sources", ("",))) <= set(_ANY):
        del rule["sources"]
    _narrow(rule, name, found, negated)


def _networks(value: Any) -> Optional[list[str]]:
    """Return the networks of an address, a prefix or a range."""
    try:
        if isinstance(value, str):
            return [str(ipaddress.ip_network(value))]
        if isinstance(value, Mapping) and isinstance(value.get("prefix"), Mapping):
            prefix = value["prefix"]
            return [str(ipaddress.ip_network(f"{prefix['addr']}/{prefix['len']}", strict=False))]
        if isinstance(value, Mapping) and isinstance(value.get("range"), list):
            first, last = (ipaddress.ip_address(one) for one in value["range"])
            return [str(one) for one in ipaddress.summarize_address_range(first, last)]
    except (KeyError, TypeError, ValueError):
        pass
    return None


def _add_local(rule: Rule, elements: Sequence[Any], negated: bool) -> None:
    kinds = [_value(one) for one in elements]
    if kinds == ["local"]:
        rule["local"] = not negated
    elif "local" not in kinds and not negated:
        # Broadcast or multicast, which no packet of a cluster's port is for.
        rule["partial"], rule["local"] = True, False
    else:
        rule["partial"] = True
