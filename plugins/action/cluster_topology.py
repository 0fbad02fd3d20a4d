# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: hands inventory and facts to the pure functions of _topology."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils import _role_values
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import hide_below_vvv
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s import inventory as k3s
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.inventory import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    OVERLAY_INTERFACES,
    SERVER,
    Host,
    Settings,
    TopologyError,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.validate import (
    judge_hosts,
    judge_members,
    judge_settings,
)

ROWS = {"type": "list", "elements": "raw", "default": []}
ARGUMENT_SPEC = {
    "stage": {"type": "str", "choices": ["members", "inventory", "full"], "default": "full"},
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
    "ports": ROWS,
    "extra_ports": ROWS,
    "http_redirect": {"type": "raw", "default": True},
    "restrict_sources": {"type": "raw", "default": True},
    "external_sources": {"type": "list", "elements": "str", "default": []},
    "peers_variable": {"type": "str"},
}
GROUP_NAMES = {
    "server_group": "k3s_topology_server_group",
    "agent_group": "k3s_topology_agent_group",
    "external_group": "k3s_topology_external_group",
}
# What holds for the whole cluster, by the variables that give it.
SHARED = {
    "pod_cidr": "k3s_topology_pod_cidr",
    "service_cidr": "k3s_topology_service_cidr",
    "ports": "k3s_topology_ports",
    "extra_ports": "k3s_topology_extra_ports",
    "http_redirect": "k3s_topology_http_redirect",
    "restrict_sources": "k3s_topology_restrict_sources",
    "external_sources": "k3s_topology_external_sources",
}


class ActionModule(ActionBase):
    """Runs on the controller only."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        reader = _HostReader(variables)
        try:
            result.update(changed=False, **self._judge(reader, variables))
        except TopologyError as error:
            count = len(error.problems)
            result.update(
                failed=True,
                msg=f"Nothing was changed. {count} thing{'s' if count > 1 else ''} to mend: "
                + " | ".join(error.problems),
            )
        return hide_below_vvv(result)

    def _arguments(self) -> dict[str, Any]:
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        return dict(arguments)

    def _judge(self, reader: _HostReader, variables: Mapping[str, Any]) -> dict[str, Any]:
        groups = variables.get("groups", {})
        # Done once, by the first host of the play, which may be a client outside or anybody else,
        # to whom the variables of the cluster's groups do not apply.
        in_play = variables.get("ansible_play_hosts_all", [])
        self._task.args = {**self._task.args, **reader.group_names(in_play)}
        arguments = self._arguments()
        members = judge_members(
            groups,
            arguments["server_group"],
            arguments["agent_group"],
            # What asks for no more takes things away, which may be in a slice of the inventory.
            without_servers=arguments["stage"] == "members",
        )
        result: dict[str, Any] = {"members": dict(members)}
        if arguments["stage"] == "members":
            return result
        _refuse_slice(variables)
        shared, problems = reader.shared([name for name, _group in members], arguments)
        self._task.args = {**self._task.args, **shared}
        arguments = self._arguments()
        told = {
            name: k3s.read(name, group, functools.partial(reader.readable, name), problems)
            for name, group in members
        }
        servers = {name: told[name] for name, group in members if group == SERVER}
        cidrs = {
            option: _cidr(option, key, reader, arguments[option], servers, problems)
            for option, key in (("pod_cidr", k3s.POD_CIDR), ("service_cidr", k3s.SERVICE_CIDR))
        }
        backend = k3s.for_all(k3s.BACKEND, None, None, servers, problems)
        settings = Settings(
            pod_cidr=cidrs["pod_cidr"][0],
            pod_cidr_source=cidrs["pod_cidr"][1],
            service_cidr=cidrs["service_cidr"][0],
            service_cidr_source=cidrs["service_cidr"][1],
            ports=k3s.with_backend(arguments["ports"], arguments["extra_ports"], backend),
            extra_ports=arguments["extra_ports"],
            http_redirect=arguments["http_redirect"],
            restrict_sources=arguments["restrict_sources"],
            external_sources=_words(arguments["external_sources"]),
        )
        reader.load_peer_facts(arguments, in_play)
        hosts = [
            _with_k3s(reader.host(name, group), told[name], problems) for name, group in members
        ]
        if arguments["stage"] == "inventory":
            for name, group in members:
                _warn_of_unreadable(name, k3s.VARIABLES[group], reader)
            problems += judge_settings(settings)[1] + judge_hosts(settings, hosts)
            problems += _role_values.problems([host.name for host in hosts], reader.readable)
            if problems:
                raise TopologyError(problems)
            asked = _asked(variables, in_play)
            result["unknown"] = [
                host.name for host in hosts if host.node_ip is None and host.name not in asked
            ]
        else:
            clients = groups.get(arguments["external_group"], [])
            if problems:
                raise TopologyError(problems)
            result["topology"] = build(settings, hosts, clients)
        return result


def _cidr(
    option: str,
    key: str,
    reader: _HostReader,
    given: str,
    told: Mapping[str, k3s.Told],
    problems: list[str],
) -> tuple[str, str]:
    """Return an overlay network and where it comes from: K3s's own option, or ours."""
    variable = f"k3s_topology_{option}"
    is_default = given == ARGUMENT_SPEC[option]["default"]
    unset = is_default and all(reader.value(name, variable) is None for name in told)
    explicit = None if unset else given
    value = k3s.for_all(key, variable, explicit, told, problems)
    if value is None:
        return given, variable
    return value, next(one.source(key) for one in told.values() if key in one)


def _warn_of_unreadable(name: str, variables: Iterable[str], reader: _HostReader) -> None:
    """Say which of K3s's variables a host has that have no value here, such as a template."""
    for variable in variables:
        if reader.has(name, variable) and reader.readable(name, variable) is None:
            Display().warning(
                f"host {name}: {variable} can't be worked out here, so what it tells K3s is not "
                "known; if it sets node-ip or flannel-iface, set k3s_topology_node_ip or "
                "k3s_topology_cluster_interface to the same value"
            )


def _with_k3s(host: Host, told: k3s.Told, problems: list[str]) -> Host:
    """Return a host with the address and NIC that K3s is told. Contradictions become problems."""
    changes: dict[str, Any] = {"told": {key: told[key][0] for key in told}}
    for field, key, source in (
        ("node_ip", k3s.ADDRESS, "node_ip_source"),
        ("cluster_interface", k3s.INTERFACE, "cluster_interface_source"),
    ):
        given, variable = getattr(host, field), getattr(host, source)
        value = k3s.for_node(host.name, key, variable, given, told, problems)
        if value is not None and given is None:
            changes.update({field: value, source: told.source(key)})
    return replace(host, **changes)


def _asked(variables: Mapping[str, Any], in_play: Sequence[str]) -> set[str]:
    """Return the hosts that the play asks by itself, with serial those of a batch."""
    left = set(in_play) - set(variables.get("ansible_play_hosts", in_play))
    return left | set(variables.get("ansible_play_batch", in_play))


def _words(given: list[Any]) -> list[str]:
    """Return values one by one: a survey of AWX gives them as lines of one text."""
    return [word for item in given for word in str(item).replace(",", " ").split()]


def _refuse_slice(variables: Mapping[str, Any]) -> None:
    """Raise TopologyError in a slice of an AWX job, whose inventory lacks the other slices' nodes.

    AWX runs the slices as a workflow job that has the name of the job template, and says no more.
    """
    for prefix in ("awx", "tower"):
        template = variables.get(f"{prefix}_job_template_name")
        if template and template == variables.get(f"{prefix}_workflow_job_name"):
            raise TopologyError(
                [
                    f"job template {template} runs in slices ({prefix}_workflow_job_name has its "
                    "name), and a slice lacks the other nodes, to which the firewall would close: "
                    "set its job slicing (job_slice_count) to 1; where a workflow template has "
                    "that name, give it another"
                ]
            )


class _HostReader:
    """Reads variables and facts of any host."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._hostvars = variables["hostvars"]
        self._own = variables["inventory_hostname"]
        self._known: dict[str, Any] = {}
        self._arguments: Mapping[str, Any] = {}
        self._asked: dict[str, Mapping[str, Any]] = {}

    def group_names(self, in_play: Iterable[str]) -> dict[str, Any]:
        """Return the options that name groups, as hosts of the play have them and not our own."""
        found = {}
        problems = []
        for option, variable in GROUP_NAMES.items():
            values = {self._text(self.value(name, variable)) for name in in_play} - {None}
            if len(values) > 1:
                problems.append(
                    f"{variable} is {' and '.join(sorted(map(str, values)))} for hosts of this "
                    "play; one run is for one cluster: name its hosts with --limit"
                )
            elif values and self._text(self.value(self._own, variable)) is None:
                found[option] = values.pop()
        if problems:
            raise TopologyError(problems)
        return found

    def shared(
        self, members: list[str], arguments: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the options that hold for the cluster, as its nodes have them, and problems."""
        found = {}
        problems = []
        for option, variable in SHARED.items():
            # Where our own host has none, the option is the default, or what the play says.
            own = self.value(self._own, variable)
            unset = arguments[option] if own is None else None
            values = {}
            for name in members:
                value = self.value(name, variable)
                values[name] = unset if value is None else value
            first = values[members[0]]
            other = next((name for name in members if not _alike(values[name], first)), None)
            if other is not None:
                problems.append(
                    f"hosts {members[0]}, {other}: {variable} is not the same for them; it holds "
                    "for the whole cluster: set it once, for a group of all its nodes such as "
                    "k3s_cluster"
                )
            elif self._own not in members and first is not None:
                found[option] = first
        return found, problems

    def load_peer_facts(self, arguments: Mapping[str, Any], in_play: Iterable[str]) -> None:
        """Learn the options, and what hosts outside the play have answered to those in it."""
        self._arguments = arguments
        if arguments["peers_variable"]:
            for asker in in_play:
                answers = self.value(asker, arguments["peers_variable"]) or {}
                for answer in answers.get("results", ()):
                    self._asked[answer["item"]] = answer

    def host(self, name: str, group: str) -> Host:
        answer = self._asked.get(name, {})
        facts = answer.get("ansible_facts") or self.value(name, "ansible_facts") or {}
        network: Mapping[str, Any] = facts.get("k3s_network") or {}
        interfaces = network.get("interfaces")
        return Host(
            name=name,
            group=group,
            mode=self._setting(name, "mode") or ARGUMENT_SPEC["mode"]["default"],
            cluster_interface=self._setting(name, "cluster_interface"),
            external_interface=self._setting(name, "external_interface"),
            node_ip=self._text(self.value(name, "k3s_topology_node_ip")),
            interfaces=interfaces,
            connection_address=network.get("connection_address") or None,
            unreachable_reason=str(answer.get("msg", "")),
            overlay_interfaces=self._overlay_interfaces(name),
        )

    def _overlay_interfaces(self, name: str) -> list[str]:
        """Return a node's own names, or those that hold for the play."""
        variable = "k3s_topology_overlay_interfaces"
        value = self.value(name, variable)
        if value in (None, "") and self.value(self._own, variable) is None:
            value = self._arguments["overlay_interfaces"]
        if value in (None, ""):
            return list(OVERLAY_INTERFACES)
        return _words([value] if isinstance(value, str) else list(value))

    def _setting(self, name: str, option: str) -> Optional[str]:
        """Return a node's own value, or the one that holds for the play (role defaults, vars)."""
        variable = f"k3s_topology_{option}"
        value = self._text(self.value(name, variable))
        if value is None and self.value(self._own, variable) is None:
            value = self._text(self._arguments[option])
        return value

    def value(self, name: str, variable: str) -> Any:
        """Return a variable of a host, None where it has none."""
        try:
            # Each look at hostvars puts together all of a host's variables.
            if name not in self._known:
                self._known[name] = self._hostvars[name]
            return self._known[name].get(variable)
        except AnsibleError as error:
            raise TopologyError([f"host {name}: {variable} can't be read: {error}"]) from error

    def has(self, name: str, variable: str) -> bool:
        """Tell whether a host has a variable, readable or not."""
        try:
            return self.value(name, variable) is not None
        except TopologyError:
            return True

    def readable(self, name: str, variable: str) -> Any:
        """Return a variable of a host, None where it can not be told yet: its role asks again."""
        try:
            value = self.value(name, variable)
        except TopologyError:
            return None
        # ansible-core 2.16 leaves a template as it is where it can't be worked out.
        return None if isinstance(value, str) and "{{" in value else value

    @staticmethod
    def _text(value: Any) -> Optional[str]:
        return None if value is None or value == "" else str(value)


def _alike(one: Any, other: Any) -> bool:
    """Compare values of one variable, of which INI inventories have the text alone."""
    return bool(one == other) or str(one).lower() == str(other).lower()
