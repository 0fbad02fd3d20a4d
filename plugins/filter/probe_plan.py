# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter plugin: who has to prove what, for a whole run of probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    Plan,
    Settings,
)

DOCUMENTATION = r"""
name: probe_plan
short_description: Return who has to prove what, for a whole run of probes
version_added: 0.1.0
author: The edgeops.k3s_network authors (@edgeops)
description:
  - The plan is worked out once for all hosts. The filters
    P(edgeops.k3s_network.probe_listeners#filter) and P(edgeops.k3s_network.probe_targets#filter)
    take from it what concerns a single host, which is a matter of milliseconds in a cluster of a
    thousand.
options:
  _input:
    description: The topology that M(edgeops.k3s_network.cluster_topology) returned.
    type: dict
    required: true
  sources:
    description: The names of all that probe, nodes and external clients by their inventory names;
      V(external) for the controller. The nodes among them are probed as well.
    type: list
    elements: str
    required: true
  coverage:
    description: Which ports of a range are probed.
    type: str
    choices: [sample, full]
    required: true
  seed:
    description: The seed of the sample, and of who probes whom.
    type: str
    required: true
  full_mesh_max:
    description: Up to so many nodes, every node probes every other.
    type: int
    default: 30
  sources_per_destination:
    description: How many sources of each kind prove a row at a destination where there are more
      nodes than that.
    type: int
    default: 3
"""

EXAMPLES = r"""
- name: Show in how many rounds this play would probe
  ansible.builtin.debug:
    msg: "{{ (k3s_topology_cluster.topology | edgeops.k3s_network.probe_plan(
      sources=ansible_play_hosts, coverage='full', seed='1')).rounds }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    rounds:
      description: In how many rounds every source probes, so that a long run shows progress. More
        than one where a source has more than 100,000 ports to probe.
      type: int
      returned: always
      sample: 1
    text:
      description: The plan for the other filters and M(edgeops.k3s_network.connectivity_report). A
        text, since Ansible looks at each value of a structure again for each host that uses it.
      type: str
      returned: always
"""


def probe_plan(
    topology: Any,
    sources: list[str],
    coverage: str,
    seed: str,
    full_mesh_max: int = Settings.full_mesh_max,
    sources_per_destination: int = Settings.sources_per_destination,
) -> dict[str, Any]:
    """Return the plan. Raises ValueError where the options would prove nothing."""
    cluster = _plain(topology)
    settings = Settings(
        _plain(sources), str(coverage), str(seed), int(full_mesh_max), int(sources_per_destination)
    )
    settings = replace(settings, rounds=Plan(cluster, settings).rounds())
    return {"rounds": settings.rounds, "text": Plan(cluster, settings).to_text()}


def _plain(value: Any) -> Any:
    """Return what templates hand over as Python's own types, which alone JSON can be made of."""
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in value}
    if isinstance(value, str):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, Sequence) else value


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"probe_plan": probe_plan}
