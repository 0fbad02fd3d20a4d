# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What iptables-save prints: tables with their chains, and which chains are firewalld's. Pure.

With its iptables backend, firewalld has its rules among those of other programs. A chain is
firewalld's if its name is one of the fixed ones, or if it is IN_NAME, FWD_NAME or the like and the
table has all five of the chains that firewalld makes with such a one, IN_NAME_pre to IN_NAME_post.
So are the chains by which firewalld 2.5 gets from a zone to a zone, some of which have random
names: only chains of firewalld jump to them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

# build_default_rules() and build_rfc3964_ipv4_rules() of firewalld 0.9 to 2.5.
_DISPATCH = re.compile(
    r"(?:INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)_"
    r"(?:direct|dispatch|dnat|POLICIES(?:_pre|_post)?|(?:IN_|OUT_)?ZONES(?:_SOURCE)?)"
    r"|RFC3964_IPv4"
)
# policy_base_chain_name() and build_policy_chain_rules().
_BASE = re.compile(r"(?:IN|OUT|FWD[IO]?|PRE|POST)_.+")
_PARTS = ("_pre", "_log", "_deny", "_allow", "_post")
# _zone_dispatch_chain_name() and get_unique_chain_name() of 2.5.
_BETWEEN_ZONES = re.compile(
    r"(?:IN|OUT|FWD|PRE|POST)_.+_(?:dispatch(?:_stage2)?|to_.+)|[A-Za-z0-9]{28}"
)
# build_default_rules() and build_rpfilter_rules(), as iptables-save prints them; the latter's moved
# from raw to mangle.
_ACCEPT = r"-m conntrack --ctstate RELATED,ESTABLISHED(?:,DNAT)? -j ACCEPT"
_LOG = r"(?:-m pkttype --pkt-type \w+ )?-j LOG --log-prefix"
_INCOMING = re.compile(
    _ACCEPT + r"|-i lo -j ACCEPT"
    r"|-m conntrack --ctstate INVALID -j DROP"
    r"|-j REJECT --reject-with (?:icmp-host-prohibited|icmp6-adm-prohibited)"
    rf'|-m conntrack --ctstate INVALID {_LOG} "STATE_INVALID_DROP: "|{_LOG} "FINAL_REJECT: "'
)
_REVERSE_PATH = re.compile(
    r"-p ipv6-icmp -m icmp6 --icmpv6-type (?:134|135) -j ACCEPT"
    r"|-m rpfilter(?: --loose)?(?: --validmark)? --invert"
    r' -j (?:DROP|LOG --log-prefix "rpfilter_DROP: ")'
)
_STATIC = {
    ("filter", "INPUT"): _INCOMING,
    ("filter", "FORWARD"): _INCOMING,
    ("filter", "OUTPUT"): re.compile(_ACCEPT + r"|-o lo -j ACCEPT"),
    ("raw", "PREROUTING"): _REVERSE_PATH,
    ("mangle", "PREROUTING"): _REVERSE_PATH,
}

_COUNTERS = re.compile(r"^\[\d+:\d+\] *")
WORD = re.compile(r'"(?:\\.|[^"\\])*"|\S+')


@dataclass
class Table:
    """A table: the rules of each chain, without C(-A CHAIN), and the policies of base chains."""

    name: str
    chains: dict[str, list[str]] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)

    @property
    def builtin(self) -> set[str]:
        """The names of the base chains, which the kernel calls."""
        return set(self.policies)

    def firewalld_chains(self) -> set[str]:
        """Return the names of firewalld's own chains."""
        found = set()
        for name in self.chains:
            if _DISPATCH.fullmatch(name):
                found.add(name)
            elif _BASE.fullmatch(name):
                parts = {name + part for part in _PARTS}
                if parts <= self.chains.keys():
                    found |= {name, *parts}
        if any(name.endswith("_dispatch") for name in found):
            found |= self._between_zones(found)
        return found

    def _between_zones(self, known: set[str]) -> set[str]:
        """Return the chains by which firewalld gets to the known ones of its chains."""
        jumps: dict[str, set[str]] = defaultdict(set)
        for name, rules in self.chains.items():
            for rule in rules:
                jumps[target(rule)].add(name)
        # What a user wants is in CHAIN_direct.
        inside = {name for name in known if not name.endswith("_direct")}
        candidates = {name for name in self.chains if _BETWEEN_ZONES.fullmatch(name)} - known
        found: set[str] = set()
        while True:
            new = {name for name in candidates if jumps[name] and jumps[name] <= inside | found}
            if new <= found:
                return found
            found |= new

    def firewalld_makes(self, chain: str, rule: str) -> bool:
        """Whether firewalld has put such a rule, one of it, into a built-in chain."""
        static = _STATIC.get((self.name, chain))
        return bool(static and f"{chain}_direct" in self.chains and static.fullmatch(rule))


def target(rule: str) -> str:
    """Return the chain or target that a rule jumps or goes to, or an empty text."""
    words = WORD.findall(rule)
    for option, value in zip(words[-2::-1], words[:0:-1]):
        if option in ("-j", "-g", "--jump", "--goto"):
            return str(value)
    return ""


def parse(saved: str) -> dict[str, Table]:
    """Return the tables that iptables-save printed, by their names."""
    tables: dict[str, Table] = {}
    table = Table("")
    for line in saved.splitlines():
        text = _COUNTERS.sub("", line.strip())
        if text.startswith("*"):
            table = tables.setdefault(text[1:], Table(text[1:]))
        elif text.startswith(":"):
            chain, policy = text[1:].split()[:2]
            table.chains.setdefault(chain, [])
            if policy != "-":
                table.policies[chain] = policy
        elif text.startswith("-A "):
            chain, _blank, rule = text[3:].partition(" ")
            table.chains.setdefault(chain, []).append(rule)
    return tables
