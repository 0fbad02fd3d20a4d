#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: default_route
short_description: Make sure that a K3s node has a default route
version_added: 0.1.0
description:
  - K3s detects a node's address by its default route, and kube-proxy's ClusterIP routing needs one
    to exist. Where a node has none, the module adds a dummy interface that carries one, by files of
    its own (V(k3s-default-route)), so that it lasts.
  - A node that has a default route is left alone; where ours is there as well, it is taken away.
    Until then ours loses to it, whatever its metric. A unit of ours sees to that
    (C(k3s-default-route-watch)), because NetworkManager adds 20000 to the metric of a NIC behind
    which it does not reach the internet, and systemd-networkd gives 1024 to what DHCP brings.
  - Where the same interface and route were made by hand, they are taken over without a gap.
  - With the dummy as the only default route, K3s takes its address for the node's, on every node,
    and Flannel picks its interface (k3s#10109, k3s#12056). There, C(node-ip) and C(flannel-iface)
    are put into a file of ours below C(/etc/rancher/k3s/config.yaml.d), where the user has not set
    them. On a K3s that runs with another address already, which an etcd member can't change
    (rke2#5651), nothing is changed and the module fails.
  - In firewalld, the dummy interface is in the zone V(drop).
  - What could not be brought up, or would lead the connection that Ansible came by elsewhere, is
    taken back.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2
  - systemd, where a route has to be added
  - the kernel's C(dummy) driver, where a route has to be added
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.state_module
options:
  state:
    description: V(present) makes sure of a default route, V(absent) takes ours away.
    type: str
    choices: [present, absent]
    default: present
  interface:
    description: The dummy interface, a name of 15 characters at most.
    type: str
    default: dummy0
  address:
    description: Its IPv4 address with a prefix length that holds the gateway; no /32, in which the
      kernel refuses the route.
    type: str
    default: 203.0.113.254/31
  gateway:
    description: The gateway of the default route; nothing answers there.
    type: str
    default: 203.0.113.255
  metric:
    description: The metric of the default route, from 1 to 4294967294.
    type: int
    default: 1000
  backend:
    description:
      - What makes the route last. V(auto) picks what manages the node's NICs, that of the
        connection that Ansible came by first.
      - V(networkmanager) is a profile, V(networkd) a C(.netdev) and a C(.network) of
        systemd-networkd, V(systemd) a unit that runs before C(k3s.service) and
        C(k3s-agent.service).
    type: str
    choices: [auto, networkmanager, networkd, systemd]
    default: auto
  k3s_config:
    description: Whether to tell K3s the node's address and Flannel's interface where they would
      detect the dummy.
    type: bool
    default: true
  node_ip:
    description: The node's address on the cluster network. Without it nothing is told to K3s.
    type: str
  flannel_interface:
    description: The NIC of the cluster network. Required with O(node_ip).
    type: str
  k3s:
    description:
      - What is known of K3s's settings on this node, as M(edgeops.k3s_network.cluster_topology)
        returns it for each node. The module writes only options that C(settings) lacks, and no
        address that differs from C(installed), with which K3s runs.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Make sure that the node has a default route
  edgeops.k3s_network.default_route:
    node_ip: 192.0.2.11
    flannel_interface: eth0

- name: Take our route away
  edgeops.k3s_network.default_route:
    state: absent
"""

RETURN = r"""
default_routes:
  description: The default routes of the table main that were found before, as C(ip route) prints
    them.
  returned: always
  type: list
  elements: str
  sample: ["default via 192.0.2.1 dev eth0 metric 100"]
backend:
  description: What makes our route last; empty where there is none of ours.
  returned: always
  type: str
  sample: networkmanager
k3s_detects:
  description: What K3s and Flannel detect on this node afterwards where their configuration names
    neither C(node-ip) nor C(flannel-iface); empty where they find nothing.
  returned: always
  type: dict
  sample:
    interface: eth0
    address: 192.0.2.11
    flannel_interface: eth0
warned:
  description: What the module warned of, as text.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _python_version

_python_version.check()

from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.apply import (
    apply,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.options import (
    ERRORS,
    REQUIRED_BY,
    argument_spec,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import runner


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(), required_by=REQUIRED_BY, supports_check_mode=True
    )
    module.run_command_environ_update = {"LANG": "C", "LC_ALL": "C"}
    try:
        result = apply(runner(module), module.params, module.check_mode)
    except ERRORS as error:
        module.fail_json(msg=str(error))
    for warning in result["warned"]:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
