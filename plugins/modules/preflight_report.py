#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_report
short_description: Evaluate the facts of all nodes before a change and print the findings
version_added: 0.1.0
description:
  - Runs on the controller and changes nothing. Evaluates each node, and the nodes against each
    other, and prints what would make the cluster's network fail, with a remedy, errors first.
  - Sets custom statistics as M(ansible.builtin.set_stats) does, for workflows of AWX.
  - It does not fail where something was found.
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
  facts_variable:
    description: The host variable in which each node's result of
      M(edgeops.k3s_network.preflight_facts) was registered.
    type: str
    required: true
  fail_on:
    description: From which severity on RV(ok) is false.
    type: str
    choices: [error, warning, never]
    default: error
"""

EXAMPLES = r"""
- name: Evaluate the nodes
  edgeops.k3s_network.preflight_report:
    topology: "{{ k3s_topology_cluster.topology }}"
    facts_variable: k3s_preflight_facts
  run_once: true
"""

RETURN = r"""
ok:
  description: Whether nothing of the severity O(fail_on) was found.
  returned: success
  type: bool
  sample: false
findings:
  description: What was found, the worst first.
  returned: success
  type: list
  elements: dict
  sample:
    - severity: error
      nodes: [node1]
      problem: firewalld is masked, so that it never starts
      remedy: systemctl unmask firewalld && systemctl enable --now firewalld
message:
  description: The outcome in a text of at most 800 characters that names the worst findings.
  returned: success
  type: str
  sample: >-
    Preflight FAILED: 1 of severity error. error: node1: ufw is a second firewall beside firewalld,
    and closes what firewalld opens; ufw disable && systemctl disable ufw
ansible_stats:
  description: The custom statistics C(k3s_preflight_ok) and C(k3s_preflight_findings), up to 20
    sentences.
  returned: success
  type: dict
  sample:
    data:
      k3s_preflight_ok: true
      k3s_preflight_findings: []
    aggregate: false
    per_host: false
"""
