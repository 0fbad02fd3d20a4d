# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: reads a node's network with a shell, which is quicker than a module.

The module of this name reads K3s's settings, if the node has any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import PATHS
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.interfaces import (
    parse_addresses,
    parse_ssh_connection,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.routes import real_routes
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.detection import (
    detect,
    parse_ipv4,
    parse_ipv6,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import (
    DROP_IN,
    TRACES,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._action import (
    NodeAction,
    hide_below_vvv,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.changes import (
    read_detected,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.result import invalid
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers.values import line, tidy
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s import node
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import (
    facts as node_facts,
)

_BETWEEN = "--- edgeops.k3s_network ---"
_PARTS = 6
_LONGEST = 1000
# With kube-proxy's IPVS, ip prints some 300 characters for each of 50,000 services.
_LARGEST = 64 * 1024 * 1024
_MODULE = "edgeops.k3s_network.node_facts"
# sudo takes SSH_CONNECTION out of the environment, so the processes above are asked as well.
# On a terminal, sudo and profiles may have said something before.
_COMMAND = f"""PATH=$PATH:/usr/sbin:/sbin
echo '{_BETWEEN}'
ip -json -details address show || exit
echo '{_BETWEEN}'
ip -json -4 route show default || exit
echo '{_BETWEEN}'
connection=$SSH_CONNECTION
process=$PPID
while [ -z "$connection" ] && [ "${{process:-0}}" -gt 1 ]; do
  connection=$(tr '\\0' '\\n' 2>/dev/null <"/proc/$process/environ" |
    sed -n 's/^SSH_CONNECTION=//p')
  process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null)
done
echo "$connection"
echo '{_BETWEEN}'
for file in {" ".join((*PATHS, DROP_IN, *TRACES))}; do
  [ ! -e "$file" ] && [ ! -L "$file" ] || echo "$file"
done
echo '{_BETWEEN}'
cat /proc/net/route
echo '{_BETWEEN}'
cat /proc/net/ipv6_route 2>/dev/null || :"""


class ActionModule(NodeAction):
    """Needs no Python on the node unless K3s has been configured there."""

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        self.validate_argument_spec(argument_spec={})
        answer = self._low_level_execute_command(_COMMAND)
        output = str(answer["stdout"])
        if len(output) > _LARGEST:
            return invalid(self.subject(task_vars), f"it has more than {_LARGEST} characters")
        _before, *parts = output.split(_BETWEEN)
        facts: Optional[dict[str, Any]] = None
        if answer["rc"] == 0 and len(parts) == _PARTS:
            # Without SSH, it is the connection by which the user came to the controller.
            connection = "" if self._connection.transport == "local" else parts[2].strip()
            files = set(parts[3].split())
            try:
                links, routes = (json.loads(part.strip() or "[]") for part in parts[:2])
                facts = _network(links, routes, connection, files, parts[4:])
            # A node may print anything, such as a number in place of a list.
            except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
                facts = None
        if facts is None:
            said = line(str(answer["stderr"] or output).strip(), "output", _LONGEST)
            return {
                "failed": True,
                "msg": "ip -json does not print this host's interfaces and routes: "
                f"{said or answer['rc']}. It takes iproute2 4.12 or newer",
            }
        try:
            facts = {**facts, **_validated(facts)}
        except ValueError as error:
            return invalid(self.subject(task_vars), str(error))
        if files & set(TRACES):
            answer = self.answer(_k3s, task_vars, module_name=_MODULE, module_args={})
            if answer.get("failed"):
                return answer
            facts["k3s"] = answer["k3s"]
        return hide_below_vvv({"changed": False, "ansible_facts": {"k3s_network": facts}})


def _validated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a node chooses. Raises ValueError if a value is not valid."""
    network = node_facts.read(facts)
    return {
        "interfaces": dict(network.interfaces or {}),
        "dummies": list(network.dummies),
        "connection_address": network.connection_address or "",
        "k3s_detects": read_detected(facts["k3s_detects"]),
    }


def _k3s(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a node's files tell K3s. Raises ValueError if a value is not valid."""
    k3s = result.get("k3s")
    node.check(k3s)
    return {"k3s": tidy(k3s, "k3s")}


def _network(
    links: list[dict[str, Any]],
    routes: list[dict[str, Any]],
    connection_text: str,
    files: set[str],
    tables: list[str],
) -> dict[str, Any]:
    dummies = [
        link.get("ifname", "")
        for link in links
        if link.get("linkinfo", {}).get("info_kind") == "dummy"
    ]
    connection = parse_ssh_connection(connection_text)
    detected = detect(parse_ipv4(tables[0].strip()), parse_ipv6(tables[1].strip()), links)
    return {
        "interfaces": parse_addresses(links),
        "dummies": dummies,
        "connection_address": connection.address if connection else "",
        "default_route_settled": bool(real_routes(routes, *dummies))
        and not files & {*PATHS, DROP_IN},
        "k3s_detects": detected._asdict(),
        "k3s": None,
    }
