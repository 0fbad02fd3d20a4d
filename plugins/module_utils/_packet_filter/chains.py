# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Base chains that can drop packets, as they are reported. Pure functions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, TypedDict

from .owners import owner_of, owner_of_policy
from .rules import (
    ACCEPT,
    DROP,
    GOTO,
    JUMP,
    UNKNOWN,
    Hit,
    Match,
    Packet,
    Rule,
    fate,
)

ALL, SOME = "all", "some"
INCOMING = ("ingress", "prerouting", "input")
"""The hooks that packets for the host meet, in this order."""
OUTGOING = ("output", "postrouting")
"""The hooks that packets of the host meet, in this order."""
FORWARD = "forward"
HOOKS = (*INCOMING, FORWARD, *OUTGOING)
LONGEST = 200
"""Longest text of a chain's description, in characters."""
MOST_CHAINS = 50
_MOST_RULES = 300
_MOST_SOURCES = 100
# Rules of a long chain.
_MANY = 30

_LOCAL: dict[str, Match] = {"input": True, **dict.fromkeys((FORWARD, *OUTGOING), False)}
_ANY = {"ip": ("0.0.0.0/0",), "ip6": ("::/0",)}


class Base(NamedTuple):
    """A base chain: what the kernel calls at a hook."""

    tool: str
    """The command that changes it, such as C(nft) or C(iptables-legacy)."""
    family: str
    table: str
    chain: str
    hook: str
    priority: int
    policy: str
    devices: tuple[str, ...] = ()
    """The interfaces at which it is called, for the hook ingress."""


class Chain(TypedDict):
    """A base chain that can drop packets."""

    tool: str
    family: str
    table: str
    chain: str
    hook: str
    priority: int
    policy: str
    devices: list[str]
    drops: str
    """C(all): each new connection, at least of one protocol, that no earlier rule accepts;
    C(some): only what meets a condition."""
    rule: str
    """The rule that drops them, or C(policy drop)."""
    rule_chain: str
    """The chain of that rule."""
    handle: int
    """nft's number of that rule, otherwise 0."""
    owner: str
    """The software that has made that rule, or an empty text."""
    policy_owner: str
    rules: dict[str, list[Rule]]
    """What the chain and those that it jumps to do, for fate()."""


def chain_of(base: Base, rules: Mapping[str, list[Rule]]) -> Optional[Chain]:
    """Return the description of a base chain, None if it drops nothing.

    C(rules) are those of all chains of the table.
    """
    reached = _bounded(base.chain, rules)
    drops, hit = _drops(base, reached)
    if hit is None:
        return None
    policy_owner = owner_of_policy(base.hook, reached) or owner_of(base.table, base.chain)
    rule = hit.rule or Rule(text=f"policy {base.policy}", owner=policy_owner)
    return Chain(
        tool=base.tool,
        family=base.family,
        table=base.table[:LONGEST],
        chain=base.chain[:LONGEST],
        hook=base.hook,
        priority=base.priority,
        policy=base.policy,
        devices=[one[:LONGEST] for one in base.devices],
        drops=drops,
        rule=rule.get("text", ""),
        rule_chain=hit.chain,
        handle=rule.get("handle", 0),
        owner=rule.get("owner", ""),
        policy_owner=policy_owner,
        rules=reached,
    )


def merged(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules of a chain; in a long one, those that differ only by sources are one.

    Programs that ban addresses have a rule for each.
    """
    if len(rules) <= _MANY:
        return list(rules)
    found = []
    for shape, group in itertools.groupby(rules, _shape):
        alike = list(group)
        found += [_merge(alike)] if len(alike) > 1 and shape else alike
    return found


def _shape(rule: Rule) -> Optional[dict[str, object]]:
    """Return what two rules have to have in common, None if a rule is not merged."""
    if "sources" not in rule or "negated" in rule or rule["verdict"] not in (ACCEPT, DROP):
        return None
    return {key: one for key, one in rule.items() if key not in ("sources", "text", "handle")}


def _merge(rules: Sequence[Rule]) -> Rule:
    sources = [one for rule in rules for one in rule["sources"]]
    text = f"{len(rules)} rules like {rules[0].get('text', '')}"[:LONGEST]
    merged_rule = Rule(**{**rules[0], "text": text, "handle": 0, "sources": sources})
    if len(sources) > _MOST_SOURCES:
        del merged_rule["sources"]
        merged_rule["partial"] = True
    return merged_rule


def _bounded(first: str, rules: Mapping[str, list[Rule]]) -> dict[str, list[Rule]]:
    """Return the chains that a chain reaches, with as many rules as a report can hold."""
    found: dict[str, list[Rule]] = {}
    waiting = [first]
    left = _MOST_RULES
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        kept = merged(rules.get(name, ()))
        if len(kept) > left:
            kept = [*kept[:left], Rule(verdict=UNKNOWN, text="further rules")]
        left = max(0, left - len(kept))
        found[name] = kept
        waiting += [one["target"] for one in kept if one["verdict"] in (JUMP, GOTO)]
    return found


def _drops(base: Base, rules: Mapping[str, list[Rule]]) -> tuple[str, Optional[Hit]]:
    """Return whether a base chain drops all or some packets, and the first rule that does."""
    first: Optional[Hit] = None
    for state in ("new", ""):
        for network in _ANY.get(base.family, ("0.0.0.0/0", "::/0")):
            for protocol in ("tcp", "udp"):
                packet = Packet(
                    network, network, protocol, state=state, local=_LOCAL.get(base.hook)
                )
                found = fate(rules, base.chain, base.policy, packet)
                hits = [*found.possible, *([found.dropped] if found.dropped else [])]
                for hit in hits:
                    if hit.unconditional and state:
                        return ALL, hit
                    first = first or hit
    return SOME, first
