# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reload of firewalld has flushed of other programs' iptables rules. Pure functions.

Before 2.0, or with its iptables backend, or with direct rules, a reload of firewalld flushes every
table of iptables (firewalld#863). These functions compare the output of C(iptables-save) before and
after, and give back what is missing as input for C(iptables-restore --noflush).

What is firewalld's own is not brought back: the reload makes it anew and may have changed it on
purpose. Which chains are firewalld's is in _packet_filter/iptables_save.py. A rule is firewalld's
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
from typing import Optional

from .._packet_filter.iptables_save import Table, parse, target

_KUBERNETES = re.compile(r"(?:KUBE|CNI|FLANNEL)-")


def kubernetes_chains(saved: str) -> list[str]:
    """Return the names of the chains that a running K3s keeps: kube-proxy's, CNI's, Flannel's."""
    names = {name for table in parse(saved).values() for name in table.chains}
    return sorted(name for name in names if _KUBERNETES.match(name))


def missing(before: str, after: str) -> str:
    """Return input for C(iptables-restore --noflush) that brings back what is missing in C(after).

    A rule comes back right behind the rule that it stood behind and that is still there. Where
    nothing is missing the text is empty.
    """
    tables_after = parse(after)
    lines = []
    for name, table in parse(before).items():
        found = list(_missing_of_table(table, tables_after.get(name, Table(name))))
        if found:
            lines += [f"*{name}", *found, "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _missing_of_table(before: Table, after: Table) -> Iterator[str]:
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
                if target(rule) not in avoided:
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
    chain: str, before: Table, after: Table, avoided: Collection[str]
) -> Counter[str]:
    """Return how many of each rule are missing that are not firewalld's."""
    there = Counter(after.chains.get(chain, ()))
    count: Counter[str] = Counter()
    for rule, number in Counter(before.chains[chain]).items():
        if target(rule) in avoided:
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
