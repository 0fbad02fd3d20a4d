# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reload of firewalld has flushed of other programs' iptables rules. Pure functions.

Before 2.0, or with its iptables backend, or with direct rules, a reload of firewalld flushes every
table of iptables (firewalld#863). These functions compare the output of C(iptables-save) before and
after, and give back what is missing as input for C(iptables-restore --noflush).

What is firewalld's own is not brought back: the reload makes it anew and may have changed it on
purpose. A chain is firewalld's where its name is one of the fixed ones, or where it is IN_NAME,
FWD_NAME or the like and the table has all five of the chains that firewalld makes with such a one,
IN_NAME_pre to IN_NAME_post. So are the chains by which firewalld 2.5 gets from a zone to a zone,
some of which have random names: nothing but firewalld's chains jumps to them. A rule is firewalld's
where it stands in such a chain; where it stands in a built-in chain and jumps to one; and where it
is one of the few that firewalld puts into that built-in chain, spelled in full, if firewalld's
CHAIN_direct stands beside it (so not with the nftables backend). Of the few it makes one each, so a
second one is somebody else's.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Optional

_KUBERNETES = re.compile(r"(?:KUBE|CNI|FLANNEL)-")

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
_WORD = re.compile(r'"(?:\\.|[^"\\])*"|\S+')


@dataclass
class _Table:
    """A table: the rules of each chain, without C(-A CHAIN), and which chains are built in."""

    name: str
    chains: dict[str, list[str]] = field(default_factory=dict)
    builtin: set[str] = field(default_factory=set)

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
                jumps[_target(rule)].add(name)
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


def kubernetes_chains(saved: str) -> list[str]:
    """Return the names of the chains that a running K3s keeps: kube-proxy's, CNI's, Flannel's."""
    names = {name for table in _parse(saved).values() for name in table.chains}
    return sorted(name for name in names if _KUBERNETES.match(name))


def missing(before: str, after: str) -> str:
    """Return input for C(iptables-restore --noflush) that brings back what is missing in C(after).

    A rule comes back right behind the rule that it stood behind and that is still there. Where
    nothing is missing the text is empty.
    """
    tables_after = _parse(after)
    lines = []
    for name, table in _parse(before).items():
        found = list(_missing_of_table(table, tables_after.get(name, _Table(name))))
        if found:
            lines += [f"*{name}", *found, "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _missing_of_table(before: _Table, after: _Table) -> Iterator[str]:
    own = before.firewalld_chains()
    gone = {
        chain
        for chain in before.chains
        if chain not in after.chains and chain not in before.builtin and chain not in own
    }
    # A declaration empties a chain that is there, so only those that are not get one.
    for chain in before.chains:
        if chain in gone:
            yield f":{chain} - [0:0]"
    # What jumps to a chain that firewalld has made no more can't come back.
    dead = own - after.chains.keys()
    for chain, rules in before.chains.items():
        if chain in own:
            continue
        avoided = own if chain in before.builtin else dead
        if chain in gone:
            for rule in rules:
                if _target(rule) not in avoided:
                    yield f"-A {chain} {rule}".rstrip()
            continue
        rules_after = after.chains.get(chain, [])
        count = _missing_count(chain, before, after, avoided)
        # Each insertion moves what stands behind it, so a place is counted in the chain as it is
        # by then: all rules in front are in it already.
        place = 1
        inserted = 0
        for rule, survivor in zip(rules, _survivors(rules, rules_after)):
            if survivor is not None:
                place = survivor + inserted + 2
            elif count[rule] > 0:
                count[rule] -= 1
                yield f"-I {chain} {place} {rule}".rstrip()
                place += 1
                inserted += 1


def _missing_count(
    chain: str, before: _Table, after: _Table, avoided: Collection[str]
) -> Counter[str]:
    """Return how many of each rule are missing that are not firewalld's."""
    there = Counter(after.chains.get(chain, ()))
    count: Counter[str] = Counter()
    for rule, number in Counter(before.chains[chain]).items():
        if _target(rule) in avoided:
            continue
        still = there[rule] - after.firewalld_makes(chain, rule)
        count[rule] = number - before.firewalld_makes(chain, rule) - max(still, 0)
    return count


def _survivors(before: Sequence[str], after: Sequence[str]) -> list[Optional[int]]:
    """Return for each rule of C(before) the index in C(after) at which it still stands, or None.

    The indices rise: it is a longest common subsequence (Hunt and Szymanski), quick even for the
    thousands of rules of kube-proxy since hardly any is like another.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for index in reversed(range(len(after))):
        places[after[index]].append(index)
    # For each length the sequence of it that ends first: where, and its last link. A link is a pair
    # of indices with the number of the link before it.
    ends: list[int] = []
    last: list[int] = []
    links: list[tuple[int, int, int]] = []
    for number, rule in enumerate(before):
        for index in places[rule]:
            length = bisect_left(ends, index)
            if length == len(ends):
                ends.append(index)
                last.append(-1)
            ends[length] = index
            last[length] = len(links)
            links.append((number, index, last[length - 1] if length else -1))
    found: list[Optional[int]] = [None] * len(before)
    link = last[-1] if last else -1
    while link >= 0:
        number, index, link = links[link]
        found[number] = index
    return found


def _target(rule: str) -> str:
    """Return the chain or target that a rule jumps or goes to, or an empty text."""
    words = _WORD.findall(rule)
    for option, value in zip(words[-2::-1], words[:0:-1]):
        if option in ("-j", "-g", "--jump", "--goto"):
            return str(value)
    return ""


def _parse(saved: str) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    table = _Table("")
    for line in saved.splitlines():
        text = _COUNTERS.sub("", line.strip())
        if text.startswith("*"):
            table = tables.setdefault(text[1:], _Table(text[1:]))
        elif text.startswith(":"):
            chain, policy = text[1:].split()[:2]
            table.chains.setdefault(chain, [])
            if policy != "-":
                table.builtin.add(chain)
        elif text.startswith("-A "):
            chain, _blank, rule = text[3:].partition(" ")
            table.chains.setdefault(chain, []).append(rule)
    return tables
