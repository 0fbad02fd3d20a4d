# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Base chains in what iptables-save prints. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, Optional

from .chains import LONGEST, Base, Chain, chain_of
from .iptables_save import WORD, Table, parse
from .owners import FIREWALLD, is_kubernetes, owner_of
from .rules import ACCEPT, DROP, GOTO, JUMP, RETURN, UNKNOWN, Rule

_HOOKS = {
    name.upper(): name for name in ("input", "forward", "prerouting", "output", "postrouting")
}
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_VERDICTS = {
    **dict.fromkeys(("ACCEPT", "DNAT", "SNAT", "MASQUERADE", "NETMAP", "REDIRECT"), ACCEPT),
    **dict.fromkeys(("DROP", "REJECT", "STEAL", "TARPIT"), DROP),
    "TPROXY": ACCEPT,
    "RETURN": RETURN,
}
# Targets after which a packet goes on to the next rule.
_HARMLESS = frozenset(
    "AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED LOG MARK NFLOG"
    " NOTRACK RATEEST SECMARK SET TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ULOG".split()
)
_SYN = ["FIN,SYN,RST,ACK", "SYN"]
_INCOMPATIBLE = re.compile(r"# Table [`'](\w+)' (?:is|contains) incompatible")
_NUMBERS = {"6": "tcp", "17": "udp"}


class _Option(NamedTuple):
    """An option of a rule with its values."""

    name: str
    values: list[str]
    negated: bool


def incompatible(saved: str) -> set[str]:
    """Return the tables that iptables-save could not print, since nft made rules in them."""
    return set(_INCOMPATIBLE.findall(saved))


def tables(saved: str) -> set[str]:
    """Return the names of the tables that iptables-save printed in full."""
    return set(parse(saved)) - incompatible(saved)


def base_chains(saved: str, tool: str, family: str) -> Iterator[Chain]:
    """Yield the base chains that can drop packets, without the rules of firewalld and Kubernetes.

    C(tool) is the command that changes them; C(family) is C(ip) or C(ip6).
    """
    for name, table in parse(saved).items():
        if name in incompatible(saved):
            continue
        rules = _rules(table)
        for chain, policy in table.policies.items():
            if chain not in _HOOKS:
                continue
            base = Base(
                tool,
                family,
                name,
                chain,
                _HOOKS[chain],
                _PRIORITIES.get(name, 0),
                DROP if policy == "DROP" else ACCEPT,
            )
            found = chain_of(base, rules)
            if found is not None:
                yield found


def _rules(table: Table) -> dict[str, list[Rule]]:
    firewalld = table.firewalld_chains()
    rules: dict[str, list[Rule]] = defaultdict(list)
    for chain, lines in table.chains.items():
        direct = chain.endswith("_direct")
        if chain in firewalld and not direct:
            continue
        owner = FIREWALLD if chain in firewalld else owner_of(chain)
        for line in lines:
            if table.firewalld_makes(chain, line):
                if line.startswith("-j REJECT"):
                    # What firewalld admits has left the chain before.
                    rules[chain].append(Rule(verdict=ACCEPT, text=""))
                continue
            rule = read_rule(line, table.chains)
            if rule is None:
                continue
            target = rule.get("target", "")
            if is_kubernetes(target) or (target in firewalld and not target.endswith("_direct")):
                continue
            rule["text"] = f"-A {chain} {line}"[:LONGEST]
            if owner:
                rule["owner"] = owner
            rules[chain].append(rule)
    return rules


def read_rule(line: str, chains: Collection[str]) -> Optional[Rule]:
    """Return what a rule does, None if a packet goes on to the next one in any case.

    C(line) is the rule without C(-A CHAIN); C(chains) are those of the table.
    """
    rule = Rule()
    for option in _options(line):
        if option.name in ("-j", "-g"):
            target = option.values[0] if option.values else ""
            if target in chains:
                rule["verdict"], rule["target"] = JUMP if option.name == "-j" else GOTO, target
            elif target in _HARMLESS:
                return None
            else:
                rule["verdict"] = _VERDICTS.get(target, UNKNOWN)
            return rule
        _add(rule, option)
    return None


def _options(line: str) -> Iterator[_Option]:
    name, values, negated = "", list[str](), False
    no = False
    for word in WORD.findall(line):
        if word == "!":
            no = True
        elif word.startswith("-") and len(word) > 1:
            if name:
                yield _Option(name, values, negated)
            name, values, negated, no = word, [], no, False
        else:
            values.append(word.strip('"'))
    if name:
        yield _Option(name, values, negated)


def _add(rule: Rule, option: _Option) -> None:
    """Add a condition to a rule."""
    name, value = option.name, " ".join(option.values)
    if name in ("-m", "--comment"):
        return
    if name in ("-s", "-d"):
        _narrow(rule, {"-s": "sources", "-d": "destinations"}[name], _networks(value), option)
    elif name in ("-i", "-o"):
        pattern = f"{value[:-1]}*" if value.endswith("+") else value
        _narrow(rule, {"-i": "inputs", "-o": "outputs"}[name], [pattern], option)
    elif name == "-p":
        _narrow(rule, "protocols", [_NUMBERS.get(value, value)], option)
    elif name in ("--dport", "--dports"):
        _narrow(rule, "ports", _ports(value), option)
    elif name in ("--ctstate", "--state"):
        _narrow(rule, "states", value.lower().split(","), option)
    elif name == "--tcp-flags" and option.values == _SYN and not option.negated:
        _narrow(rule, "states", ["new"], option)
    elif name == "--dst-type" and value == "LOCAL":
        rule["local"] = not option.negated
    elif name == "--dst-type" and value in ("BROADCAST", "MULTICAST") and not option.negated:
        rule["local"], rule["partial"] = False, True
    elif name in ("--src-range", "--dst-range"):
        kind = "sources" if name == "--src-range" else "destinations"
        _narrow(rule, kind, _range(value), option)
    else:
        rule["partial"] = True


def _narrow(rule: Rule, name: str, values: Optional[Sequence[Any]], option: _Option) -> None:
    """Add a condition. One that is not understood, or a second one of a kind, is not evaluated."""
    if values is None or name in rule:
        rule["partial"] = True
        return
    rule[name] = values  # type: ignore[literal-required]
    if option.negated:
        rule["negated"] = [*rule.get("negated", ()), name]


def _networks(value: str) -> Optional[list[str]]:
    try:
        return [str(ipaddress.ip_network(value, strict=False))]
    except ValueError:
        # Such as a mask with holes.
        return None


def _range(value: str) -> Optional[list[str]]:
    try:
        first, last = (ipaddress.ip_address(one) for one in value.split("-"))
        return [str(one) for one in ipaddress.summarize_address_range(first, last)]
    except (TypeError, ValueError):
        return None


def _ports(value: str) -> Optional[list[list[int]]]:
    ranges = []
    for part in value.split(","):
        bounds = part.split(":")
        if len(bounds) > 2 or not all(one.isdecimal() for one in bounds):
            return None
        ranges.append([int(bounds[0]), int(bounds[-1])])
    return ranges
