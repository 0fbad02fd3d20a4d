#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: Gather the facts of a node that this collection decides by
version_added: 0.1.0
description:
  - Returns each interface with its global addresses as read from iproute2, the node's address in
    the connection of Ansible, and K3s's settings. Evaluates nothing and changes nothing.
  - Unlike C(ansible_default_ipv4), nothing here depends on a default route.
  - An action plugin reads interfaces and routes with a shell. The node needs Python only if K3s has
    been configured on it.
  - Of K3s's files, only the values of the options C(node-ip), C(node-external-ip),
    C(flannel-iface), C(flannel-backend), C(cluster-cidr), C(service-cidr), C(node-name) and
    C(data-dir) leave the node, and the kubelet's public certificate. Tokens stay on it.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2 4.12 or newer
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
"""

EXAMPLES = r"""
- name: Gather the facts of every node
  edgeops.k3s_network.node_facts:
"""

RETURN = r"""
ansible_facts:
  description: Facts of the node.
  returned: always
  type: dict
  contains:
    k3s_network:
      description: What the roles of this collection need of a node.
      type: dict
      returned: always
      contains:
        interfaces:
          description: Interface names, the loopback left out, with their global addresses.
          type: dict
          returned: always
          sample:
            eth0: [192.0.2.11/24]
        dummies:
          description: Which of RV(ansible_facts.k3s_network.interfaces) are dummies.
          type: list
          elements: str
          returned: always
          sample: [dummy0]
        connection_address:
          description: The node's address in the SSH connection, empty where there is none.
          type: str
          returned: always
          sample: 192.0.2.11
        default_route_settled:
          description:
            - Whether the node has a default route that leads somewhere and nothing that
              M(edgeops.k3s_network.default_route) has made, so that it has nothing to do.
          type: bool
          returned: always
          sample: true
        k3s_detects:
          description:
            - What K3s and Flannel detect on this node where their configuration names neither
              C(node-ip) nor C(flannel-iface); empty where they find nothing.
          type: dict
          returned: always
          sample:
            interface: eth0
            address: 192.0.2.11
            flannel_interface: eth0
        k3s:
          description:
            - K3s's settings as C(/etc/rancher/k3s/config.yaml), C(config.yaml.d) and the units
              C(k3s) and C(k3s-agent) have them, or V(none) if the node has no such files.
            - C(settings) are blocks of YAML and options of command lines in K3s's order.
              C(unreadable) names files that cannot be read or divided safely.
          type: dict
          returned: always
          sample:
            settings:
              - source: /etc/rancher/k3s/config.yaml
                key: node-ip
                kind: file
                append: false
                alias: false
                text: "value: 192.0.2.11"
            unreadable: []
            config: ""
            certificate: ""
            has_run: false
            version: ""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _python_version

_python_version.check()

from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import extract


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, k3s=extract())


if __name__ == "__main__":
    main()
