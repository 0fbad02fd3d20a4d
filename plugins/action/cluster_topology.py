# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: combines the resolved inventory with the nodes' facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    ControllerAction,
    hide_below_vvv,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import with_ipsets
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s import node as k3s
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.settings import NodeSettings
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import (
    facts as node_facts,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.hostvars import (
    HostVariables,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.inventory import (
    Inventory,
    resolve,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    Topology,
    TopologyError,
    few,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.networks import (
    compare_families,
)

ARGUMENT_SPEC = {
    "inventory": {"type": "str", "required": True},
    "facts_variable": {"type": "str", "required": True},
    "peers_variable": {"type": "str", "default": ""},
}


class ActionModule(ControllerAction):
    """Runs on the controller only."""

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        try:
            result.update(changed=False, topology=_topology(arguments, task_vars or {}))
        except TopologyError as error:
            result.update(failed=True, msg=str(error))
        return hide_below_vvv(result)


def _topology(arguments: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Topology:
    inventory = Inventory.from_text(arguments["inventory"])
    hostvars = HostVariables(task_vars)
    answers = hostvars.answers(
        [host.name for host in inventory.hosts],
        arguments["facts_variable"],
        task_vars.get("ansible_play_hosts_all", []),
        arguments["peers_variable"],
    )
    facts = {
        name: (answer.get("ansible_facts") or {}).get("k3s_network") or {}
        for name, answer in answers.items()
    }
    problems: list[str] = []
    networks = _networks(facts, problems)
    nodes = _k3s_of_nodes({name: facts[name] for name in networks}, problems)
    settings, hosts, of_k3s = resolve(inventory, nodes)
    if problems or of_k3s:
        raise TopologyError([*problems, *of_k3s])
    _warn_of_unreadable(nodes)
    topology = build(
        settings,
        [
            replace(
                host,
                **networks[host.name]._asdict(),
                unreachable_reason=node_facts.reason(answers[host.name]),
            )
            for host in hosts
        ],
        inventory.clients,
        inventory.client_addresses,
    )
    problems = compare_families(
        settings, {node["address"]: [node["name"]] for node in topology["nodes"]}
    )
    if problems:
        raise TopologyError(problems)
    return with_ipsets(topology)


def _networks(facts: Mapping[str, Any], problems: list[str]) -> dict[str, node_facts.Network]:
    found = {}
    for name, one in facts.items():
        try:
            found[name] = node_facts.read(one)
        except ValueError as error:
            problems.append(
                f"host {name}: its facts about the network are not valid ({error}); check what "
                "runs as ip and as Ansible's shell there"
            )
    return found


def _k3s_of_nodes(
    facts: Mapping[str, Mapping[str, Any]], problems: list[str]
) -> dict[str, NodeSettings]:
    found = {}
    for name, one in facts.items():
        try:
            settings = k3s.read(one.get("k3s"))
        except ValueError as error:
            problems.append(
                f"host {name}: its facts about K3s are not valid ({error}); check what runs as "
                "Ansible's Python there"
            )
            continue
        if settings is not None:
            found[name] = settings
    return found


def _warn_of_unreadable(nodes: Mapping[str, NodeSettings]) -> None:
    hosts: dict[str, list[str]] = defaultdict(list)
    for name, settings in nodes.items():
        for problem in settings.unreadable:
            hosts[problem].append(name)
    for problem, names in hosts.items():
        Display().warning(
            f"host{'s' if len(names) > 1 else ''} {few(names)}: {problem}. What it sets of "
            "K3s is not known; if it sets node-ip, flannel-iface, cluster-cidr or service-cidr, "
            "give the variables of k3s_topology the same values; if it sets flannel-backend, give "
            "k3s_topology_ports the ports of that backend"
        )
