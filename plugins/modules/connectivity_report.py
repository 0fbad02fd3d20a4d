# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: connectivity_report
short_description: Judge what the probes saw, and show it
version_added: 0.1.0
description:
  - Runs on the controller and changes nothing. Compares what every source was expected to see with
    what M(edgeops.k3s_network.port_probe) saw there, and prints a table, failures first.
  - It does not fail where a check has failed, so that the report can be written first.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  topology:
    description: The topology that M(edgeops.k3s_network.cluster_topology) returned.
    type: dict
    required: true
  participants:
    description: The inventory names of the hosts that took part.
    type: list
    elements: str
    required: true
  coverage:
    description: Which ports of a range were probed.
    type: str
    choices: [sample, full]
    default: sample
  seed:
    description: The seed of the sample.
    type: str
    required: true
  mode:
    description: What answered the probes, see the role C(k3s_connectivity).
    type: str
    choices: [auto, listen, live]
    default: auto
  listeners_variable:
    description: The host variable in which each node's result of
      M(edgeops.k3s_network.port_listener) was registered.
    type: str
    required: true
  probes_variable:
    description: The host variable in which each source's result of
      M(edgeops.k3s_network.port_probe) was registered.
    type: str
    required: true
  controller_probes:
    description: The result of M(edgeops.k3s_network.port_probe) on the controller, if it probed.
    type: dict
"""

EXAMPLES = r"""
- name: Judge and show what the probes saw
  edgeops.k3s_network.connectivity_report:
    topology: "{{ k3s_topology_cluster.topology }}"
    participants: "{{ ansible_play_hosts_all }}"
    seed: "1"
    listeners_variable: k3s_connectivity_listeners
    probes_variable: k3s_connectivity_probes
  run_once: true
"""

RETURN = r"""
report:
  description: The report, see report.json in the collection's documentation.
  returned: success
  type: dict
  sample:
    ok: true
    summary:
      expected_open: 1
      open: 1
      blocked: 0
      expected_closed: 0
      closed: 0
      unexpectedly_open: 0
    checks:
      - source: node1
        destination: node2
        address: 192.0.2.12
        port: "10250"
        protocol: tcp
        rule: kubelet
        expected: open
        observed: open
        ok: true
        detail: ""
page:
  description: What the template of report.html needs beside the report.
  returned: success
  type: dict
  sample: {"data": "{}", "failures": [], "unproved": 0}
message:
  description: The outcome in one text, failures named.
  returned: success
  type: str
  sample: >-
    Connectivity ok: 1 checks, 1 of 1 open as they should be, 0 of 0 closed as they should be
table:
  description: The lines that were printed.
  returned: success
  type: list
  elements: str
  sample:
    - "Connectivity ok: 1 checks, 1 of 1 open as they should be, 0 of 0 closed as they should be"
"""
