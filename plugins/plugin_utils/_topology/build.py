# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the resolved inventory and the nodes' facts to the topology. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from .addresses import locate, subnets
from .model import (
    EXTERNAL,
    Host,
    Node,
    Settings,
    Topology,
    TopologyError,
)
from .validate import overlaps, shared_addresses, validate_resolved
from .verify import connected_hosts, verify_address, with_connection


def build(
    settings: Settings,
    hosts: Sequence[Host],
    external_clients: Iterable[str] = (),
    client_addresses: Optional[Mapping[str, Sequence[str]]] = None,
) -> Topology:
    """Return the topology. Raises TopologyError with every problem of settings and hosts.

    C(client_addresses) are those to which Ansible connects, by external client.
    """
    problems = validate_resolved(settings, hosts)
    clients = list(external_clients)
    if EXTERNAL in {*clients, *(host.name for host in hosts)}:
        problems.append(
            f"host {EXTERNAL}: reports call the controller so if it probes as an external client "
            "(k3s_connectivity_probe_from_controller); give the host another inventory_hostname"
        )
    nodes: list[Node] = []
    if not problems:
        owners: dict[str, list[str]] = defaultdict(list)
        neighbors = connected_hosts(hosts, client_addresses or {})
        for one in hosts:
            host = with_connection(one, problems)
            node = None if host is None else locate(host, settings, problems)
            if host is None or node is None:
                continue
            verify_address(host, node, neighbors, problems)
            nodes.append(node)
            owners[node["address"]].append(node["name"])
            for text in subnets(host, node):
                problems += overlaps(settings, host.name, text)
        problems += shared_addresses(owners)
    if problems:
        raise TopologyError(list(dict.fromkeys(problems)))
    return Topology(
        nodes=nodes,
        rules=list(settings.rules),
        pod_cidr=settings.pod_cidr,
        service_cidr=settings.service_cidr,
        restrict_sources=settings.restrict_sources,
        external_sources=list(settings.external_sources),
        external_clients=clients,
        ipsets=[],
    )
