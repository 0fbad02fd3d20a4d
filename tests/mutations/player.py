# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays mutations one after the other, with the unbroken cluster before, between and after them."""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .direct import DirectValidation
from .draw import CHANGE_ADDRESSES, draw
from .healthy import BESIDE, CONFIGURATIONS, beside
from .judge import Verdict, judge
from .mutation import Mutation
from .stage import Stage, StageError
from .tally import Tally
from .world import intact

UNBROKEN = "unbroken"
UNBROKEN_EVERY = 25
REMEDY_EVERY = 3
"""Of mutations that a report names a remedy for that restores everything."""
BESIDE_SHARE = 0.25
"""How many mutations are played beside configuration of other software."""
PLAYBOOK_EVERY = 10
"""Of mutations that DirectValidation can validate."""


class Player:
    """Plays mutations on a stage and keeps what came of them."""

    def __init__(
        self,
        stage: Stage,
        rng: random.Random,
        kinds: Sequence[str],
        direct: DirectValidation | None = None,
    ) -> None:
        """C(direct) validates most of the runs if it is given, and the playbook the others."""
        self._stage = stage
        self._direct = direct
        self._rng = rng
        self._kinds = kinds
        self._mendable = 0
        self.tally = Tally()
        self.failures: list[dict[str, Any]] = []

    def play(self, count: int, healthy: int = 0) -> None:
        """Play so many mutations, and the unbroken cluster so many times.

        Raises StageError if the lab is not what it was any more.
        """
        try:
            self._play(count)
            self._play_healthy(healthy)
        except StageError as error:
            # Nothing more can be found out on it.
            self.tally.add(UNBROKEN, Verdict(missed=[str(error)]))
            raise

    def _play(self, count: int) -> None:
        self._unbroken()
        for number in range(1, count + 1):
            mutation = draw(self._rng, self._stage.cluster, self._kinds)
            if self._rng.random() < BESIDE_SHARE:
                configuration = self._rng.choice(BESIDE)
                mutation = beside(mutation, configuration(intact(self._stage.cluster)))
            self._mutation(number, mutation)
            if number % UNBROKEN_EVERY == 0 and number < count:
                self._unbroken()
        if count:
            self._unbroken()

    def _play_healthy(self, count: int) -> None:
        """Play the unbroken cluster, each second time with configuration of other software."""
        configurations = itertools.cycle(self._rng.sample(CONFIGURATIONS, len(CONFIGURATIONS)))
        for number in range(count):
            if number % 2:
                self._unbroken()
            else:
                self._mutation(number, next(configurations)(intact(self._stage.cluster)))
        if count:
            self._unbroken()

    def _mutation(self, number: int, mutation: Mutation) -> None:
        start = time.monotonic()
        report: dict[str, Any] = {"checks": [], "findings": []}
        try:
            self._stage.break_(mutation)
            self._stage.measure(mutation)
            report = self._validate(number, mutation)
            verdict = judge(report, mutation.world, mutation)
            if mutation.remedy is not None and verdict.is_right:
                self._mendable += 1
                if self._mendable % REMEDY_EVERY == 0:
                    mutation = replace(mutation, text=f"{mutation.text}; then the remedy")
                    self._stage.follow(mutation, report)
        except StageError as error:
            verdict = Verdict(missed=[str(error)])
        finally:
            self._stage.mend(mutation)
        self._note(f"{number:3}", mutation.kind, mutation.text, start, verdict)
        if not verdict.is_right:
            self._keep(number, mutation, verdict, report)

    def _validate(self, number: int, mutation: Mutation) -> dict[str, Any]:
        by_playbook = (
            number % PLAYBOOK_EVERY == 0
            or mutation.harmless
            or mutation.fresh_connections
            or mutation.kind in CHANGE_ADDRESSES
        )
        if self._direct is None or by_playbook:
            return self._stage.validate(mutation)
        return self._direct.report(self._seed(), "full" if mutation.is_full else "sample")

    def _seed(self) -> str:
        return str(self._rng.randrange(10**6))

    def _unbroken(self) -> None:
        self._stage.check_mended()
        start = time.monotonic()
        report = self._direct.report(self._seed()) if self._direct else self._stage.validate()
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
                "findings": report["findings"],
            }
        )
