# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network is broken at random; validate names exactly that. `make mutations` plays more."""

from __future__ import annotations

import mutated
import pytest
import topology


@pytest.fixture(scope="module")
def stage():
    with mutated.stage(topology.MODE) as opened:
        yield opened


@pytest.mark.parametrize("number", range(mutated.COUNT))
def test_mutation_is_found_and_exactly_named(stage, report, number):
    mutated.check(stage, mutated.drawn(stage, number), report)
