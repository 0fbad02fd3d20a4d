# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: resolves and validates the inventory, before any node is read."""

from __future__ import annotations

import functools
import re
import socket
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Optional

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils import _role_values
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    ControllerAction,
    hide_below_vvv,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s import inventory as k3s
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.hostvars import (
    HostVariables,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.inventory import (
    Inventory,
    resolve,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    OVERLAY_INTERFACES,
    SERVER,
    Host,
    Settings,
    TopologyError,
    few,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.networks import (
    compare_families,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.raw_values import (
    default_ports,
    plain,
    read_all,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.settings import (
    read_settings,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.validate import (
    find_members,
    validate_clients,
    validate_hosts,
    validate_resolved,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.verify import (
    resolve_targets,
)

_VALUES = (
    "server_group",
    "agent_group",
    "external_group",
    "mode",
    "cluster_interface",
    "external_interface",
    "overlay_interfaces",
    "pod_cidr",
    "service_cidr",
    "ports",
    "extra_ports",
    "http_redirect",
    "restrict_sources",
    "external_sources",
)
LOOKUP_SECONDS = 20
LOOKUP_THREADS = 16
RULES = {"type": "list", "elements": "raw", "default": []}
ARGUMENT_SPEC = {
    "members_only": {"type": "bool", "default": False},
    "server_group": {"type": "str", "default": "server"},
    "agent_group": {"type": "str", "default": "agent"},
    "external_group": {"type": "str", "default": "external_clients"},
    "mode": {"type": "str", "default": "shared"},
    "cluster_interface": {"type": "str"},
    "external_interface": {"type": "str"},
    "overlay_interfaces": {
        "type": "list",
        "elements": "str",
        "default": list(OVERLAY_INTERFACES),
    },
    "pod_cidr": {"type": "str", "default": "10.42.0.0/16"},
    "service_cidr": {"type": "str", "default": "10.43.0.0/16"},
    "ports": RULES,
    "extra_ports": RULES,
    "http_redirect": {"type": "raw", "default": True},
    "restrict_sources": {"type": "raw", "default": True},
    "external_sources": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ControllerAction):
    """Runs on the controller only."""

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            result.update(changed=False, **self._resolve(task_vars or {}))
        except TopologyError as error:
            result.update(failed=True, msg=str(error))
        return hide_below_vvv(result)

    def _arguments(self, problems: list[str], **others: Any) -> dict[str, Any]:
        """Return the options. What is wrong with a value becomes a problem, and it is left out."""
        given = {**self._task.args, **others}
        named = {option: given[option] for option in given if option not in _VALUES}
        before = len(problems)
        values = read_all([option for option in _VALUES if option in given], given, problems)
        if "ports" in given and "ports" not in values and len(problems) == before:
            values["ports"] = list(default_ports())
        self._task.args = {**named, **values}
        try:
            _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        except AnsibleError as error:
            # The role's variables have the names of the options.
            text = re.sub(r"argument '(\w+)'", r"argument 'k3s_topology_\1'", str(error))
            raise TopologyError([f"{text}; see the role k3s_topology"]) from error
        return dict(arguments)

    def _resolve(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        groups = task_vars.get("groups", {})
        hostvars = HostVariables(task_vars)
        # Done once, by the first host of the play. That may be an external client or another host,
        # to which the variables of the cluster's groups do not apply.
        in_play = task_vars.get("ansible_play_hosts_all", [])
        problems: list[str] = []
        arguments = self._arguments(problems, **hostvars.group_names(in_play))
        if not arguments["members_only"]:
            # A slice may lack all servers, and slicing is the cause then.
            _refuse_slice(task_vars)
            problem = self.strategy_problem()
            if problem:
                raise TopologyError([problem])
        members = find_members(
            groups,
            arguments["server_group"],
            arguments["agent_group"],
            # A removal may run on a slice of the inventory.
            without_servers=arguments["members_only"],
        )
        result: dict[str, Any] = {"members": dict(members)}
        if arguments["members_only"]:
            return result
        shared, of_shared = hostvars.shared([name for name, _group in members], arguments)
        problems += of_shared
        arguments = self._arguments(problems, **shared)
        settings, of_settings = read_settings(arguments)
        problems += of_settings
        clients = list(map(str, groups.get(arguments["external_group"], [])))
        problems += validate_clients(members, clients, arguments["external_group"])
        inventory = Inventory(
            settings=settings,
            hosts=[hostvars.host(name, group, arguments) for name, group in members],
            k3s={
                name: k3s.read(name, group, functools.partial(_readable, hostvars, name), problems)
                for name, group in members
            },
            explicit={
                option: _explicit(option, arguments, hostvars, members)
                for option in ("pod_cidr", "service_cidr")
            },
            clients=clients,
        )
        inventory = _with_addresses(inventory, hostvars, str(self._task.connection))
        _warn_of_unreadable(members, hostvars)
        settings, hosts, of_k3s = resolve(inventory)
        problems += [*hostvars.problems, *of_k3s, *validate_hosts(hosts)]
        problems += validate_resolved(settings, hosts, nodes_are_read=False)
        problems += _role_values.problems([host.name for host in hosts], hostvars.readable)
        problems = problems or _compare_families(settings, inventory, hosts)
        if problems:
            raise TopologyError(problems)
        own = _read_by_the_play(task_vars, in_play)
        result["unknown"] = [
            host.name for host in hosts if host.name not in own and _has_to_be_read(host)
        ]
        result["inventory"] = inventory.to_text()
        return result


def _with_addresses(
    inventory: Inventory, hostvars: HostVariables, default_plugin: str
) -> Inventory:
    """Return an inventory with the addresses to which Ansible connects, if they can be known."""
    names = [*(host.name for host in inventory.hosts), *inventory.clients]
    targets = {
        name: target
        for name in names
        if (target := hostvars.ssh_target(name, default_plugin)) is not None
    }
    # Only an address that is left to the node is compared.
    left_open = {host.name for host in inventory.hosts if host.node_ip is None}
    wanted = {*left_open, *inventory.clients} if left_open else set()
    addresses = resolve_targets(targets, wanted, look_up)
    return replace(
        inventory,
        hosts=[replace(one, ssh_addresses=addresses.get(one.name, ())) for one in inventory.hosts],
        client_addresses={name: addresses[name] for name in inventory.clients if name in addresses},
    )


def look_up(names: Sequence[str]) -> list[list[str]]:
    """Return the addresses of each name, as the controller's resolver has them.

    A name has none if it is not known, as one of an SSH configuration, or if the time is over.
    """
    deadline = time.monotonic() + LOOKUP_SECONDS

    def addresses(name: str) -> list[str]:
        if time.monotonic() > deadline:
            late.append(name)
            return []
        try:
            return [
                str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            ]
        # A name with a label that is too long is a UnicodeError, which is a ValueError.
        except (OSError, ValueError):
            return []

    late: list[str] = []
    with ThreadPoolExecutor(LOOKUP_THREADS) as pool:
        found = list(pool.map(addresses, names))
    if late:
        Display().warning(
            f"The names of {len(late)} hosts, such as {late[0]}, were not resolved within "
            f"{LOOKUP_SECONDS} seconds, so the addresses that these nodes report are not compared "
            "with them; check the controller's resolver, or set k3s_topology_node_ip"
        )
    return found


def _has_to_be_read(host: Host) -> bool:
    """Tell whether the topology needs the facts of a node that the play does not read."""
    return (
        host.node_ip is None
        # Their files have the cluster's networks.
        or host.group == SERVER
        # Its files may have flannel-iface.
        or (host.mode == "segregated" and host.cluster_interface is None)
    )


def _readable(hostvars: HostVariables, name: str, variable: str) -> Any:
    return plain(hostvars.readable(name, variable))


def _compare_families(settings: Settings, inventory: Inventory, hosts: Sequence[Host]) -> list[str]:
    """Compare the IP versions of what is known before nodes are read.

    A network that nobody set may be one that only a file of K3s on a node has.
    """
    known = {
        option: getattr(settings, option)
        for option in ("pod_cidr", "service_cidr")
        if inventory.explicit.get(option) is not None
        or getattr(settings, f"{option}_source") != f"k3s_topology_{option}"
    }
    return compare_families(
        replace(settings, **{"pod_cidr": "", "service_cidr": "", **known}),
        {host.node_ip: [host.name] for host in hosts if host.node_ip},
    )


def _explicit(
    option: str,
    arguments: Mapping[str, Any],
    hostvars: HostVariables,
    members: Sequence[tuple[str, str]],
) -> Optional[str]:
    """Return an overlay network that the user set, None if it has its default."""
    given = str(arguments[option])
    variable = f"k3s_topology_{option}"
    if given == ARGUMENT_SPEC[option]["default"] and all(
        hostvars.has(name, variable) is False for name, _group in members
    ):
        return None
    return given


def _warn_of_unreadable(members: Sequence[tuple[str, str]], hostvars: HostVariables) -> None:
    """Warn of K3s's variables that have no value here, such as a template of another role."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for name, group in members:
        for variable in k3s.VARIABLES[group]:
            if hostvars.has(name, variable) and hostvars.readable(name, variable) is None:
                hosts[variable].append(name)
    for variable, names in hosts.items():
        Display().warning(
            f"host{'s' if len(names) > 1 else ''} {few(names)}: {variable} can't be worked out "
            "here, so what it tells K3s is not known; if it sets node-ip, flannel-iface, "
            "cluster-cidr or service-cidr, give the variables of k3s_topology the same values; if "
            "it sets flannel-backend, give k3s_topology_ports the ports of that backend"
        )


def _read_by_the_play(task_vars: Mapping[str, Any], in_play: Sequence[str]) -> set[str]:
    """Return the hosts that the play reads by itself, with serial those of a batch."""
    left = set(in_play) - set(task_vars.get("ansible_play_hosts", in_play))
    return left | set(task_vars.get("ansible_play_batch", in_play))


def _refuse_slice(task_vars: Mapping[str, Any]) -> None:
    """Raise TopologyError in a slice of an AWX job, whose inventory lacks the other slices' nodes.

    AWX runs the slices as a workflow job that has the name of the job template, and says no more.
    """
    for prefix in ("awx", "tower"):
        template = task_vars.get(f"{prefix}_job_template_name")
        if template and template == task_vars.get(f"{prefix}_workflow_job_name"):
            raise TopologyError(
                [
                    f"job template {template} runs in slices ({prefix}_workflow_job_name has its "
                    "name), and a slice lacks the other nodes, to which the firewall would close: "
                    "set its job slicing (job_slice_count) to 1; if a workflow template has that "
                    "name, give it another"
                ]
            )
