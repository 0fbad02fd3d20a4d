# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.edgeops.k3s_network.tests.mutations.player import UNBROKEN, Player
from ansible_collections.edgeops.k3s_network.tests.mutations.stage import StageError
from ansible_collections.edgeops.k3s_network.tests.mutations.world import intact
from ansible_collections.edgeops.k3s_network.tests.unit.mutations.clusters import (
    SHARED_CLUSTER,
    truthful,
)


class FakeStage:
    """A lab whose validation tells the truth, but for the mutations of these numbers."""

    cluster = SHARED_CLUSTER

    def __init__(self, blind=(), silent=(), unmendable=()):
        self.broken = []
        self.mended = []
        self._blind, self._silent, self._unmendable = blind, silent, unmendable

    def break_(self, mutation):
        self.broken.append(mutation)

    def mend(self, mutation):
        self.mended.append(mutation)
        if len(self.broken) in self._unmendable:
            raise StageError("it stays broken")

    def check_mended(self):
        assert self.broken == self.mended

    def validate(self, mutation=None):
        if mutation is None or len(self.broken) in self._blind:
            return truthful(intact(self.cluster))
        if len(self.broken) in self._silent:
            raise StageError("no report")
        return truthful(mutation.world)


def play(stage, count):
    player = Player(stage, random.Random(1), ["drop"])
    player.play(count)
    return player


def test_every_mutation_is_mended_and_counted_and_the_unbroken_cluster_between():
    stage = FakeStage()
    player = play(stage, 26)
    assert len(stage.broken) == 26
    assert stage.mended == stage.broken
    assert len(player.tally.verdicts[UNBROKEN]) == 3
    assert (player.tally.passed, player.tally.failed) == (29, 0)
    assert player.failures == []


def test_what_was_missed_is_kept_with_what_broke_it():
    player = play(FakeStage(blind=[2]), 3)
    assert player.tally.failed == 1
    (failure,) = player.failures
    assert (failure["number"], failure["kind"]) == (2, "drop")
    assert failure["breaks"]
    assert failure["verdict"][0].startswith("missed: ")


def test_validation_without_a_report_has_missed_the_mutation_and_the_next_one_is_played():
    stage = FakeStage(silent=[1])
    player = play(stage, 2)
    assert player.tally.failed == 1
    assert player.failures[0]["verdict"] == ["missed: no report"]
    assert stage.mended == stage.broken


def test_lab_that_stays_broken_ends_it_and_is_no_success():
    stage = FakeStage(unmendable=[1])
    player = Player(stage, random.Random(1), ["drop"])
    with pytest.raises(StageError):
        player.play(3)
    assert len(stage.broken) == 1
    assert player.tally.failed == 1


def test_interrupted_run_mends_what_it_has_broken(monkeypatch):
    stage = FakeStage()

    def interrupt(mutation=None):
        if mutation is not None:
            raise SystemExit(1)
        return truthful(intact(stage.cluster))

    monkeypatch.setattr(stage, "validate", interrupt)
    with pytest.raises(SystemExit):
        play(stage, 3)
    assert stage.mended == stage.broken
    assert len(stage.broken) == 1
