# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import socket

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import listener, prober
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    workers as probe_workers,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.prober import Outcome
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.targets import Target
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    THERE,
    TOKEN,
    free_port,
    listening,
    open_files,
    service,
    some_free_ports,
)
from hypothesis import given
from hypothesis import strategies as st

UDP = socket.SOCK_DGRAM
INTERVALS = st.lists(
    st.tuples(st.integers(1, 300), st.integers(0, 40)).map(lambda one: (one[0], sum(one))),
    max_size=3,
)
TARGETS = st.lists(
    st.builds(
        Target,
        st.just("server1"),
        st.just(HERE),
        st.sampled_from(["tcp", "udp"]),
        INTERVALS.map(lambda all: tuple(i for n, i in enumerate(all) if i not in all[:n])),
    ),
    max_size=4,
)


@given(TARGETS, st.integers(1, 5), st.integers(0, 3))
def test_each_endpoint_is_in_one_share_at_its_position(targets, workers, first):
    wanted = [endpoint for target in targets for endpoint in target.endpoints()]
    found = [None] * len(wanted)
    for worker in range(workers):
        for position, endpoint in probe_workers.share(
            targets, worker, workers, min(first, max(0, len(targets) - 1))
        ):
            assert found[worker + position * workers] is None
            found[worker + position * workers] = endpoint
    assert found == wanted


def test_udp_comes_before_tcp():
    targets = [Target("a", HERE, "tcp", ((1, 2),)), Target("a", HERE, "udp", ((3, 3),))]
    shared = [endpoint.port for _position, endpoint in probe_workers.share(targets, 0, 1, 0)]
    assert shared == [3, 1, 2]


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(listener, "_PORTS_FOR_TWO", 2)


def targets_of(ports, closed):
    return [
        Target("server1", HERE, "tcp", tuple((port, port) for port in ports)),
        Target("agent1", THERE, "tcp", ((closed, closed),)),
    ]


def test_processes_bring_their_outcomes_together(two):
    before = open_files()
    ports = some_free_ports(5)
    with listening(*((HERE, "tcp", port) for port in ports)):
        outcomes = probe_workers.probe(targets_of(ports, free_port(address=THERE)), TOKEN, 1.0)
    assert list(outcomes) == [Outcome("open")] * 5 + [Outcome("refused")]
    assert open_files() == before


def test_what_a_killed_process_had_to_prove_is_not_proved(two, monkeypatch):
    run_share = prober.Prober.run_share

    def dying(self, endpoints, size):
        if size == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_share(self, endpoints, size)

    monkeypatch.setattr(prober.Prober, "run_share", dying)
    ports = some_free_ports(4)
    with listening(*((HERE, "tcp", port) for port in ports)):
        outcomes = list(probe_workers.probe(targets_of(ports, ports[0]), TOKEN, 1.0))
    assert {outcome.observed for outcome in outcomes[::2]} == {"error"}
    assert {outcome.observed for outcome in outcomes[1::2]} == {"open"}


def test_meanwhile_something_else_is_done(two):
    calls = []
    with service(UDP) as port:
        target = Target("server1", HERE, "udp", ((port, port),) * 2)
        probe_workers.probe([target], TOKEN, 0.5, lambda: calls.append(1), every=0.1)
    assert len(calls) >= 2


def test_no_targets_are_no_outcomes():
    assert list(probe_workers.probe([], TOKEN, 1.0)) == []
