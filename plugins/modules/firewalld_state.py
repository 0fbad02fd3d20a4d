#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewalld_state
short_description: Configure firewalld policies, ipsets and zones of a K3s node
version_added: 0.1.0
description:
  - Takes the whole wanted state of what this collection owns in firewalld (policies, ipsets and
    zones), and applies it in one call, to the permanent and to the runtime configuration.
  - It reads once, plans once, applies, reads back and compares. If a step fails, it rolls back
    what it had changed.
  - The state file C(/var/lib/k3s-network/firewalld.json) on the node lists what this collection
    created. An object that is not listed there is never changed or deleted, whatever its name is.
    If such an object has the name of one that is wanted, it is adopted if it equals what the module
    would create; otherwise the module fails and changes nothing.
  - If the state file is lost, O(state=present) adopts the objects that equal what it would create,
    and fails if there is one that does not. O(state=absent) then leaves all of them and warns.
    NICs in adopted zones return to the default zone when they are removed.
  - Other objects stay as they are. A zone that takes over a NIC starts as a copy of the zone that
    held the NIC, so that what was admitted there still is.
  - A change counts as done only when all files that were written are on disk. A file of this
    collection that is broken all the same is written again by the next run.
  - firewalld activates new policies, ipsets and zones only by a reload; the module reloads it only
    if that is needed. Changed rules and members need no reload. After a reload, the module restores
    what others have only in the runtime configuration.
  - The module fails before it changes anything if the change would block the SSH connection that
    Ansible uses.
  - From the first step on, a service of the node (C(k3s-network-guardian-ID)) holds the state to
    roll back to. It rolls back if the module is killed, or if the controller does not confirm the
    change over a new connection within O(confirm_timeout). If the node restarts before that, a
    unit rolls back.
  - One run at a time changes a node; another one waits.
  - If firewalld does not run, the module writes the permanent configuration and warns that it
    becomes active when firewalld starts.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - firewalld 0.9 or newer
  - Python's dbus module, which firewalld itself needs
  - systemd
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.state_module
options:
  confirm_timeout:
    description:
      - Seconds to wait for the controller to confirm the change over a new SSH connection before
        the node rolls it back.
      - V(0) disables the rollback; the change is final as soon as it is applied and verified.
    type: int
    default: 60
  allow_disruptive_reload:
    description:
      - Consent to interrupt a running Kubernetes. The module fails without it if Kubernetes runs on
        the node and the change interrupts it, which is so in two cases.
      - A reload of firewalld flushes the iptables rules of Kubernetes. firewalld before 2.0 does
        that (U(https://github.com/firewalld/firewalld/issues/863)), and any firewalld with the
        iptables backend or with direct rules. The module restores the rules; services and published
        ports do not accept new connections for up to 2 seconds.
      - With O(state=absent), firewalld rejects the traffic of pods and between the nodes from then
        on, unless other rules admit it.
      - Rules that remain of a Kubernetes that does not run do not count.
    type: bool
    default: false
  state:
    description:
      - V(present) creates and changes the objects, V(absent) removes everything that this
        collection created.
      - With V(absent), NICs return to the zones that held them before, and ports that were added to
        a zone of the user's are removed from it.
    type: str
    choices: [present, absent]
    default: present
  wanted:
    description:
      - All objects that this node shall have, as the filter
        P(edgeops.k3s_network.firewalld_wanted#filter) returns them. Objects of this collection that
        are not listed are removed.
      - Required with O(state=present).
    type: dict
    suboptions:
      ipsets:
        description: The ipsets.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name, beginning with V(k3s-).
            type: str
            required: true
          type:
            description: The type of its members.
            type: str
            required: true
            choices: ['hash:ip', 'hash:net']
          family:
            description: The address family of its members.
            type: str
            choices: [inet, inet6]
            default: inet
          entries:
            description: Addresses or networks.
            type: list
            elements: str
            required: true
      policies:
        description: The policies.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name, beginning with V(k3s-), of 17 characters at most.
            type: str
            required: true
          priority:
            description:
              - When it is asked, lower numbers first; negative ones before the zone of the packet,
                positive ones after it. Two policies of ours may not have the same.
              - On firewalld 0.9, where a zone in use has the target DROP or REJECT, a positive one
                is taken for a negative one, since such a zone would end the matter first.
            type: int
            required: true
          ingress_zones:
            description:
              - Where packets come from, zones or V(ANY).
              - A zone of the user's with a source that overlaps the addresses in
                O(wanted.policies[].rules) is added, since firewalld looks for a zone by source
                address first.
            type: list
            elements: str
            required: true
          ingress_interfaces:
            description: Interfaces whose zones, whichever they are on the node, are added to
              O(wanted.policies[].ingress_zones).
            type: list
            elements: str
            default: []
          egress_zones:
            description: Where packets go to, zones, V(ANY) or V(HOST).
            type: list
            elements: str
            required: true
          rules:
            description: Rich rules, spelled as firewalld prints them.
            type: list
            elements: str
            required: true
      zones:
        description: Zones of ours that hold a NIC.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name, beginning with V(k3s-), of 17 characters at most.
            type: str
            required: true
          interface:
            description:
              - The NIC. Where NetworkManager manages it, its profile's C(connection.zone) is set,
                which would override firewalld's own binding.
            type: str
            required: true
          ports:
            description: Plain ports such as V(10000-30000/tcp), beyond those of the former zone.
            type: list
            elements: str
            default: []
      overlay_zones:
        description:
          - Zones that hold the interfaces on which pods' packets arrive. The interfaces need not
            exist.
          - They start as a copy of the default zone, which takes these packets otherwise. An
            interface that the user has bound to a zone with the target C(ACCEPT), such as
            C(trusted), stays there. The module fails if one is bound to another zone.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name, beginning with V(k3s-), of 17 characters at most.
            type: str
            required: true
          interfaces:
            description: Names of interfaces.
            type: list
            elements: str
            required: true
      interface_ports:
        description: Plain ports to add to whatever zone holds an interface, without taking it over.
        type: list
        elements: dict
        default: []
        suboptions:
          interface:
            description: The interface.
            type: str
            required: true
          ports:
            description: Plain ports such as V(10000-30000/tcp).
            type: list
            elements: str
            required: true
"""

EXAMPLES = r"""
- name: Admit the servers to the Kubernetes API
  edgeops.k3s_network.firewalld_state:
    wanted:
      ipsets:
        - name: k3s-servers
          type: hash:ip
          entries: [192.0.2.11, 192.0.2.12]
      policies:
        - name: k3s-from-nodes
          priority: 1010
          ingress_zones: [ANY]
          egress_zones: [HOST]
          rules:
            - rule family="ipv4" source ipset="k3s-servers" port port="6443" protocol="tcp" accept

- name: Remove everything that this collection created in firewalld
  edgeops.k3s_network.firewalld_state:
    state: absent
"""

RETURN = r"""
active:
  description: Whether firewalld runs, so that the state is in force.
  returned: always
  type: bool
  sample: true
confirmed:
  description: Whether the controller has confirmed the change over a new connection.
  returned: when a change was made and O(confirm_timeout) is not V(0)
  type: bool
  sample: true
firewalld_version:
  description: The version of the node's firewalld.
  returned: always
  type: str
  sample: 1.3.3
reloaded:
  description: Whether firewalld was reloaded.
  returned: always
  type: bool
  sample: false
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

from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.options import (
    ERRORS,
    LIBRARY,
    REQUIRED_IF,
    apply_options,
    argument_spec,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import runner
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.python import need_library


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=REQUIRED_IF,
        supports_check_mode=True,
    )
    missing = need_library(*LIBRARY)
    if missing:
        module.fail_json(msg=missing)
    try:
        result = apply_options(runner(module), module.params, module.check_mode)
    except ERRORS as error:
        module.fail_json(msg=str(error))
    for warning in result["warned"]:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
