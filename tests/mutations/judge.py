# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a report with the truth, port by port and pair by pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cluster import Packet
from .firewall import ACCEPT
from .mutation import Mutation
from .outcome import LEVELS, Finding
from .table import SMALL
from .world import World, intact

# Of a sample, the report states the share that was probed.
SHARE = re.compile(r"\b\d+ of [\d,]+ ports")


@dataclass
class Verdict:
    """Where a report is wrong, each in a sentence."""

    missed: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether the report says everything that is true and nothing else."""
        return not (self.missed or self.inexact or self.false_alarms)

    def lines(self) -> list[str]:
        """All of it, for people."""
        return [
            *(f"missed: {one}" for one in self.missed),
            *(f"inexact: {one}" for one in self.inexact),
            *(f"false alarm: {one}" for one in self.false_alarms),
        ]


def judge(report: Mapping[str, Any], world: World, mutation: Mutation | None = None) -> Verdict:
    """Compare a report with a world; `mutation` is what has made it that way."""
    verdict = Verdict()
    is_full = mutation is not None and mutation.is_full
    told: set[Packet] = set()
    for check in report["checks"]:
        packets = list(_packets(check, is_full))
        told.update(packets)
        _judge_check(check, packets, world, verdict)
        if _is_sampled(check, is_full) and not SHARE.search(check["detail"]):
            verdict.inexact.append(f"{_name(check)}: says not how many ports were probed")
    silent = [packet for packet in world.cluster.packets(is_full) if packet not in told]
    verdict.missed += [f"no word of {_text(packet)}" for packet in silent]
    _judge_findings(report["findings"], world, verdict)
    failed = any(not check["ok"] for check in report["checks"]) or any(
        finding["level"] == "error" for finding in report["findings"]
    )
    if report["ok"] == failed:
        verdict.inexact.append(
            f"the report says ok: {report['ok']}, its checks and findings say otherwise"
        )
    return verdict


def _judge_findings(findings: Iterable[Mapping[str, Any]], world: World, verdict: Verdict) -> None:
    """Compare findings of level error or warning with those that are true."""
    told: set[Finding] = set()
    for finding in findings:
        if finding["level"] not in LEVELS:
            continue
        for host in finding["hosts"] or [""]:
            true = [one for one in world.findings if one.is_told_by(finding, host)]
            told.update(true)
            if not true:
                text = f"{finding['level']} of {host}: {finding['cause']}; {finding['remedy']}"
                verdict.false_alarms.append(f"finding: {text}")
    verdict.missed += [f"no finding: {one}" for one in world.findings if one not in told]


def _packets(check: Mapping[str, Any], is_full: bool) -> Iterable[Packet]:
    """Yield the packets that a check speaks of for certain."""
    first, _dash, last = str(check["port"]).partition("-")
    ports: Iterable[int] = range(int(first), int(last or first) + 1)
    if _is_sampled(check, is_full):
        ports = (int(first), int(last))
    for port in ports:
        yield Packet(
            check["source"], check["destination"], check["address"], check["protocol"], port
        )


def _is_sampled(check: Mapping[str, Any], is_full: bool) -> bool:
    first, _dash, last = str(check["port"]).partition("-")
    whole = is_full and check["expected"] == "open"
    return not whole and int(last or first) - int(first) >= SMALL


def _judge_check(
    check: Mapping[str, Any], packets: Iterable[Packet], world: World, verdict: Verdict
) -> None:
    """Judge a check by all its packets, and say of each kind of mistake one."""
    name = _name(check)
    for packet in packets:
        outcome = world.outcome(packet)
        if outcome is None:
            continue
        expected = "open" if intact(world.cluster).action(packet) == ACCEPT else "closed"
        should_be_ok = (expected == "open") == ("open" in outcome.observed)
        if check["ok"] and not should_be_ok:
            verdict.missed.append(f"{name}; port {packet.port} is {_either(outcome.observed)}")
        elif should_be_ok and not check["ok"]:
            verdict.false_alarms.append(f"{name}; port {packet.port}")
        elif check["observed"] not in outcome.observed or check["expected"] != expected:
            verdict.inexact.append(
                f"{name}; port {packet.port} is {_either(outcome.observed)}, expected {expected}"
            )
        elif not check["ok"] and not outcome.cause.is_in(check["detail"]):
            verdict.inexact.append(f"{name}; it does not name {outcome.cause}")
        else:
            continue
        return


def _name(check: Mapping[str, Any]) -> str:
    return (
        f"{check['source']} -> {check['destination']} {check['port']}/{check['protocol']} is "
        f"{check['observed']}, ok {check['ok']}, {check['detail']!r}"
    )


def _either(observed: frozenset[str]) -> str:
    return " or ".join(sorted(observed))


def _text(packet: Packet) -> str:
    return (
        f"{packet.source} -> {packet.destination} ({packet.address}) "
        f"{packet.port}/{packet.protocol}"
    )
