# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads packet filters other than firewalld that can drop packets. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional, TypedDict

from .._packet_filter import iptables, nft
from .._packet_filter.chains import ALL, LONGEST, MOST_CHAINS, Chain
from .._packet_filter.owners import is_firewalld
from .._packet_filter.rules import UNKNOWN, Rule
from .commands import NOT_FOUND, RunCommand, find_program

# Characters; nft prints about 300 for each rule.
_LARGEST = 20_000_000
_MOST_RULES = 3000
_MOST_UNKNOWN = 10
_FAMILIES = {"ip": "iptables", "ip6": "ip6tables"}
_LEGACY_TABLES = {"ip": "/proc/net/ip_tables_names", "ip6": "/proc/net/ip6_tables_names"}
# What iptables -V prints of the variant that makes rules of nft.
_NFT_VARIANT = "nf_tables"


class PacketFilters(TypedDict):
    """What was found."""

    chains: list[Chain]
    """Base chains that can drop packets, at most MOST_CHAINS, those that drop all first."""
    unknown: list[str]
    """What could not be read, and why."""


def read_text(path: str) -> str:
    """Return a file's text, an empty one if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def read(run: RunCommand, read_file: Callable[[str], str] = read_text) -> PacketFilters:
    """Return the base chains that can drop packets to or from the host, or of pods.

    Those of firewalld and of Kubernetes are left out. fate() of _packet_filter/rules.py returns
    what becomes of a packet in such a chain.
    """
    return _Reader(run, read_file).read()


class _Reader:
    """Reads nft, iptables-nft and iptables-legacy; notes what it cannot read."""

    def __init__(self, run: RunCommand, read_file: Callable[[str], str]) -> None:
        self._run = run
        self._read_file = read_file
        self._unknown: list[str] = []

    def read(self) -> PacketFilters:
        """Return what is found."""
        entries = self._ruleset()
        chains: list[Chain] = []
        done: set[nft.Table] = set()
        for family, command in _FAMILIES.items():
            if entries is None or any(
                one == family for one, _table in nft.iptables_tables(entries)
            ):
                saved, tool = self._saved_by_nft_variant(command)
                chains += iptables.base_chains(saved, tool, family)
                done |= {(family, table) for table in iptables.tables(saved)}
            if self._read_file(_LEGACY_TABLES[family]).strip():
                saved, tool = self._saved_by_legacy_variant(command)
                chains += iptables.base_chains(saved, tool, family)
        if entries and any(nft.base_chains(entries, "", done)):
            listing = self._output(["nft", "-a", "list", "ruleset"]) or ""
            chains += nft.base_chains(entries, listing, done)
        if len(chains) > MOST_CHAINS:
            self._note(f"{len(chains) - MOST_CHAINS} more chains can drop packets")
        return {"chains": _bounded(chains), "unknown": self._unknown[-_MOST_UNKNOWN:]}

    def _ruleset(self) -> Optional[nft.Entries]:
        """Return what nft prints, None if it cannot be read.

        That is only the tables if all are firewalld's, which may have thousands of rules.
        """
        tables = self._listed("tables")
        if tables is None or all(is_firewalld(*table) for table in tables):
            return tables
        return self._listed("ruleset")

    def _listed(self, what: str) -> Optional[nft.Entries]:
        printed = self._output(["nft", "-j", "list", what])
        if printed is None:
            return None
        try:
            return nft.parse(printed)
        except nft.NftError as error:
            self._note(f"nft -j list {what} printed something that is not a ruleset: {error}")
            return None

    def _saved_by_nft_variant(self, command: str) -> tuple[str, str]:
        """Return what the variant for nft saves, and the command that changes it."""
        if find_program(f"{command}-nft-save"):
            return self._output([f"{command}-nft-save"]) or "", f"{command}-nft"
        if self._is_nft_variant(command):
            return self._output([f"{command}-save"]) or "", command
        return "", command

    def _saved_by_legacy_variant(self, command: str) -> tuple[str, str]:
        """Return what the legacy variant saves, and the command that changes it."""
        if find_program(f"{command}-legacy-save"):
            return self._output([f"{command}-legacy-save"]) or "", f"{command}-legacy"
        if find_program(f"{command}-save") and not self._is_nft_variant(command):
            return self._output([f"{command}-save"]) or "", command
        self._note(
            f"the kernel has tables of {command}-legacy, and there is no {command}-legacy-save to "
            "read them"
        )
        return "", command

    def _is_nft_variant(self, command: str) -> bool:
        path = find_program(f"{command}-save")
        return path is not None and _NFT_VARIANT in self._run([path, "-V"])[1]

    def _output(self, arguments: list[str]) -> Optional[str]:
        """Return what a command prints, None if it fails or prints too much."""
        shown = " ".join(arguments)
        path = find_program(arguments[0])
        code, out, err = self._run([path, *arguments[1:]]) if path else (NOT_FOUND, "", "")
        if code == NOT_FOUND:
            self._note(f"{arguments[0]} is not installed")
        elif code != 0:
            self._note(f"{shown} failed: {' '.join((err or out).split())}")
        elif len(out) > _LARGEST:
            self._note(f"{shown} printed {len(out)} characters, more than {_LARGEST}")
        else:
            return out
        return None

    def _note(self, text: str) -> None:
        self._unknown.append(text[:LONGEST])


def _bounded(chains: list[Chain]) -> list[Chain]:
    """Return the chains that a report can hold, without the rules of those beyond a limit."""
    chains.sort(key=lambda one: one["drops"] != ALL)
    kept = chains[:MOST_CHAINS]
    left = _MOST_RULES
    for chain in kept:
        left -= sum(map(len, chain["rules"].values()))
        if left < 0:
            chain["rules"] = {chain["chain"]: [Rule(verdict=UNKNOWN, text="further rules")]}
    return kept
