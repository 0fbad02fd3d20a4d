#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: interface_facts
short_description: Gather a node's interfaces and their addresses
version_added: 0.1.0
description:
  - Returns each interface with its global addresses as read from iproute2, and the address of the
    node in the connection that Ansible came by.
  - Unlike C(ansible_default_ipv4) nothing here depends on a default route.
  - Is an action plugin and asks with a shell, so that the node needs no Python for it.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2 4.12 or newer
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
"""

EXAMPLES = r"""
- name: Gather the interfaces of every node
  edgeops.k3s_network.interface_facts:
"""

RETURN = r"""
ansible_facts:
  description: Facts of the node.
  returned: always
  type: dict
  contains:
    k3s_network:
      description: What the roles of this collection need to know of a node.
      type: dict
      returned: always
      contains:
        interfaces:
          description: Interface names, the loopback left out, with their global addresses.
          type: dict
          returned: always
          sample:
            eth0: [192.0.2.11/24]
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
"""
