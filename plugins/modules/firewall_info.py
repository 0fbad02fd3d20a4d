#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_info
short_description: Read whether a node's firewall is as wanted
version_added: 0.1.0
description:
  - Compares the running and the permanent configuration of firewalld with the objects that the node
    should have, as M(edgeops.k3s_network.firewalld_state) does in check mode.
  - Reads which zones and policies of the user open ports, and the state of the interfaces on which
    packets of pods arrive.
  - M(edgeops.k3s_network.connectivity_report) evaluates the result. Changes nothing.
  - The task succeeds even if firewalld cannot be read; RV(problem) has the reason.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2
  - Python's dbus module, which firewalld itself needs
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  wanted:
    description:
      - All objects that the node should have, as the filter
        P(edgeops.k3s_network.firewalld_wanted#filter) returns them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Read the firewall
  edgeops.k3s_network.firewall_info:
    wanted: "{{ k3s_topology_cluster.topology
      | edgeops.k3s_network.firewalld_wanted(inventory_hostname) }}"
  register: k3s_connectivity_firewall
"""

RETURN = r"""
problem:
  description: Why firewalld could not be read. Empty if it could.
  returned: success
  type: str
  sample: ""
firewalld:
  description: What was read of firewalld. Empty if RV(problem) is not.
  returned: success
  type: dict
  contains:
    running:
      description: Whether firewalld runs. The permanent configuration is read otherwise.
      type: bool
      returned: always
      sample: true
    version:
      description: Its version.
      type: str
      returned: always
      sample: 1.3.4
    prepared:
      description: Whether the state file of the node lists any object.
      type: bool
      returned: always
      sample: true
    refused:
      description: Why M(edgeops.k3s_network.firewalld_state) would fail. Empty if it would not.
      type: str
      returned: always
      sample: ""
    differences:
      description:
        - What M(edgeops.k3s_network.firewalld_state) would change, at most 50 objects.
        - C(configuration) is V(permanent) or V(runtime). C(kind) is V(ipset), V(zone), V(policy),
          V(interface), or V(ports) of a zone of the user. C(state) is V(missing), V(unwanted) or
          V(different). C(settings) names the settings that differ. C(zone) is the zone that an
          interface should be in.
      type: list
      elements: dict
      returned: always
      sample:
        - configuration: runtime
          kind: policy
          name: k3s-from-nodes
          state: missing
          settings: []
          zone: ""
    default_zone:
      description: The zone of interfaces that no zone lists.
      type: str
      returned: always
      sample: public
    zones:
      description: The C(interfaces), C(sources) and C(target) of each active zone and of the
        default zone, by name.
      type: dict
      returned: always
      sample:
        public: {interfaces: [eth0], sources: [], target: default}
    openings:
      description:
        - Ports that zones and policies of the user open to this host. C(object) is V(zone) or
          V(policy). C(option) is the option of C(firewall-cmd) that opens them, without
          C(--add-).
      type: list
      elements: dict
      returned: always
      sample:
        - object: zone
          name: public
          option: service=ssh
          ports: [22/tcp]
    rich_rules:
      description:
        - Rich rules of the active zones of the user, and of the user's policies for packets to this
          host.
      type: list
      elements: dict
      returned: always
      sample:
        - object: zone
          name: public
          rule: rule family="ipv4" source address="198.51.100.7" drop
overlay:
  description: What Kubernetes and its overlay network have on this node.
  returned: success
  type: dict
  contains:
    kubernetes:
      description: Names of the processes of Kubernetes that run.
      type: list
      elements: str
      returned: always
      sample: [k3s-server]
    interfaces:
      description: Which of the interfaces of the overlay exist, and whether they are up.
      type: dict
      returned: always
      sample: {cni0: true, flannel.1: true}
    udp_ports:
      description: UDP ports that a process or the kernel holds, at most 1,000.
      type: list
      elements: int
      returned: always
      sample: [8472]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.connect import (
    open_firewalld,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.errors import (
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.inspect import inspect
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.record_store import (
    RecordStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.wanted_spec import (
    wanted_spec,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import runner
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManagerError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.python import need_library
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s import overlay


def argument_spec() -> dict[str, Any]:
    """Return the module's argument spec."""
    # wanted_spec() is documented with firewalld_state.
    return {"wanted": {"type": "dict", "required": True}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.run_command_environ_update = {"LANG": "C", "LC_ALL": "C"}
    validated = ArgumentSpecValidator(wanted_spec()).validate(module.params["wanted"])
    if validated.error_messages:
        module.fail_json(msg=f"wanted: {'; '.join(validated.error_messages)}")
    wanted = validated.validated_parameters
    run_command = runner(module)
    firewalld: dict[str, Any] = {}
    problem = need_library("dbus", "python3-dbus, which firewalld needs as well") or ""
    if not problem:
        try:
            firewalld = inspect(open_firewalld(run_command), RecordStore().load(), wanted)
        except (FirewalldError, NetworkManagerError, OSError) as error:
            problem = str(error) or type(error).__name__
    names = [name for zone in wanted["overlay_zones"] for name in zone["interfaces"]]
    module.exit_json(
        changed=False, problem=problem, firewalld=firewalld, overlay=overlay.read(names)
    )


if __name__ == "__main__":
    main()
