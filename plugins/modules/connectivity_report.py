# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: connectivity_report
short_description: Evaluate the probes and print the report
version_added: 0.1.0
description:
  - Runs on the controller and changes nothing on a node. Compares what every source was expected to
    see with what M(edgeops.k3s_network.port_probe) saw there, and prints a table, failures first.
  - Writes the report where O(report_dir) says so, in check mode as well, and sets custom statistics
    as M(ansible.builtin.set_stats) does, which AWX hands to the next job of a workflow.
  - It succeeds even if a check has failed.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  plan:
    description: What M(edgeops.k3s_network.connectivity_plan) returned under the same name.
    type: str
    required: true
  listeners_variable:
    description: The host variable in which each node's result of
      M(edgeops.k3s_network.port_listener) was registered.
    type: str
    required: true
  probes_variable:
    description: The host variable in which each source's result of
      M(edgeops.k3s_network.port_probe) was registered, in a loop over rounds.
    type: str
    required: true
  controller_probes:
    description: What M(edgeops.k3s_network.port_probe) on the controller registered in such a loop,
      if it probed.
    type: dict
  report_dir:
    description:
      - Directory on the controller for C(report.json), C(report.html) and C(report.xml), made where
        it is missing. Unset, no file is written.
      - C(report.xml) is in JUnit's format, with a test suite for each destination and a test case
        for each check. Of more than 5000 checks those that went well are one case for all sources,
        and of more than 5000 failures those of one cause at a destination are.
    type: path
"""

EXAMPLES = r"""
- name: Evaluate the probes and print the report
  edgeops.k3s_network.connectivity_report:
    plan: "{{ k3s_connectivity_plan.plan }}"
    listeners_variable: k3s_connectivity_listeners
    probes_variable: k3s_connectivity_probes
    report_dir: /var/tmp/report
  run_once: true
"""

RETURN = r"""
report:
  description: The outcome, and the first failed checks; O(report_dir) has all checks.
  returned: success
  type: dict
  contains:
    ok:
      description: Whether everything is as it should be.
      type: bool
      returned: always
      sample: false
    summary:
      description: How many checks there were and how they went.
      type: dict
      returned: always
      sample:
        expected_open: 1
        open: 0
        blocked: 1
        expected_closed: 0
        closed: 0
        unexpectedly_open: 0
        not_determined: 0
    failed:
      description: Failed checks as in C(report.json), at most 200.
      type: list
      elements: dict
      returned: always
      sample:
        - source: node1
          destination: node2
          address: 192.0.2.12
          port: "10250"
          protocol: tcp
          rule: kubelet
          expected: open
          observed: unreachable
          ok: false
          detail: >-
            node1 can't reach 192.0.2.12 (no answer to ARP); check cables, addresses and routes
            between node1 and node2
ansible_stats:
  description:
    - The custom statistics. Their data are C(k3s_connectivity_ok), C(k3s_connectivity_summary) and
      C(k3s_connectivity_failed), up to 20 sentences, one for each failed check or, where they are
      more, for each cause.
  returned: success
  type: dict
  sample:
    data:
      k3s_connectivity_ok: false
      k3s_connectivity_summary:
        expected_open: 1
        open: 0
        blocked: 1
        expected_closed: 0
        closed: 0
        unexpectedly_open: 0
        not_determined: 0
      k3s_connectivity_failed:
        - "node1 -> node2 10250/tcp (kubelet) is unreachable, expected open"
    aggregate: false
    per_host: false
message:
  description: The outcome in one text of at most a few lines, failures named.
  returned: success
  type: str
  sample: >-
    Connectivity ok: 1 checks, 1 of 1 open as they should be, 0 of 0 closed as they should be
table:
  description: The lines that were printed, at most 120.
  returned: success
  type: list
  elements: str
  sample:
    - "Connectivity ok: 1 checks, 1 of 1 open as they should be, 0 of 0 closed as they should be"
"""
