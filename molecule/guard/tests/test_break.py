# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All or nothing: a run that is broken at any of its steps leaves the old state or the new one.

The runs are those of the module, on the node, without Ansible around them: break_at.py.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass

import pytest
from module_run import ABSENT, NODES, PLAIN, SEGREGATED, Node, shared

# What a run that was killed before its first change has got ready; the next run removes it.
GUARDS_FILES = ("checkpoint.json", "rollback.pyz", ".k3s-reserve", ".k3s-new")


@dataclass(frozen=True)
class Case:
    """From a state to another, on a node of its own so that the cases run side by side."""

    node: str
    before: object
    after: object


CASES = {
    "first": Case("server1", ABSENT, shared()),
    "segregated": Case("server2", ABSENT, SEGREGATED),
    "removed": Case("agent1", SEGREGATED, ABSENT),
    "grown": Case("server1", shared(), shared([*NODES, "192.0.2.13"], ["6443", "10250"])),
    "plain": Case("server2", shared(), PLAIN),
    "back": Case("agent1", PLAIN, ABSENT),
}


# Every so many-th step of a run, others on each suite; 1 breaks it at each of them.
SUITE = os.environ["K3S_LAB_SUITE"]
STRIDE = int(os.environ.get("K3S_TEST_STRIDE", "3" if SUITE == "bookworm" else "6"))
OFFSET = ("bookworm", "bullseye", "trixie", "sid").index(SUITE) % STRIDE


def in_force(snapshot):
    """Return what a snapshot says of the firewall itself."""
    return [line for line in snapshot if not any(name in line for name in GUARDS_FILES)]


def break_everywhere(node, case, problems, do="", stride=STRIDE):
    """Break the run of a case at so many of its steps, and note what is wrong after it."""
    node.bring_to(ABSENT)
    node.bring_to(case.before)
    old = node.snapshot()
    whole = node.bring_to(case.after)
    assert whole["changed"], whole
    new = node.snapshot()
    assert new != old
    node.bring_to(case.before)
    assert node.snapshot() == old
    steps = whole["steps"]
    # What comes before is reading.
    opening = ("os.mkdir", "open /var/lib/k3s-network/")
    first = next(number for number, step in enumerate(steps, 1) if step.startswith(opening))
    for number in range(first + OFFSET, len(steps) + 1, stride):
        told = node.bring_to(case.after, number, do)
        node.settle()
        now = node.snapshot()
        if in_force(now) not in (old, new):
            problems.append((number, steps[number - 1], told, sorted({*now} ^ {*old})))
        if told is not None and "failed" not in told and now != new:
            problems.append((number, steps[number - 1], "said to be done", told))
        again = node.bring_to(case.after) if (number - first) // stride % 5 == 0 else None
        if again is not None and node.snapshot() != new:
            problems.append((number, steps[number - 1], "the next run did not converge", again))
        if now != old or again is not None:
            node.bring_to(case.before)
            now = node.snapshot()
            if now != old:
                problems.append((number, steps[number - 1], "no way back", sorted({*now} ^ {*old})))
    node.bring_to(ABSENT)


def assert_all_or_nothing(names, **how):
    problems = {name: [] for name in names}
    threads = [
        threading.Thread(target=guarded, args=(CASES[name], problems[name]), kwargs=how)
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {name: some for name, some in problems.items() if some}
    assert not found, json.dumps(found, indent=1)


def guarded(case, problems, **how):
    try:
        with Node.reached_once(case.node) as node:
            break_everywhere(node, case, problems, **how)
    except Exception as error:  # A thread's error would be lost.
        problems.append(repr(error))


def test_killed_at_its_steps():
    assert_all_or_nothing(["first", "segregated", "removed"])


@pytest.mark.thorough
def test_killed_at_the_steps_of_a_later_change():
    assert_all_or_nothing(["grown", "plain", "back"])


@pytest.mark.thorough
def test_firewalld_is_started_again_at_its_steps():
    # Each start takes a second, so it is half as many steps.
    stride = 1 if STRIDE == 1 else 2 * STRIDE
    restart = "systemctl restart firewalld"
    assert_all_or_nothing(["first", "segregated", "removed"], do=restart, stride=stride)
