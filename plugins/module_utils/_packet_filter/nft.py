# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Base chains in what nft prints. Pure functions."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .chains import HOOKS, LONGEST, Base, Chain, chain_of
from .nft_rules import read_rule
from .owners import is_firewalld, is_kubernetes, owner_of
from .rules import GOTO, JUMP, Rule

COMMAND = "nft"
_IPTABLES_TABLES = ("filter", "mangle", "nat", "raw", "security")
_IPTABLES_CHAINS = ("FORWARD", "INPUT", "PREROUTING")
_IPTABLES_KINDS = frozenset(
    "accept counter drop goto jump limit log mangle match return xt".split()
)
_IPTABLES_META = ("iifname", "l4proto", "mark", "oifname", "protocol")
_COUNTER = re.compile(r"\bcounter packets \d+ bytes \d+ ?")
_TABLE = re.compile(r"table (\w+) (\S+) \{")
_CHAIN = re.compile(r"\tchain (\S+) \{")
_RULE = re.compile(r"\t\t(.*) # handle (\d+)$")
_DEVICES = re.compile(r"\bdevices? (?:= )?(?:\{([^}]*)\}|(\S+))")

Table = tuple[str, str]
"""The family and the name."""
Entries = Mapping[Table, list[tuple[str, Mapping[str, Any]]]]
"""What a table has: the kind of each object, and the object."""


class NftError(Exception):
    """nft printed something that is not a ruleset."""


def parse(text: str) -> Entries:
    """Return what C(nft -j list ruleset) or C(... tables) printed. Raises NftError."""
    try:
        listed = json.loads(text)["nftables"]
        found: dict[Table, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
        for entry in listed:
            ((kind, what),) = entry.items()
            if kind == "metainfo":
                continue
            name = what.get("name") if kind == "table" else what.get("table")
            found[str(what.get("family", "")), str(name)].append((kind, what))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NftError(f"{type(error).__name__}: {error}") from error
    return found


def iptables_tables(entries: Entries) -> set[Table]:
    """Return the tables of iptables-nft, of which iptables-save prints more than nft does.

    If nft has made some of the rules, iptables-save prints them wrongly and does not say so.
    """
    return {
        (family, table)
        for (family, table), objects in entries.items()
        if family in ("ip", "ip6") and table in _IPTABLES_TABLES
        if any(kind == "chain" and what.get("name") in _IPTABLES_CHAINS for kind, what in objects)
        if all(_is_of_iptables(what.get("expr")) for kind, what in objects if kind == "rule")
    }


def _is_of_iptables(expressions: Any) -> bool:
    """Whether a rule has only what iptables-nft makes, which counts packets in each rule."""
    if not isinstance(expressions, list) or not all(isinstance(x, Mapping) for x in expressions):
        return False
    kinds = {kind for expression in expressions for kind in expression}
    matches = [one["match"] for one in expressions if isinstance(one.get("match"), Mapping)]
    return (
        "counter" in kinds
        and kinds <= _IPTABLES_KINDS
        and all(_is_match_of_iptables(one.get("left"), one.get("right")) for one in matches)
    )


def _is_match_of_iptables(left: Any, right: Any) -> bool:
    if isinstance(right, str) and right.startswith("@"):
        return False
    if isinstance(left, Mapping) and isinstance(left.get("&"), list):
        left = left["&"][0]
    if not isinstance(left, Mapping) or (isinstance(right, Mapping) and "set" in right):
        return False
    payload, meta = left.get("payload"), left.get("meta")
    if isinstance(payload, Mapping):
        return payload.get("protocol") in ("ip", "ip6", "tcp", "udp")
    return isinstance(meta, Mapping) and meta.get("key") in _IPTABLES_META


def base_chains(entries: Entries, listing: str, skipped: Collection[Table]) -> Iterator[Chain]:
    """Yield the base chains that can drop packets, except firewalld's and those of Kubernetes.

    C(listing) is what C(nft -a list ruleset) printed, which has the text of each rule. C(skipped)
    are tables that are read elsewhere.
    """
    texts, devices = _listed(listing)
    rules: dict[Table, dict[str, list[Rule]]] = {}
    for table, what in _candidates(entries, skipped):
        name = str(what.get("name", ""))
        # Before 1.1, the JSON does not have the interfaces.
        named = what.get("dev", devices.get((*table, name), []))
        base = Base(
            COMMAND,
            *table,
            name,
            str(what["hook"]),
            what["prio"] if isinstance(what.get("prio"), int) else 0,
            str(what.get("policy", "accept")),
            tuple(map(str, named if isinstance(named, list) else [named])),
        )
        if table not in rules:
            rules[table] = _rules(table, entries[table], texts)
        chain = chain_of(base, rules[table])
        if chain is not None:
            yield chain


def _candidates(
    entries: Entries, skipped: Collection[Table]
) -> Iterator[tuple[Table, Mapping[str, Any]]]:
    """Yield the base chains that packets of the host or of pods meet, with their tables."""
    for table, objects in entries.items():
        if table in skipped or is_firewalld(*table) or is_kubernetes(table[1]):
            continue
        for kind, what in objects:
            if kind == "chain" and what.get("hook") in HOOKS:
                yield table, what


def _rules(
    table: Table, objects: list[tuple[str, Mapping[str, Any]]], texts: Mapping[Any, str]
) -> dict[str, list[Rule]]:
    sets = {
        str(what.get("name")): what.get("elem", [])
        for kind, what in objects
        if kind in ("set", "map") and isinstance(what.get("elem", []), list)
    }
    rules: dict[str, list[Rule]] = defaultdict(list)
    for kind, what in objects:
        if kind != "rule" or not isinstance(what.get("expr"), list):
            continue
        chain, number = str(what.get("chain", "")), what.get("handle")
        handle = number if isinstance(number, int) else 0
        owner = owner_of(table[1], chain)
        for rule in read_rule(what["expr"], sets):
            if rule["verdict"] in (JUMP, GOTO) and is_kubernetes(rule["target"]):
                continue
            text = texts.get((*table, handle), f"{rule['verdict']} (handle {handle})")
            rule["text"], rule["handle"] = text[:LONGEST], handle
            if owner:
                rule["owner"] = owner
            rules[chain].append(rule)
    return rules


def _listed(
    listing: str,
) -> tuple[dict[tuple[str, str, int], str], dict[tuple[str, str, str], list[str]]]:
    """Return the text of each rule by its handle, and the interfaces of each chain."""
    texts: dict[tuple[str, str, int], str] = {}
    devices: dict[tuple[str, str, str], list[str]] = {}
    family = table = chain = ""
    for line in listing.splitlines():
        if match := _TABLE.match(line):
            family, table = match.groups()
            chain = ""
        elif match := _CHAIN.match(line):
            chain = match.group(1)
        elif line == "\t}":
            chain = ""
        elif chain and (match := _RULE.match(line)):
            texts[family, table, int(match.group(2))] = _COUNTER.sub("", match.group(1))
        elif chain and line.startswith("\t\ttype ") and (match := _DEVICES.search(line)):
            names = (match.group(1) or match.group(2)).replace('"', "").split(",")
            devices[family, table, chain] = [one.strip() for one in names]
    return texts, devices
