# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_topology
short_description: Judge the inventory and work out the topology of a K3s cluster
version_added: 0.1.0
description:
  - Runs on the controller and changes nothing. Reads the groups of the inventory and the
    variables and facts of every node, also of those outside C(--limit), and returns nodes,
    addresses and rows of ports as the other parts of the collection use them.
  - All mistakes of the input are named at once, each with variable, host and remedy.
  - What holds for the whole cluster has to be the same for all its nodes. Where the host that runs
    the task is none of them, as a client outside that comes first in the play, the nodes' variables
    count (those of the role C(k3s_topology)); the options hold where the nodes have none of their
    own.
  - What belongs to a single node is read from its host variables (C(k3s_topology_mode),
    C(k3s_topology_cluster_interface), C(k3s_topology_external_interface),
    C(k3s_topology_node_ip)); the options of these names hold where a node has none of its own.
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
  stage:
    description:
      - V(members) only tells which hosts are servers and agents.
      - V(inventory) judges all that can be judged before a host is asked.
      - V(full) needs the facts of M(edgeops.k3s_network.interface_facts) and returns the topology.
    type: str
    choices: [members, inventory, full]
    default: full
  server_group:
    description: The inventory group of the K3s servers.
    type: str
    default: server
  agent_group:
    description: The inventory group of the K3s agents.
    type: str
    default: agent
  external_group:
    description: The inventory group of hosts that stand for clients outside.
    type: str
    default: external_clients
  mode:
    description: V(shared) where one NIC carries both networks, V(segregated) where each has one.
    type: str
    default: shared
  cluster_interface:
    description: The NIC of the cluster network.
    type: str
  external_interface:
    description: The NIC that external clients reach.
    type: str
  overlay_interfaces:
    description:
      - The interfaces on which pods' packets arrive, read from the host variable
        C(k3s_topology_overlay_interfaces) first.
    type: list
    elements: str
    default: [cni0, flannel.1, flannel-wg, flannel-wg-v6, flannel-v6.1]
  pod_cidr:
    description: The network of the pods.
    type: str
    default: 10.42.0.0/16
  service_cidr:
    description: The network of the services.
    type: str
    default: 10.43.0.0/16
  ports:
    description: Rows of the port table, dictionaries with C(name), C(port), C(protocol), C(source),
      C(destination) and C(purpose).
    type: list
    elements: raw
    default: []
  extra_ports:
    description: Rows added to O(ports).
    type: list
    elements: raw
    default: []
  http_redirect:
    description: Whether the row that admits external clients to 80/TCP is in force.
    type: raw
    default: true
  restrict_sources:
    description: Whether a row admits only the nodes that it names.
    type: raw
    default: true
  external_sources:
    description: Networks that rows for external clients admit; all where it is empty.
    type: list
    elements: str
    default: []
  peers_variable:
    description:
      - The host variable in which the results of a loop of M(edgeops.k3s_network.interface_facts)
        over nodes outside the play were registered.
    type: str
"""

EXAMPLES = r"""
- name: Work out the topology
  edgeops.k3s_network.cluster_topology:
    ports:
      - name: kubernetes-api
        port: 6443
        protocol: tcp
        source: [server, agent]
        destination: [server]
        purpose: Kubernetes API server
  run_once: true
  register: k3s_topology_cluster
"""

RETURN = r"""
members:
  description: Servers and agents by inventory name.
  returned: success
  type: dict
  sample:
    node1: server
    node2: agent
unknown:
  description: Nodes outside the play whose address the inventory does not give.
  returned: when O(stage=inventory)
  type: list
  elements: str
  sample: [node3]
topology:
  description: Nodes and rows as the roles of the collection use them.
  returned: when O(stage=full)
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
    rows:
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
"""
