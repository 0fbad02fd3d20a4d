# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter plugin: what a source has to probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    Plan,
    Target,
)

DOCUMENTATION = r"""
name: probe_targets
short_description: Return what a source has to probe
version_added: 0.1.0
author: The edgeops.k3s_network authors (@edgeops)
description:
  - Derives the O(edgeops.k3s_network.port_probe#module:targets) of one source in
    one round.
positional: source
options:
  _input:
    description: The C(text) that P(edgeops.k3s_network.probe_plan#filter) returned.
    type: str
    required: true
  source:
    description: The inventory name of a node or an external client; V(external) for the controller.
    type: str
    required: true
  number:
    description: Which round, beginning with 1.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Show what this node would probe
  ansible.builtin.debug:
    msg: "{{ k3s_connectivity_run.plan.text |
      edgeops.k3s_network.probe_targets(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: Dictionaries with C(destination), C(address), C(protocol), C(ports) and C(full_size).
  type: list
  elements: dict
"""


def probe_targets(plan: str, source: str, number: int = 1) -> list[Target]:
    """Return what a source has to probe."""
    return Plan.from_text(plan).targets(source, int(number))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"probe_targets": probe_targets}
