# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Computes on the controller what the role passes to the module on a node.

The variables are those that a user sets. Defaults, topology and objects come from the collection.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from module_run import ABSENT, SSH, Node

sys.path.append(os.environ["ANSIBLE_COLLECTIONS_PATH"])

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.interfaces import (
    parse_addresses,
    parse_ssh_connection,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import (
    FirewallWanted,
    firewall_wanted,
    with_ipsets,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    Host,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.settings import (
    read_settings,
)

NODES = ("server1", "server2", "agent1")
SEGREGATED = {
    "k3s_topology_mode": "segregated",
    "k3s_topology_cluster_interface": "eth0",
    "k3s_topology_external_interface": "eth1",
}
UNRESTRICTED = {"k3s_topology_restrict_sources": False}

_ROLES = [Path(__file__).parents[1] / "roles" / name for name in ("k3s_topology", "k3s_firewall")]
_VARIABLE = re.compile(r"k3s_(?:topology|firewall)_(\w+)")


def wanted(
    name: str,
    nodes: Iterable[str] = NODES,
    hosts: Mapping[str, Mapping[str, Any]] | None = None,
    **variables: Any,
) -> FirewallWanted:
    """Return the wanted state of a node of a cluster.

    C(variables) are those of the cluster, C(hosts) those of single nodes.
    """
    hosts = hosts or {}
    settings, problems = read_settings(_options(variables))
    assert not problems, problems
    topology = build(
        settings,
        [
            Host(
                name=node,
                group=node.rstrip("0123456789"),
                **gather(node),
                **_of_host({**variables, **hosts.get(node, {})}),
            )
            for node in nodes
        ],
    )
    return firewall_wanted(with_ipsets(topology), name)


@functools.cache
def gather(name: str) -> dict[str, Any]:
    """Return a machine's interfaces and connection address, as the role gathers them."""
    ssh = [*SSH, name, "echo $SSH_CONNECTION; ip -json address show"]
    out = subprocess.run(ssh, check=True, capture_output=True, text=True).stdout
    connection, links = out.split("\n", 1)
    connected = parse_ssh_connection(connection)
    return {
        "interfaces": parse_addresses(json.loads(links)),
        "connection_address": connected and connected.address,
    }


def address(name: str, interface: str = "eth0") -> str:
    """Return the IPv4 address of a node's interface."""
    return str(gather(name)["interfaces"][interface][0].partition("/")[0])


def prepare(node: Node, **how: Any) -> dict[str, Any]:
    """Apply the wanted state to a node and return the module's result."""
    return node.apply(wanted(node.name, **how))


def remove(node: Node) -> dict[str, Any]:
    """Remove everything from a node and return the module's result."""
    return node.apply(ABSENT)


def _of_host(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables, and the defaults of others, that are fields of a host."""
    names = {field.name for field in dataclasses.fields(Host)}
    return {name: value for name, value in _options(variables).items() if name in names}


def _options(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables, and the defaults of others, without the names of the roles."""
    unknown = variables.keys() - _known()
    assert not unknown, f"the roles have no variables {unknown}"
    return {
        match[1]: value
        for variable, value in {**_defaults(), **variables}.items()
        if (match := _VARIABLE.fullmatch(variable))
    }


@functools.cache
def _defaults() -> dict[str, Any]:
    read = [yaml.safe_load((role / "defaults/main.yml").read_text()) for role in _ROLES]
    return {name: value for defaults in read for name, value in defaults.items()}


@functools.cache
def _known() -> set[str]:
    specs = [yaml.safe_load((role / "meta/argument_specs.yml").read_text()) for role in _ROLES]
    return {name for spec in specs for name in spec["argument_specs"]["main"]["options"]}
