#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: default_route
short_description: Make sure that a K3s node has a default route
version_added: 0.1.0
description:
  - K3s detects a node's address by its default route, and kube-proxy's ClusterIP routing needs one
    to exist. Where a node has none, the module adds a dummy interface that carries one, in a
    NetworkManager profile of its own (V(k3s-default-route)), so that it lasts.
  - A node that has a default route is left alone; where ours is there as well, it is taken away.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2
  - NetworkManager 1.30 or newer, running, where a route has to be added
  - the kernel's C(dummy) driver, where a route has to be added
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description: V(present) makes sure of a default route, V(absent) takes ours away.
    type: str
    choices: [present, absent]
    default: present
  interface:
    description: The dummy interface, a name of 15 characters at most.
    type: str
    default: dummy0
  address:
    description: Its IPv4 address with a prefix length that holds the gateway.
    type: str
    default: 203.0.113.254/31
  gateway:
    description: The gateway of the default route; nothing answers there.
    type: str
    default: 203.0.113.255
  metric:
    description: The metric of the default route, so high that a real one wins.
    type: int
    default: 1000
  backend:
    description:
      - What makes the route last. V(auto) picks what manages the node's NICs.
      - Only NetworkManager is supported in this version.
    type: str
    choices: [auto, networkmanager]
    default: auto
"""

EXAMPLES = r"""
- name: Make sure that the node has a default route
  edgeops.k3s_network.default_route:

- name: Take our route away
  edgeops.k3s_network.default_route:
    state: absent
"""

RETURN = r"""
default_routes:
  description: The default routes that were found before, as C(ip route) prints them.
  returned: always
  type: list
  elements: str
  sample: ["default via 192.0.2.1 dev eth0 metric 100"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _default_route_host
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    DefaultRouteError,
    Wanted,
    plan_absent,
    plan_present,
    route_lines,
    validate,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    NetworkManagerError,
)


def argument_spec() -> dict:
    """Return the module's argument spec."""
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "interface": {"type": "str", "default": "dummy0"},
        "address": {"type": "str", "default": "203.0.113.254/31"},
        "gateway": {"type": "str", "default": "203.0.113.255"},
        "metric": {"type": "int", "default": 1000},
        "backend": {"type": "str", "choices": ["auto", "networkmanager"], "default": "auto"},
    }


def run(module: AnsibleModule) -> dict:
    """Apply the module's parameters. Raises DefaultRouteError or NetworkManagerError."""
    wanted = Wanted(*(module.params[key] for key in ("interface", "address", "gateway", "metric")))
    problems = validate(wanted)
    if problems:
        raise DefaultRouteError("; ".join(problems))
    network_manager = NetworkManager(module.run_command)
    host = _default_route_host.read(module.run_command, network_manager, wanted)
    planner = plan_present if module.params["state"] == "present" else plan_absent
    plan = planner(host, wanted)
    if plan.changed and not module.check_mode:
        _default_route_host.apply(network_manager, plan, wanted, host)
    return {
        "changed": plan.changed,
        "default_routes": route_lines(host.routes),
        "diff": {
            "before": "".join(f"{line}\n" for line in plan.before),
            "after": "".join(f"{line}\n" for line in plan.after),
        },
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.run_command_environ_update = {"LANG": "C", "LC_ALL": "C"}
    try:
        module.exit_json(**run(module))
    except (DefaultRouteError, NetworkManagerError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
