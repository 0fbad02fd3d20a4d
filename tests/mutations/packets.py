# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the model with packets: connections by plain sockets, without the collection."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable

from .cluster import Packet
from .mutation import Mutation
from .world import World

Run = Callable[[str, str], str]
"""Runs a script on a machine and returns its output; raises StageError."""

_UNIT = "k3s-mutation-packets"
_MOST = 4
_LISTENER = (
    "import socket, signal, sys\\n"
    "held = [socket.create_server((sys.argv[1], int(port))) for port in sys.argv[2:]]\\n"
    "signal.pause()"
)
_CONNECTOR = """
import socket, sys
for text in sys.argv[1:]:
    address, port = text.split(":")
    try:
        socket.create_connection((address, int(port)), 1.5).close()
        print(text)
    except OSError:
        pass
"""


def contradictions(run: Run, mutation: Mutation, world: World) -> list[str]:
    """Return what packets say otherwise than a world, for a few packets of each kind."""
    chosen = _chosen(mutation)
    opened = _opened(run, chosen)
    return [
        f"the model is wrong: {packet} is {'open' if packet in opened else 'closed'}"
        for packet in chosen
        if ("open" in _observed(world, packet)) != (packet in opened)
    ]


def _chosen(mutation: Mutation) -> list[Packet]:
    """Return packets that the mutation touches, and others to and from the same nodes."""
    rng = random.Random(mutation.text)
    touched, others = [], []
    for packet in mutation.world.cluster.packets():
        if packet.protocol != "tcp" or mutation.world.outcome(packet) is None:
            continue
        if mutation.effect(packet) is not None:
            touched.append(packet)
        elif {packet.destination, packet.source} & set(mutation.breaks):
            others.append(packet)
    return [
        packet for some in (touched, others) for packet in rng.sample(some, min(_MOST, len(some)))
    ]


def _observed(world: World, packet: Packet) -> frozenset[str]:
    outcome = world.outcome(packet)
    assert outcome is not None
    return outcome.observed


def _opened(run: Run, packets: Iterable[Packet]) -> set[Packet]:
    """Return those of the packets with which a connection is made."""
    ports: dict[tuple[str, str], set[int]] = defaultdict(set)
    sent: dict[str, list[Packet]] = defaultdict(list)
    for packet in packets:
        ports[packet.destination, packet.address].add(packet.port)
        sent[packet.source].append(packet)
    opened = set()
    units = []
    try:
        for (name, address), numbers in ports.items():
            unit = f"{_UNIT}-{address}"
            units.append((name, unit))
            listed = " ".join(map(str, sorted(numbers)))
            run(
                name,
                f"systemd-run --quiet --collect --unit={unit} /usr/bin/python3 -c "
                f"\"exec('{_LISTENER}')\" {address} {listed}\n"
                f"timeout 60 sh -c 'until ss -Hltn src {address}:{max(numbers)} | grep -q .; "
                "do sleep 0.1; done'",
            )
        for source, some in sent.items():
            listed = " ".join(f"{one.address}:{one.port}" for one in some)
            out = set(run(source, f"python3 - {listed} <<'EOF'{_CONNECTOR}EOF\n").split())
            opened |= {one for one in some if f"{one.address}:{one.port}" in out}
    finally:
        for name, unit in units:
            run(name, f"systemctl stop {unit}")
    return opened
