# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays mutations one after the other, with the unbroken cluster before, between and after them."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from typing import Any

from .draw import draw
from .judge import Verdict, judge
from .mutation import Mutation
from .stage import Stage, StageError
from .tally import Tally
from .world import intact

UNBROKEN = "unbroken"
UNBROKEN_EVERY = 25


class Player:
    """Plays mutations on a stage and keeps what came of them."""

    def __init__(self, stage: Stage, rng: random.Random, kinds: Sequence[str]) -> None:
        self._stage = stage
        self._rng = rng
        self._kinds = kinds
        self.tally = Tally()
        self.failures: list[dict[str, Any]] = []

    def play(self, count: int) -> None:
        """Play so many mutations; raises StageError where the lab is not what it was any more."""
        try:
            self._play(count)
        except StageError as error:
            # Nothing more can be found out on it.
            self.tally.add(UNBROKEN, Verdict(missed=[str(error)]))
            raise

    def _play(self, count: int) -> None:
        self._unbroken()
        for number in range(1, count + 1):
            mutation = draw(self._rng, self._stage.cluster, self._kinds)
            start = time.monotonic()
            report: dict[str, Any] = {"checks": []}
            try:
                self._stage.break_(mutation)
                report = self._stage.validate(mutation)
                verdict = judge(report, mutation.world, mutation)
            except StageError as error:
                verdict = Verdict(missed=[str(error)])
            finally:
                self._stage.mend(mutation)
            self._note(f"{number:3}", mutation.kind, mutation.text, start, verdict)
            if not verdict.is_right:
                self._keep(number, mutation, verdict, report)
            if number % UNBROKEN_EVERY == 0 and number < count:
                self._unbroken()
        if count:
            self._unbroken()

    def _unbroken(self) -> None:
        self._stage.check_mended()
        start = time.monotonic()
        report = self._stage.validate()
        verdict = judge(report, intact(self._stage.cluster))
        self._note("   ", UNBROKEN, "the cluster as it was prepared", start, verdict)
        if not verdict.is_right:
            self._keep(0, None, verdict, report)

    def _note(self, number: str, kind: str, text: str, start: float, verdict: Verdict) -> None:
        self.tally.add(kind, verdict)
        word = "ok" if verdict.is_right else "WRONG"
        print(f"{number} {word:5} {time.monotonic() - start:5.1f} s  {kind}: {text}")
        for line in verdict.lines()[:10]:
            print(f"      {line}")
        sys.stdout.flush()

    def _keep(
        self, number: int, mutation: Mutation | None, verdict: Verdict, report: dict[str, Any]
    ) -> None:
        self.failures.append(
            {
                "number": number,
                "kind": mutation.kind if mutation else UNBROKEN,
                "text": mutation.text if mutation else "",
                "breaks": dict(mutation.breaks) if mutation else {},
                "verdict": verdict.lines(),
                "failed_checks": [check for check in report["checks"] if not check["ok"]],
            }
        )
