# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_inventory
short_description: Resolve and validate the inventory of a K3s cluster
version_added: 0.1.0
description:
  - Runs on the controller, before any node is read, and changes nothing. Reads the groups of the
    inventory and the variables of every node, also of those outside C(--limit).
  - Names all mistakes of the input at once, each with variable, host and remedy. The variables of
    the roles C(k3s_default_route), C(k3s_firewall) and C(k3s_connectivity) are validated as well.
  - Reads what the variables of k3s-ansible tell K3s, C(server_config_yaml), C(extra_server_args),
    C(agent_config_yaml) and C(extra_agent_args).
  - What holds for the whole cluster has to be the same for all its nodes. If the host that runs the
    task is not a node, such as an external client that comes first in the play, the nodes'
    variables count (those of the role C(k3s_topology)). The options hold if the nodes have none of
    their own.
  - What belongs to a single node is read from its host variables (C(k3s_topology_mode),
    C(k3s_topology_cluster_interface), C(k3s_topology_external_interface),
    C(k3s_topology_overlay_interfaces), C(k3s_topology_node_ip),
    C(k3s_topology_external_address)). The options of these names hold for nodes that have no value
    of their own.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  members_only:
    description: Whether to return only RV(members), without validating anything else.
    type: bool
    default: false
  server_group:
    description: The inventory group of the K3s servers.
    type: str
    default: server
  agent_group:
    description: The inventory group of the K3s agents.
    type: str
    default: agent
  external_group:
    description: The inventory group of hosts that stand for external clients.
    type: str
    default: external_clients
  mode:
    description: V(shared) if one NIC carries both networks, V(segregated) if each has its own.
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
    description: Rules of the port table, dictionaries with C(name), C(port), C(protocol),
      C(source), C(destination) and C(purpose).
    type: list
    elements: raw
    default: []
  extra_ports:
    description: Rules added to O(ports).
    type: list
    elements: raw
    default: []
  http_redirect:
    description: Whether the rule that admits external clients to 80/TCP is in force.
    type: raw
    default: true
  restrict_sources:
    description: Whether a rule admits only the nodes that it names.
    type: raw
    default: true
  external_sources:
    description: Networks that rules for external clients admit; any if the list is empty.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Validate the inventory
  edgeops.k3s_network.cluster_inventory:
    ports:
      - name: kubernetes-api
        port: 6443
        protocol: tcp
        source: [server, agent]
        destination: [server]
        purpose: Kubernetes API server
  run_once: true
  register: k3s_topology_inventory
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
  description: Nodes that the play does not read and that have to be read as well, servers and nodes
    whose address the inventory does not give.
  returned: success, without O(members_only)
  type: list
  elements: str
  sample: [node3]
inventory:
  description:
    - The resolved inventory as JSON, for O(edgeops.k3s_network.cluster_topology#module:inventory).
    - It is one text, because Ansible examines every value of a structure again for each host that
      uses it.
  returned: success, without O(members_only)
  type: str
"""
