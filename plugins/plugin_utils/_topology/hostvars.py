# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads variables and facts of any host of the inventory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible.errors import AnsibleError

from . import raw_values
from .model import OVERLAY_INTERFACES, Host, TopologyError
from .verify import SSH_PLUGINS

# Options that name groups, by the variables that give them.
GROUP_NAMES = {
    "server_group": "k3s_topology_server_group",
    "agent_group": "k3s_topology_agent_group",
    "external_group": "k3s_topology_external_group",
}
# What holds for the whole cluster.
SHARED = {
    "pod_cidr": "k3s_topology_pod_cidr",
    "service_cidr": "k3s_topology_service_cidr",
    "ports": "k3s_topology_ports",
    "extra_ports": "k3s_topology_extra_ports",
    "http_redirect": "k3s_topology_http_redirect",
    "restrict_sources": "k3s_topology_restrict_sources",
    "external_sources": "k3s_topology_external_sources",
}


class HostVariables:
    """The variables of all hosts, as a task of one host sees them."""

    def __init__(self, task_vars: Mapping[str, Any]) -> None:
        self._hostvars = task_vars["hostvars"]
        self._own = task_vars["inventory_hostname"]
        self._known: dict[str, Any] = {}
        self._values: dict[tuple[str, str], Any] = {}
        self.problems: list[str] = []
        """What is wrong with the variables that were read, each once."""

    def group_names(self, in_play: Iterable[str]) -> dict[str, Any]:
        """Return the options that name groups, as hosts of the play have them and not our own."""
        found = {}
        problems = []
        for option, variable in GROUP_NAMES.items():
            values = {self._given(name, option) for name in in_play} - {None}
            if len(values) > 1:
                problems.append(
                    f"{variable} is {' and '.join(sorted(map(str, values)))} for hosts of this "
                    "play; one run is for one cluster: name its hosts with --limit"
                )
            elif values and self._given(self._own, option) is None:
                found[option] = values.pop()
        if problems:
            raise TopologyError(problems)
        return found

    def shared(
        self, members: Sequence[str], arguments: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the options that hold for the cluster, as its nodes have them, and problems."""
        found = {}
        problems = []
        for option, variable in SHARED.items():
            # If our own host has none, the option is the default, or what the play says.
            own = self._given(self._own, option)
            unset = arguments[option] if own is None else None
            values = {}
            for name in members:
                value = self._given(name, option)
                values[name] = unset if value is None else value
            first = values[members[0]]
            other = next(
                (name for name in members if not raw_values.alike(values[name], first)), None
            )
            if other is not None:
                problems.append(
                    f"hosts {members[0]}, {other}: {variable} is not the same for them; it holds "
                    "for the whole cluster: set it once, for a group of all its nodes such as "
                    "k3s_cluster"
                )
            elif self._own not in members and first is not None:
                found[option] = first
        return found, problems

    def host(self, name: str, group: str, arguments: Mapping[str, Any]) -> Host:
        """Return what the inventory says of a host; C(arguments) hold if it has no own values.

        k3s_topology_node_ip and k3s_topology_external_address are only a host's own.
        """
        return Host(
            name=name,
            group=group,
            mode=self._setting(name, "mode", arguments) or "shared",
            cluster_interface=self._setting(name, "cluster_interface", arguments),
            external_interface=self._setting(name, "external_interface", arguments),
            node_ip=self._given(name, "node_ip"),
            external_address=self._given(name, "external_address"),
            overlay_interfaces=self._overlay_interfaces(name, arguments),
        )

    def ssh_target(self, name: str, default_plugin: str) -> Optional[str]:
        """Return the name or address to which Ansible connects by SSH, None if it is not known.

        C(default_plugin) is the connection plugin of hosts that have no C(ansible_connection).
        """
        plugin = raw_values.plain(self.readable(name, "ansible_connection"))
        if (plugin or default_plugin) not in SSH_PLUGINS:
            return None
        # In this order, as the plugin ssh does.
        for variable in ("ansible_ssh_host", "ansible_host"):
            if self.has(name, variable):
                target = raw_values.plain(self.readable(name, variable))
                return None if target in (None, "") else str(target)
        return name

    def answers(
        self, names: Iterable[str], variable: str, in_play: Iterable[str], peers_variable: str
    ) -> dict[str, Mapping[str, Any]]:
        """Return what each host answered to node_facts in this run, nothing if it was not asked.

        C(variable) holds the result of a host of the play, C(peers_variable) those of the hosts
        outside that it asked. A cache has facts of an earlier run, which do not count.
        """
        peers: dict[str, Mapping[str, Any]] = {}
        for asker in in_play if peers_variable else ():
            answers = self.value(asker, peers_variable) or {}
            for answer in answers.get("results", ()):
                # With serial, a later batch may have reached a host that an earlier one did not.
                if answer.get("ansible_facts") or answer["item"] not in peers:
                    peers[answer["item"]] = answer
        found = {}
        for name in names:
            own = self.value(name, variable) or {}
            found[name] = own if own.get("ansible_facts") else peers.get(name, own)
        return found

    def _overlay_interfaces(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """Return a node's own names, or those that hold for the play."""
        option = "overlay_interfaces"
        value = self._given(name, option)
        if value is None and self._given(self._own, option) is None:
            value = arguments[option]
        return list(OVERLAY_INTERFACES if value is None else value)

    def _setting(self, name: str, option: str, arguments: Mapping[str, Any]) -> Optional[str]:
        """Return a node's own value, or the one that holds for the play (role defaults, vars)."""
        value = self._given(name, option)
        if value is None and self._given(self._own, option) is None:
            value = arguments[option]
        return None if value is None else str(value)

    def _given(self, name: str, option: str) -> Any:
        """Return a variable of k3s_topology as its kind is read, None if it is unset.

        What is wrong with it becomes one of the problems.
        """
        key = (name, option)
        if key not in self._values:
            self._values[key] = self._read(name, option)
        return self._values[key]

    def _read(self, name: str, option: str) -> Any:
        variable = f"k3s_topology_{option}"
        try:
            return raw_values.KINDS[option](self.value(name, variable))
        except TopologyError as error:
            self.problems += error.problems
        except ValueError as error:
            self.problems.append(f"host {name}: {variable} {error}")
        return None

    def value(self, name: str, variable: str) -> Any:
        """Return a variable of a host, None if it has none. Raises TopologyError."""
        try:
            # Each look at hostvars puts together all of a host's variables.
            if name not in self._known:
                self._known[name] = self._hostvars[name]
            return self._known[name].get(variable)
        except AnsibleError as error:
            raise TopologyError(
                [f"host {name}: {variable} {raw_values.unreadable(error)}"]
            ) from error

    def has(self, name: str, variable: str) -> bool:
        """Tell whether a host has a variable, readable or not."""
        try:
            return self.value(name, variable) is not None
        except TopologyError:
            return True

    def readable(self, name: str, variable: str) -> Any:
        """Return a variable of a host, None if it is not known yet: its role reads it again."""
        try:
            value = self.value(name, variable)
        except TopologyError:
            return None
        # ansible-core 2.16 leaves a template as it is if it can't be worked out.
        return None if isinstance(value, str) and "{{" in value else value
