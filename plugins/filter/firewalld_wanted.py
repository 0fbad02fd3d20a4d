# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter plugin: the firewalld objects that a node wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._firewall_rules import (
    FirewallWanted,
    firewall_wanted,
)

DOCUMENTATION = r"""
name: firewalld_wanted
short_description: Return the firewalld objects that a node of the cluster wants
version_added: 0.1.0
author: The edgeops.k3s_network authors (@edgeops)
description:
  - Turns the topology into the option C(wanted) of M(edgeops.k3s_network.firewalld_state) for one
    node.
positional: node
options:
  _input:
    description: The topology that M(edgeops.k3s_network.cluster_topology) returned.
    type: dict
    required: true
  node:
    description: The inventory name of the node.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what this node admits
  ansible.builtin.debug:
    msg: "{{ k3s_topology_cluster.topology
      | edgeops.k3s_network.firewalld_wanted(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: A dictionary with the keys C(ipsets), C(policies), C(zones), C(overlay_zones) and
    C(interface_ports).
  type: dict
"""


def firewalld_wanted(topology: Any, node: str) -> FirewallWanted:
    """Return the node's objects. Raises AnsibleFilterError where it is not in the topology."""
    try:
        return firewall_wanted(topology, node)
    except KeyError as error:
        raise AnsibleFilterError(
            f"{node} is no node of this cluster; it is in neither of its groups"
        ) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"firewalld_wanted": firewalld_wanted}
