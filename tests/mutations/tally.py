# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts by kind how many mutations were found, exactly named, and without a false alarm."""

from __future__ import annotations

from dataclasses import dataclass, field

from .judge import Verdict

HEAD = ("kind", "played", "found", "exact", "false alarms")


@dataclass
class Tally:
    """The verdicts so far, by kind."""

    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)

    def add(self, kind: str, verdict: Verdict) -> None:
        """Count a verdict."""
        self.verdicts.setdefault(kind, []).append(verdict)

    @property
    def failed(self) -> int:
        """How many reports were not right in everything."""
        return sum(not one.is_right for some in self.verdicts.values() for one in some)

    @property
    def passed(self) -> int:
        """How many reports were right."""
        return sum(map(len, self.verdicts.values())) - self.failed

    def lines(self) -> list[str]:
        """A table, and the sum as its last line."""
        rows: list[tuple[str, ...]] = [HEAD]
        for kind, verdicts in sorted(self.verdicts.items()):
            counts = (
                len(verdicts),
                sum(not one.missed for one in verdicts),
                sum(not one.missed and not one.inexact for one in verdicts),
                sum(bool(one.false_alarms) for one in verdicts),
            )
            rows.append((kind, *map(str, counts)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows
        ]
        return [*table, f"{self.passed} passed, {self.failed} failed"]
