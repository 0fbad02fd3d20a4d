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
    see with what M(edgeops.k3s_network.port_probe) saw there, and prints a table, findings and
    failures first. A finding is a problem that the validation saw besides probes.
  - Writes the report where O(report_dir) says so, in check mode as well, and sets custom statistics
    as M(ansible.builtin.set_stats) does, which AWX hands to the next job of a workflow.
  - It succeeds even if a check has failed or a finding has the level V(error).
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
    description:
      - The host variable in which each node's result of M(edgeops.k3s_network.port_listener) was
        registered. The report has findings, and names the object that drops or admits a packet, if
        the listeners were started with O(edgeops.k3s_network.port_listener#module:firewall).
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
        for each check. Findings have a suite of their own, in which those of level V(error) fail.
        Of more than 5000 checks those that went well are one case for all sources,
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
  description: The outcome, the first failed checks, and the findings; O(report_dir) has all checks.
  returned: success
  type: dict
  contains:
    ok:
      description: Whether all checks are as expected and no finding has the level V(error).
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
    findings:
      description:
        - What the validation saw besides probes, worst first, as in C(report.json).
        - At most 200; of more, the last one says how many are not listed.
      type: list
      elements: dict
      returned: always
      contains:
        level:
          description: V(error) makes RV(report.ok) false, V(warning) and V(info) do not.
          type: str
          returned: always
        hosts:
          description: Inventory names of the hosts that have the problem, sorted.
          type: list
          elements: str
          returned: always
        cause:
          description: What is wrong, in at most 1,000 characters.
          type: str
          returned: always
        remedy:
          description: What to do about it, in at most 1,000 characters.
          type: str
          returned: always
      sample:
        - level: error
          hosts:
            - node1
            - node2
          cause: the firewalld policy k3s-from-nodes is not in the runtime configuration
          remedy: run the playbook prepare
ansible_stats:
  description:
    - The custom statistics. C(k3s_connectivity_ok) and C(k3s_connectivity_summary) are those of
      RV(report).
    - C(k3s_connectivity_failed) are up to 20 sentences on findings of level V(error) and on failed
      checks. If there are more failed checks, there is one sentence for each cause.
    - C(k3s_connectivity_findings) are up to 20 sentences on findings of any level, worst first.
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
        - >-
          error: node1, node2: the firewalld policy k3s-from-nodes is not in the runtime
          configuration; run the playbook prepare
        - "node1 -> node2 10250/tcp (kubelet) is unreachable, expected open"
      k3s_connectivity_findings:
        - >-
          error: node1, node2: the firewalld policy k3s-from-nodes is not in the runtime
          configuration; run the playbook prepare
    aggregate: false
    per_host: false
message:
  description: The outcome in one text of at most a few lines. It names the first findings of level
    V(error) and the first failures.
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
