# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter plugin: where a node has to listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _probe_plan

DOCUMENTATION = r"""
name: probe_listeners
short_description: Return where a node has to listen to answer the probes
version_added: 0.1.0
author: The edgeops.k3s_network authors (@edgeops)
description:
  - Derives from the topology the O(edgeops.k3s_network.port_listener#module:listeners) of one node.
  - Ports that shall be closed are among them, since only a port that answers shows a firewall that
    lets a probe in.
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
  sources:
    description: The names of all sources that will probe, V(external) for the controller.
    type: list
    elements: str
    required: true
  coverage:
    description: Which ports of a range are probed.
    type: str
    choices: [sample, full]
    required: true
  seed:
    description: The seed of the sample.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where this node would listen
  ansible.builtin.debug:
    msg: "{{ k3s_topology_cluster.topology | edgeops.k3s_network.probe_listeners(
      inventory_hostname, sources=ansible_play_hosts, coverage='sample', seed='1') }}"
"""

RETURN = r"""
_value:
  description: Dictionaries with C(address), C(protocol) and C(ports).
  type: list
  elements: dict
"""


def probe_listeners(
    topology: Any, node: str, sources: list[str], coverage: str, seed: str
) -> list[_probe_plan.Listener]:
    """Return where a node has to listen."""
    kinds = _probe_plan.kinds(topology, sources)
    return _probe_plan.listeners(topology, node, kinds, coverage, seed)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"probe_listeners": probe_listeners}
