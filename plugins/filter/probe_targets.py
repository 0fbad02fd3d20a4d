# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter plugin: what a source has to probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _probe_plan

DOCUMENTATION = r"""
name: probe_targets
short_description: Return what a source has to probe
version_added: 0.1.0
author: The edgeops.k3s_network authors (@edgeops)
description:
  - Derives from the topology the O(edgeops.k3s_network.port_probe#module:targets) of one source.
positional: source
options:
  _input:
    description: The topology that M(edgeops.k3s_network.cluster_topology) returned.
    type: dict
    required: true
  source:
    description: The inventory name of a node or an external client; V(external) for the controller.
    type: str
    required: true
  participants:
    description: The inventory names of the nodes that take part.
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
- name: Show what this node would probe
  ansible.builtin.debug:
    msg: "{{ k3s_topology_cluster.topology | edgeops.k3s_network.probe_targets(
      inventory_hostname, participants=ansible_play_hosts, coverage='sample', seed='1') }}"
"""

RETURN = r"""
_value:
  description: Dictionaries with C(destination), C(address), C(protocol) and C(ports).
  type: list
  elements: dict
"""


def probe_targets(
    topology: Any, source: str, participants: list[str], coverage: str, seed: str
) -> list[_probe_plan.Target]:
    """Return what a source has to probe."""
    expected = _probe_plan.expectations(topology, source, participants, coverage, seed)
    return _probe_plan.targets(expected)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"probe_targets": probe_targets}
