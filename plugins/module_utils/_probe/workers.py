# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shares probes out over processes, where they are many, and brings the outcomes together."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import random
import selectors
import signal
from collections.abc import Callable, Iterator, Sequence

from . import listener, prober
from .prober import Outcomes
from .targets import Endpoint, Target

_CHUNK = 1 << 20


def probe(
    targets: Sequence[Target],
    token: str,
    timeout: float,
    meanwhile: Callable[[], object] = lambda: None,
    every: float = 15.0,
) -> Outcomes:
    """Probe all ports of all targets; the outcomes are in their order.

    C(meanwhile) is called every so many seconds.
    """
    total = sum(map(len, targets))
    workers = listener.processes_for(total)
    # Sources that all began with the same destination would keep the others waiting.
    first = random.randrange(len(targets)) if targets else 0
    if workers == 1:
        return prober.Prober(token, timeout).run_share(share(targets, 0, 1, first), total)
    outcomes = Outcomes.of(total)
    children: list[int] = []
    try:
        with selectors.DefaultSelector() as selector:
            for number in range(workers):
                pid, reading = _fork(targets, token, timeout, slice(number, total, workers), first)
                children.append(pid)
                selector.register(reading, selectors.EVENT_READ, (number, bytearray()))
            while selector.get_map():
                ready = selector.select(every)
                if not ready:
                    meanwhile()
                for key, _events in ready:
                    number, data = key.data
                    chunk = os.read(key.fd, _CHUNK)
                    data += chunk
                    if chunk:
                        continue
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    # A process that was killed has said nothing, and its ports stay unproved.
                    with contextlib.suppress(EOFError, pickle.UnpicklingError):
                        outcomes.merge(pickle.loads(data), slice(number, total, workers))
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return outcomes


def share(
    targets: Sequence[Target], worker: int, workers: int, first: int
) -> Iterator[tuple[int, Endpoint]]:
    """Return every so many-th endpoint with its position in this share, from a target on.

    UDP comes first: a host sends few ICMP errors a second, and a datagram has no other answer.
    """
    bases = [0]
    for target in targets:
        bases.append(bases[-1] + len(target))
    order = [*range(first, len(targets)), *range(first)]
    for number in sorted(order, key=lambda number: targets[number].protocol != "udp"):
        target, base = targets[number], bases[number]
        for low, high in target.ports:
            skip = (worker - base) % workers
            position = (base + skip) // workers
            for port in range(low + skip, high + 1, workers):
                endpoint = (target.destination, target.address, target.protocol, port)
                yield position, Endpoint(*endpoint)
                position += 1
            base += high - low + 1


def _fork(
    targets: Sequence[Target], token: str, timeout: float, part: slice, first: int
) -> tuple[int, int]:
    """Probe a share in a process of its own, whose outcomes come through a pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.close(reading)
        gc.disable()
        size = len(range(part.stop)[part])
        endpoints = share(targets, part.start, part.step, first)
        outcomes = prober.Prober(token, timeout).run_share(endpoints, size)
        with open(writing, "wb") as stream:
            pickle.dump(outcomes, stream)
        status = 0
    finally:
        os._exit(status)
