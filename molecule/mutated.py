# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A few mutations on a scenario's machines; tests/mutations has what they are and how to judge."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from mutations.draw import draw
from mutations.judge import judge
from mutations.mutation import Mutation
from mutations.stage import Stage, open_stage

COUNT = int(os.environ.get("K3S_TEST_MUTATIONS", "3"))
# The same ones each time, of many kinds, so that a change is judged by what it changes.
SEED = os.environ.get("K3S_TEST_SEED", "251")


@contextlib.contextmanager
def stage(mode: str) -> Iterator[Stage]:
    """Return the scenario's machines, prepared, and make sure that they are left as they were."""
    directory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
    with open_stage(directory / "inventory", directory / "ssh_config", mode) as opened:
        try:
            yield opened
        finally:
            opened.check_mended()


def drawn(opened: Stage, number: int) -> Mutation:
    """Return the mutation of that number, whose seed is its own, so that it can be repeated."""
    seed = f"{SEED} {opened.cluster.mode} {number}"
    mutation = draw(random.Random(seed), opened.cluster)
    print(f"K3S_TEST_SEED={SEED}, mutation {number}: {mutation.kind}, {mutation.text}")
    return mutation


def check(opened: Stage, mutation: Mutation, report) -> None:
    """Play a mutation with the fixture `report`, and compare what it returns with the truth."""
    try:
        opened.break_(mutation)
        opened.measure(mutation)
        _run, found = report(**opened.variables, **mutation.variables)
    finally:
        opened.mend(mutation)
    lines = judge(found, mutation.world, mutation).lines()
    if lines:
        pytest.fail("\n".join([mutation.text, *lines]), pytrace=False)
