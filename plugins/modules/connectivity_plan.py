# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: connectivity_plan
short_description: Plan the probes of a run
version_added: 0.1.0
description:
  - Runs on the controller, once for all hosts, and changes nothing on a node. Decides which host
    probes which ports of which others, and makes the token with which they prove their answers.
  - M(edgeops.k3s_network.port_listener) and M(edgeops.k3s_network.port_probe) take their part from
    the plan, and M(edgeops.k3s_network.connectivity_report) evaluates their results by it.
  - Nodes and external clients of the topology that are in the play take part. The nodes are probed
    as well.
  - If the host that runs the task is not a node, the variables C(k3s_connectivity_*) of the first
    node count instead of the options.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  topology:
    description: The topology that M(edgeops.k3s_network.cluster_topology) returned.
    type: dict
    required: true
  mode:
    description: What answers the probes, see the role C(k3s_connectivity).
    type: str
    choices: [auto, listen, live]
    default: auto
  range_coverage:
    description: Which ports of a range are probed.
    type: str
    choices: [sample, full]
    default: sample
  seed:
    description: Seed for the sample of ports and for the pairs of hosts. Random if it is not set.
    type: str
  full_mesh_max:
    description: Largest cluster that is probed as a full mesh.
    type: int
    default: 30
  sources_per_destination:
    description: How many sources of each kind probe a rule at a destination in a larger cluster.
    type: int
    default: 3
  probe_from_controller:
    description: Whether the controller probes as an external client, under the name V(external).
    type: bool
    default: false
  report_dir:
    description: Directory on the controller for the report. It is created, and checked to be
      writable, before anything is probed.
    type: path
"""

EXAMPLES = r"""
- name: Plan the probes
  edgeops.k3s_network.connectivity_plan:
    topology: "{{ k3s_topology_cluster.topology }}"
    range_coverage: full
  run_once: true
  register: k3s_connectivity_plan
"""

RETURN = r"""
plan:
  description: The plan as one text, because Ansible examines every value of a structure again for
    each host that uses it. It holds the token of the run, which
    is secret until the run ends.
  returned: success
  type: str
rounds:
  description: In how many rounds every source probes, so that a long run shows progress. More than
    one if a source has more than 100,000 ports to probe.
  returned: success
  type: int
  sample: 1
participants:
  description: The hosts of the play that probe.
  returned: success
  type: list
  elements: str
  sample: [node1, node2]
from_controller:
  description: O(probe_from_controller), of the nodes.
  returned: success
  type: bool
  sample: false
report_dir:
  description: O(report_dir), of the nodes; empty if it is not set.
  returned: success
  type: str
  sample: ""
"""
