# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: hands inventory and facts to the pure functions of _topology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.edgeops.k3s_network.plugins.module_utils._topology import (
    Host,
    Settings,
    TopologyError,
    build,
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
    "pod_cidr": {"type": "str", "default": "10.42.0.0/16"},
    "service_cidr": {"type": "str", "default": "10.43.0.0/16"},
    "ports": ROWS,
    "extra_ports": ROWS,
    "http_redirect": {"type": "raw", "default": True},
    "restrict_sources": {"type": "raw", "default": True},
    "external_sources": {"type": "list", "elements": "str", "default": []},
    "peers_variable": {"type": "str"},
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
        _validated, arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        variables = task_vars or {}
        try:
            result.update(changed=False, **self._judge(arguments, variables))
        except TopologyError as error:
            count = len(error.problems)
            result.update(
                failed=True,
                msg=f"Nothing was changed. {count} thing{'s' if count > 1 else ''} to mend: "
                + " | ".join(error.problems),
            )
        return result

    def _judge(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        groups = variables.get("groups", {})
        members = judge_members(groups, arguments["server_group"], arguments["agent_group"])
        result: dict[str, Any] = {"members": dict(members)}
        if arguments["stage"] == "members":
            return result
        settings = Settings(
            pod_cidr=arguments["pod_cidr"],
            service_cidr=arguments["service_cidr"],
            ports=arguments["ports"],
            extra_ports=arguments["extra_ports"],
            http_redirect=arguments["http_redirect"],
            restrict_sources=arguments["restrict_sources"],
            external_sources=arguments["external_sources"],
        )
        reader = _HostReader(arguments, variables)
        hosts = [reader.host(name, group) for name, group in members]
        if arguments["stage"] == "inventory":
            problems = judge_settings(settings)[1] + judge_hosts(settings, hosts)
            if problems:
                raise TopologyError(problems)
            in_play = variables.get("ansible_play_hosts_all", [])
            result["unknown"] = [
                host.name for host in hosts if host.node_ip is None and host.name not in in_play
            ]
        else:
            clients = groups.get(arguments["external_group"], [])
            result["topology"] = build(settings, hosts, clients)
        return result


class _HostReader:
    """Reads what belongs to a single node from its variables and facts."""

    def __init__(self, arguments: dict[str, Any], variables: dict[str, Any]) -> None:
        self._arguments = arguments
        self._hostvars = variables["hostvars"]
        self._own = variables["inventory_hostname"]
        self._asked: dict[str, Mapping[str, Any]] = {}
        if arguments["peers_variable"]:
            for asker in variables.get("ansible_play_hosts_all", ()):
                answers = self._value(asker, arguments["peers_variable"]) or {}
                for answer in answers.get("results", ()):
                    self._asked[answer["item"]] = answer

    def host(self, name: str, group: str) -> Host:
        answer = self._asked.get(name, {})
        facts = answer.get("ansible_facts") or self._value(name, "ansible_facts") or {}
        network: Mapping[str, Any] = facts.get("k3s_network") or {}
        interfaces = network.get("interfaces")
        return Host(
            name=name,
            group=group,
            mode=self._setting(name, "mode") or ARGUMENT_SPEC["mode"]["default"],
            cluster_interface=self._setting(name, "cluster_interface"),
            external_interface=self._setting(name, "external_interface"),
            node_ip=self._text(self._value(name, "k3s_topology_node_ip")),
            interfaces=interfaces,
            connection_address=network.get("connection_address") or None,
            silence=str(answer.get("msg", "")),
        )

    def _setting(self, name: str, option: str) -> Optional[str]:
        """Return a node's own value, or the one that holds for the play (role defaults, vars)."""
        variable = f"k3s_topology_{option}"
        value = self._text(self._value(name, variable))
        if value is None and self._value(self._own, variable) is None:
            value = self._text(self._arguments[option])
        return value

    def _value(self, name: str, variable: str) -> Any:
        try:
            return self._hostvars[name].get(variable)
        except AnsibleError as error:
            raise TopologyError([f"host {name}: {variable} can't be read: {error}"]) from error

    @staticmethod
    def _text(value: Any) -> Optional[str]:
        return None if value is None or value == "" else str(value)
