# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter plugin: where a node has to listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    Listener,
    Plan,
)

DOCUMENTATION = r"""
name: probe_listeners
short_description: Return where a node has to listen to answer the probes
version_added: 0.1.0
author: The edgeops.k3s_network authors (@edgeops)
description:
  - Derives the O(edgeops.k3s_network.port_listener#module:listeners) of one node.
  - Ports that shall be closed are among them, since only a port that answers shows a firewall that
    lets a probe in.
positional: node
options:
  _input:
    description: The C(text) that P(edgeops.k3s_network.probe_plan#filter) returned.
    type: str
    required: true
  node:
    description: The inventory name of the node.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where this node would listen
  ansible.builtin.debug:
    msg: "{{ k3s_connectivity_run.plan.text |
      edgeops.k3s_network.probe_listeners(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: Dictionaries with C(address), C(protocol), C(ports) and C(services).
  type: list
  elements: dict
"""


def probe_listeners(plan: str, node: str) -> list[Listener]:
    """Return where a node has to listen."""
    return Plan.from_text(plan).listeners(node)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"probe_listeners": probe_listeners}
