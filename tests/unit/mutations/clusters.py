# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters to draw mutations for, and reports that tell the truth about them."""

from __future__ import annotations

from typing import Any

from ansible_collections.edgeops.k3s_network.tests.mutations.cluster import (
    CLUSTER,
    EXTERNAL,
    SEGREGATED,
    SHARED,
    Cluster,
    Machine,
    Nic,
)
from ansible_collections.edgeops.k3s_network.tests.mutations.firewall import ACCEPT
from ansible_collections.edgeops.k3s_network.tests.mutations.table import AGENT, CLIENT, SERVER
from ansible_collections.edgeops.k3s_network.tests.mutations.world import World, intact

_NETWORKS = {CLUSTER: "192.0.2", EXTERNAL: "198.51.100"}


def cluster(mode: str, **clients: tuple[str, ...]) -> Cluster:
    """Return three servers, two agents, and clients on these networks."""
    nodes = (CLUSTER, EXTERNAL) if mode == SEGREGATED else (CLUSTER,)
    machines = [(f"server{number}", SERVER, nodes) for number in (1, 2, 3)]
    machines += [(f"agent{number}", AGENT, nodes) for number in (1, 2)]
    machines += [(name, CLIENT, networks) for name, networks in clients.items()]
    return Cluster(
        mode,
        tuple(
            Machine(
                name,
                kind,
                tuple(
                    Nic(
                        f"eth{index}",
                        network,
                        f"{_NETWORKS[network]}.{number}",
                        f"02:00:00:00:{index:02}:{number:02}",
                    )
                    for index, network in enumerate(networks)
                ),
            )
            for number, (name, kind, networks) in enumerate(machines, 11)
        ),
    )


SHARED_CLUSTER = cluster(SHARED, client1=(CLUSTER,))
SEGREGATED_CLUSTER = cluster(SEGREGATED, client1=(EXTERNAL,), client2=(EXTERNAL, CLUSTER))
CLUSTERS = [SHARED_CLUSTER, SEGREGATED_CLUSTER]


def truthful(world: World) -> dict[str, Any]:
    """Return the report that says of each port what is true, a check for each."""
    checks = []
    for packet in world.cluster.packets():
        expected = "open" if intact(world.cluster).action(packet) == ACCEPT else "closed"
        outcome = world.outcome(packet)
        observed, words = expected, ("",)
        if outcome is not None:
            observed, words = sorted(outcome.observed)[0], outcome.cause.words
        elif expected == "closed":
            observed = "timeout"
        checks.append(
            {
                "source": packet.source,
                "destination": packet.destination,
                "address": packet.address,
                "port": str(packet.port),
                "protocol": packet.protocol,
                "rule": "of the table",
                "expected": expected,
                "observed": observed,
                "ok": (expected == "open") == (observed == "open"),
                "detail": " ".join(words),
            }
        )
    findings = [
        {
            "level": one.level,
            "hosts": [one.host],
            "cause": one.cause.words[0],
            "remedy": " ".join(one.cause.words[1:]),
        }
        for one in world.findings
    ]
    ok = all(check["ok"] for check in checks) and not any(
        one["level"] == "error" for one in findings
    )
    return {"ok": ok, "checks": checks, "findings": findings}
