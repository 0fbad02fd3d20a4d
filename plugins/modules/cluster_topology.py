# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_topology
short_description: Derive the topology of a K3s cluster from inventory and facts
version_added: 0.1.0
description:
  - Runs on the controller and changes nothing. Combines the resolved inventory with the facts of
    M(edgeops.k3s_network.node_facts), and returns nodes, addresses and rules as the other parts of
    the collection use them.
  - What K3s is told on a node, by the inventory and by its own files, becomes one record. It
    decides the node's address and NIC, the networks of pods and services and the port of the
    overlay, if the variables of the role C(k3s_topology) do not.
  - Names all mistakes and contradictions at once, each with variable, host and remedy.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  inventory:
    description: What M(edgeops.k3s_network.cluster_inventory) returned under the same name.
    type: str
    required: true
  facts_variable:
    description:
      - The host variable in which the result of M(edgeops.k3s_network.node_facts) was registered.
        Facts that a fact cache holds from an earlier run do not count.
    type: str
    required: true
  peers_variable:
    description:
      - The host variable in which the results of a loop of M(edgeops.k3s_network.node_facts) over
        nodes outside the play were registered.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Derive the topology
  edgeops.k3s_network.cluster_topology:
    inventory: "{{ k3s_topology_inventory.inventory }}"
    facts_variable: k3s_topology_facts
  run_once: true
  register: k3s_topology_cluster
"""

RETURN = r"""
topology:
  description: Nodes and rules as the roles of the collection use them.
  returned: success
  type: dict
  sample:
    nodes:
      - name: node1
        group: server
        mode: shared
        address: 192.0.2.11
        cluster_interface: eth0
        external_interface: eth0
        external_address: 192.0.2.11
        overlay_interfaces: [cni0, flannel.1]
        k3s:
          settings:
            node-ip: {value: 192.0.2.11, source: extra_server_args}
          pending: []
          unreadable: []
          differences: []
          config: ""
          installed: null
          version: ""
    rules:
      - name: kubernetes-api
        first: 6443
        last: 6443
        protocol: tcp
        source: [server, agent]
        destination: [server]
        purpose: Kubernetes API server
    pod_cidr: 10.42.0.0/16
    service_cidr: 10.43.0.0/16
    restrict_sources: true
    external_sources: []
    external_clients: []
    ipsets:
      - name: k3s-nodes
        type: hash:ip
        family: inet
        entries: [192.0.2.11]
"""
