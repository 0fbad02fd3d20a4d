# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of services: an enabled unit that does not run."""

from __future__ import annotations

import random
from dataclasses import replace

from .kinds_hosts import SERVICE
from .mutation import Mutation
from .world import World

# Units that packages of Debian have, and one port of each. The lab's plain machines have none of
# these packages, so that a unit of the same name stands for each.
_UNITS = {
    "influxdb.service": 8086,
    "nginx.service": 443,
    "redis-server.service": 6379,
    "tgt.service": 3260,
}


def stopped_service(rng: random.Random, world: World) -> Mutation | None:
    """A service is enabled and stopped, so that its port has to stay free."""
    return _service(rng, world, "stopped-service", runs=False)


def running_service(rng: random.Random, world: World) -> Mutation | None:
    """A service runs on its port, and answers in its own way."""
    return _service(rng, world, "running-service", runs=True)


def _service(rng: random.Random, world: World, kind: str, runs: bool) -> Mutation:
    name = rng.choice(world.cluster.nodes).name
    unit, port = rng.choice(sorted(_UNITS.items()))
    ports = {443: {80, 443}}.get(port, {port})
    path = f"/etc/systemd/system/{unit}"
    program = SERVICE.format(address="0.0.0.0", port=port).replace('"', '\\"')
    lines = [
        "[Service]",
        f'ExecStart=/usr/bin/python3 -c "{program}"',
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    texts = " ".join(f"'{line}'" for line in lines)
    start = f"systemctl start {unit}; timeout 60 sh -c 'until ss -Hltn sport = {port} | grep -q .;"
    start += " do sleep 0.1; done'"
    breaks = [
        f"printf '%s\\n' {texts} >{path}",
        f"systemctl daemon-reload; systemctl enable --quiet {unit}",
        *([start] if runs else []),
    ]
    mends = [f"systemctl disable --quiet --now {unit}", f"rm {path}; systemctl daemon-reload"]
    stopped = {} if runs else {name: dict.fromkeys(ports, unit)}
    return Mutation(
        kind,
        f"{name}: {unit} {'runs' if runs else 'is enabled and stopped'}",
        replace(world, stopped_services=stopped),
        {name: breaks},
        {name: mends},
        harmless=runs,
    )
