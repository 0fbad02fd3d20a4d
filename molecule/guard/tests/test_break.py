# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All or nothing: a run that is broken at any of its steps leaves the old state or the new one.

The runs are those of the module, on the node, without Ansible around them.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from module_run import ABSENT, NODES, PLAIN, SEGREGATED, Node, shared, some_of_each_kind

# What a run that was killed before its first change has got ready; the next run removes it.
GUARDS_FILES = ("checkpoint.json", "rollback.pyz", ".k3s-reserve", ".k3s-new")


@dataclass(frozen=True)
class Case:
    """From a state to another, on a node of its own so that the cases run side by side."""

    node: str
    before: object
    after: object
    which: tuple[int, ...] = (0, -1)
    """Which of the steps of a kind to break at: the first and the last one."""
    guard: bool = False
    """Whether to break it also while it makes and removes the files of the guard."""


# The way to the segregated state takes the same kinds of steps as the way back, and slow ones.
CASES = {
    "first": Case("server1", ABSENT, shared(), guard=True),
    "segregated": Case("server2", ABSENT, SEGREGATED, which=(0,)),
    "removed": Case("agent1", SEGREGATED, ABSENT, which=(-1,)),
    "grown": Case("server1", shared(), shared([*NODES, "192.0.2.13"], ["6443", "10250"])),
    "plain": Case("server2", shared(), PLAIN),
    "back": Case("agent1", PLAIN, ABSENT),
}


def in_force(snapshot):
    """Return what a snapshot says of the firewall itself."""
    return [line for line in snapshot if not any(name in line for name in GUARDS_FILES)]


def steps_to_break(case, steps):
    """Return the numbers of the steps at which to break a run: some of each kind.

    Before and after the change itself, a run makes and removes the files of its guard. The same
    code does that whatever the change is, so it is broken there in one case only.
    """
    started = index(steps, "run ['systemd-run'")
    final = index(steps, "os.remove /var/lib/k3s-network/checkpoint.json", started)
    if case.guard:
        first = index(steps, "os.mkdir /var/lib/k3s-network")
        return some_of_each_kind(steps, first, len(steps), case.which)
    # What is killed before it writes a file is what was killed after the step before.
    return [
        number
        for number in some_of_each_kind(steps, started + 1, final + 1, case.which)
        if not steps[number - 1].endswith(".k3s-new") or not steps[number - 1].startswith("open")
    ]


def restart_steps(_case, steps):
    """Return the numbers of a few steps, since firewalld takes a second to start.

    They are after the guardian has started, between changes of the permanent configuration, of
    NetworkManager's profiles, and of the runtime.
    """
    started = index(steps, "run ['systemd-run'")
    kinds = ("after addPolicy", "after remove", "after reload", "run ['/usr/bin/nmcli'")
    return [
        started + 1,
        *(
            number
            for number in some_of_each_kind(steps, started + 1, len(steps), (-1,))
            if steps[number - 1].startswith(kinds)
        ),
    ]


def index(steps, start, first=1):
    """Return the number of the first step with this start; they count from 1."""
    return next(n for n in range(first, len(steps) + 1) if steps[n - 1].startswith(start))


def break_at_steps(node, case, problems, do="", choose=steps_to_break):
    """Break the run of a case at its steps, and note what is wrong after it."""
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
    chosen = choose(case, steps)
    for count, number in enumerate(chosen, 1):
        name = steps[number - 1]
        told = node.bring_to(case.after, number, do)
        node.settle()
        now = node.snapshot()
        if not do and told is not None:
            problems.append((number, name, "was not killed", told))
        if in_force(now) not in (old, new):
            problems.append((number, name, told, sorted({*now} ^ {*old})))
        if told is not None and "failed" not in told and now != new:
            problems.append((number, name, "said to be done", told))
        again = node.bring_to(case.after) if count % 5 == 0 or number == chosen[-1] else None
        if again is not None and node.snapshot() != new:
            problems.append((number, name, "the next run did not converge", again))
        if now != old or again is not None:
            node.bring_to(case.before)
            now = node.snapshot()
            if now != old:
                problems.append((number, name, "no way back", sorted({*now} ^ {*old})))
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
        break_at_steps(Node(case.node), case, problems, **how)
    except Exception as error:  # A thread's error would be lost.
        problems.append(repr(error))


def test_run_killed_at_its_steps_leaves_old_or_new_state():
    assert_all_or_nothing(["first", "segregated", "removed"])


def test_later_run_killed_at_its_steps_leaves_old_or_new_state():
    assert_all_or_nothing(["grown", "plain", "back"])


def test_firewalld_restarted_at_its_steps_leaves_old_or_new_state():
    names = ["first", "segregated", "removed"]
    assert_all_or_nothing(names, do="systemctl restart firewalld", choose=restart_steps)
