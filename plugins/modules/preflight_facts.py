#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_facts
short_description: Gather what the preflight evaluates of a node
version_added: 0.1.0
description:
  - Reads the facts C(system) of M(edgeops.k3s_network.node_facts), which
    M(edgeops.k3s_network.preflight_report) evaluates. Changes nothing.
  - Runs M(edgeops.k3s_network.default_route) and M(edgeops.k3s_network.firewalld_state) in check
    mode and returns what they would do. The task succeeds even if they refuse.
  - Is an action plugin, which runs these three modules on the node.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2
  - systemd
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
  default_route:
    description: Options of M(edgeops.k3s_network.default_route).
    type: dict
    required: true
  firewalld_state:
    description: Options of M(edgeops.k3s_network.firewalld_state).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Gather what the preflight judges
  edgeops.k3s_network.preflight_facts:
    default_route: {}
    firewalld_state:
      state: absent
  register: k3s_preflight_facts
"""

RETURN = r"""
facts:
  description: What was read of the node.
  returned: success
  type: dict
  sample:
    hostname: node1
    machine_id: 0123456789abcdef0123456789abcdef
    clock: 1767225600.5
    missing_drivers: []
asked:
  description: The controller's time before and after, in seconds since 1970.
  returned: always
  type: list
  elements: float
  sample: [1767225600.1, 1767225600.9]
predicted:
  description: For each of the two modules whether it would change something, why it would
    refuse to, and what it would warn of.
  returned: success
  type: dict
  sample:
    default_route: {changed: false, refused: "", warned: []}
    firewalld_state: {changed: true, refused: "", warned: []}
"""
