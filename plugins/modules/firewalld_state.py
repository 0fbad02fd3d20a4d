#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewalld_state
short_description: Bring all objects of this collection in a node's firewalld to a wanted state
version_added: 0.1.0
description:
  - Takes the whole wanted state of what this collection owns in firewalld (policies, ipsets and
    zones whose names begin with V(k3s-)), and applies it in one call, to the permanent and to the
    running configuration.
  - It reads once, plans once, applies, reads back and compares. Where a step fails, it takes back
    what it had changed.
  - Objects of others stay as they are. A zone of ours that takes over a NIC begins as a copy of the
    zone that held the NIC, so that whatever was admitted there still is.
  - firewalld activates new policies, ipsets and zones only by a reload; the module reloads where
    that is needed and only there. Changed rules and members go into the running configuration
    without one.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - firewalld 0.9 or newer, running
  - Python's dbus module, which firewalld itself needs
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - Whether the objects shall be there or everything of ours be gone.
      - With V(absent), NICs go back to the zones that held them before, and ports that were added
        to a zone of the user's are taken out of it.
    type: str
    choices: [present, absent]
    default: present
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
      ingress_zones:
        description: Where packets come from, zones or V(ANY).
        type: list
        elements: str
        required: true
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
    ipsets:
      - name: k3s-servers
        type: hash:ip
        entries: [192.0.2.11, 192.0.2.12]
    policies:
      - name: k3s-from-nodes
        ingress_zones: [ANY]
        egress_zones: [HOST]
        rules:
          - rule family="ipv4" source ipset="k3s-servers" port port="6443" protocol="tcp" accept

- name: Take everything of ours out of firewalld
  edgeops.k3s_network.firewalld_state:
    state: absent
"""

RETURN = r"""
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    Firewalld,
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_apply import (
    RecordStore,
    ensure,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    NetworkManagerError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._python import need_library


def argument_spec() -> dict:
    """Return the module's argument spec."""
    strings = {"type": "list", "elements": "str"}
    name = {"type": "str", "required": True}
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "ipsets": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": name,
                "type": {"type": "str", "required": True, "choices": ["hash:ip", "hash:net"]},
                "family": {"type": "str", "choices": ["inet", "inet6"], "default": "inet"},
                "entries": {**strings, "required": True},
            },
        },
        "policies": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": name,
                "ingress_zones": {**strings, "required": True},
                "egress_zones": {**strings, "required": True},
                "rules": {**strings, "required": True},
            },
        },
        "zones": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": name,
                "interface": {"type": "str", "required": True},
                "ports": {**strings, "default": []},
            },
        },
        "interface_ports": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "interface": {"type": "str", "required": True},
                "ports": {**strings, "required": True},
            },
        },
    }


def run(module: AnsibleModule) -> dict:
    """Apply the module's parameters. Raises FirewalldError or NetworkManagerError."""
    wanted = None
    if module.params["state"] == "present":
        wanted = {
            key: module.params[key] for key in ("ipsets", "policies", "zones", "interface_ports")
        }
    client = Firewalld(NetworkManager(module.run_command))
    return ensure(client, RecordStore(), wanted, module.check_mode)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    need_library(module, "dbus", "python3-dbus, which firewalld needs as well")
    try:
        module.exit_json(**run(module))
    except (FirewalldError, NetworkManagerError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
