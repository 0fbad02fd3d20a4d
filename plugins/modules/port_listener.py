#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: port_listener
short_description: Start and stop temporary listeners that answer the probes of one run
version_added: 0.1.0
description:
  - Binds ports on addresses of the node and answers the questions of
    M(edgeops.k3s_network.port_probe).
  - O(token) is the key of an HMAC and does not cross the network. A question has a random nonce and
    a MAC, so that only a holder of the token can ask. The answer has the port, the name of the node
    and a MAC over both and the question, so that an answer to another question proves nothing.
  - Over UDP an answer has as many bytes as its question. Over TCP the listener first sends 9 bytes
    that mark the run. A connection without a question ends after 2 seconds, and a process keeps at
    most 512 of them.
  - The listeners are processes of their own (C(k3s-listener)). They end when they are stopped, or
    by themselves after O(lease), unless M(edgeops.k3s_network.port_probe) on the same host renews
    that. They touch nothing of the firewall and leave no file behind.
  - If O(firewall) is set, reads whether the node's firewall is as wanted.
  - The first of them asks by ARP who else has an address of this node, and notes up to 8 MACs for
    each address, for M(edgeops.k3s_network.port_probe) on the same host.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details:
      - Listeners are started and stopped in check mode as well, since they are how the node is
        examined and nothing of it is changed.
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details:
      - A run's listeners last only as long as the run.
options:
  state:
    description: Whether to start or to stop listeners.
    type: str
    choices: [started, stopped]
    default: started
  plan:
    description:
      - What M(edgeops.k3s_network.connectivity_plan) returned under the same name. The action
        plugin of this name takes O(listeners), O(token), O(name), O(listen) and O(lease) of the
        host from it.
    type: str
  listeners:
    description: Where to listen.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: An address of the node.
        type: str
        required: true
      protocol:
        description: The protocol.
        type: str
        required: true
        choices: [tcp, udp]
      ports:
        description: Ports and ranges such as V(10000-30000).
        type: list
        elements: str
        required: true
      services:
        description:
          - Those of O(listeners[].ports) on which a service of the node is meant to listen. Where
            one does so at other addresses alone, nothing of ours listens in its place.
        type: list
        elements: str
        default: []
  listen:
    description: V(false) holds no port and only tells which ones are held, and where.
    type: bool
    default: true
  token:
    description: The token of the run, at least 16 random bytes as a text. Required with
      O(state=started).
    type: str
  name:
    description: The inventory name of the node, by which it answers. Required with
      O(state=started).
    type: str
  lease:
    description: Seconds after which the listeners end by themselves, from their start and from
      each time that it is renewed.
    type: float
    default: 300
  firewall:
    description:
      - The objects that the node's firewalld should have, as the filter
        P(edgeops.k3s_network.firewalld_wanted#filter) returns them.
      - If set, the module compares the running and the permanent configuration of firewalld with
        them, as M(edgeops.k3s_network.firewalld_state) does in check mode, and reads what else
        opens ports or drops packets. It changes nothing, and does not fail if firewalld cannot be
        read.
    type: dict
  processes:
    description: What RV(processes) named. Required with O(state=stopped).
    type: list
    elements: dict
    suboptions:
      pid:
        description: The number of the process.
        type: int
        required: true
      started:
        description: When the process started, in clock ticks after boot.
        type: int
        required: true
"""

EXAMPLES = r"""
- name: Answer on the port of the Kubernetes API
  edgeops.k3s_network.port_listener:
    listeners:
      - address: 192.0.2.11
        protocol: tcp
        ports: ["6443"]
    token: "{{ token_of_the_run }}"
    name: node1
  register: listener

- name: Stop that again
  edgeops.k3s_network.port_listener:
    state: stopped
    processes: "{{ listener.processes }}"
"""

RETURN = r"""
processes:
  description: The processes that listen.
  returned: when O(state=started)
  type: list
  elements: dict
  sample: [{"pid": 4711, "started": 123456}]
busy:
  description: Ports that another process holds, so that it answers instead.
  returned: when O(state=started)
  type: list
  elements: dict
  sample: [{"address": 192.0.2.11, "protocol": tcp, "port": 6443}]
witnessed:
  description:
    - UDP ports of RV(busy) at which a witness of the run answers beside the process that holds
      them. It sees what the firewall has let pass, so that a silent process does not hide the path.
  returned: when O(state=started)
  type: list
  elements: dict
  sample: [{"address": 192.0.2.11, "protocol": udp, "port": 8125}]
bound_elsewhere:
  description: Ports of O(listeners[].services) that a process holds at other addresses alone.
  returned: when O(state=started)
  type: list
  elements: dict
  sample: [{"address": 192.0.2.11, "protocol": tcp, "port": 6379, "held_at": ["127.0.0.1"]}]
reserved:
  description: Ports without a listener, since a service of the node that does not run needs them
    when it starts.
  returned: when O(state=started)
  type: list
  elements: dict
  sample: [{"address": 192.0.2.11, "protocol": tcp, "port": 6443, "unit": k3s.service}]
errors:
  description:
    - Ports that could not be had for another reason, such as an address that the node does not
      have, or too few file descriptors.
  returned: when O(state=started)
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
      returned: always
      sample: 192.0.2.11
    protocol:
      description: The protocol.
      type: str
      returned: always
      sample: tcp
    first:
      description: The first port.
      type: int
      returned: always
      sample: 10000
    last:
      description: The last port, with none between them that could be had.
      type: int
      returned: always
      sample: 30000
    detail:
      description: The reason.
      type: str
      returned: always
      sample: "it does not have the address 192.0.2.11: see k3s_topology_node_ip"
firewall:
  description: What on the node decides about the cluster's packets.
  returned: when O(firewall) is set
  type: dict
  contains:
    problem:
      description: Why firewalld could not be read. Empty if it could.
      returned: always
      type: str
      sample: ""
    firewalld:
      description:
        - What was read of firewalld. Empty if RV(firewall.problem) is not.
        - C(running) is whether it runs; the permanent configuration is read otherwise. C(prepared)
          is whether the node's state file lists any object. C(refused) is why
          M(edgeops.k3s_network.firewalld_state) would fail.
        - C(differences) are the objects that it would change, at most 50. Their C(configuration) is
          V(permanent) or V(runtime), their C(kind) is V(ipset), V(zone), V(policy), V(interface),
          or V(ports) of a zone of the user, and their C(state) is V(missing), V(unwanted) or
          V(different). C(settings) names the settings that differ, C(missing_zones) the ingress
          zones that a policy lacks if nothing else differs, and C(zone) the zone that an interface
          should be in.
        - C(zones) has the C(interfaces), C(sources) and C(target) of each active zone and of
          C(default_zone). C(ipsets) has the C(type) of each ipset of the user that is one of these
          sources, at most 200 of its C(entries), and whether these are C(complete). C(policies) has
          the C(target), C(priority) and C(ingress_zones) of each policy of the user for packets to
          this host. C(openings) and C(rich_rules) are those of the zones and policies of the user;
          C(option) is the option of C(firewall-cmd) that opens C(ports), without C(--add-).
      returned: always
      type: dict
      sample:
        running: true
        version: 1.3.4
        prepared: true
        refused: ""
        differences:
          - configuration: runtime
            kind: policy
            name: k3s-from-nodes
            state: missing
            settings: []
            missing_zones: []
            zone: ""
        default_zone: public
        zones:
          public: {interfaces: [eth0], sources: [], target: default}
        ipsets: {}
        policies: {}
        openings:
          - {object: zone, name: public, option: service=ssh, ports: [22/tcp]}
        rich_rules:
          - {object: zone, name: public, rule: rule protocol value="icmp" drop}
    overlay:
      description:
        - What Kubernetes and its overlay network have on this node. C(kubernetes) names processes
          that run, C(interfaces) tells whether each interface of the overlay that exists is up, and
          C(udp_ports) are held by a process or by the kernel.
      returned: always
      type: dict
      sample: {kubernetes: [k3s-server], interfaces: {flannel.1: true}, udp_ports: [8472]}
    packet_filters:
      description: Base chains of other software that can drop packets, with the rules that they
        reach, at most 50.
      returned: always
      type: list
      elements: dict
      sample: []
    packet_filters_unknown:
      description: Which packet filters could not be read, and why.
      returned: always
      type: list
      elements: str
      sample: []
    strict_forward_ports:
      description: Whether firewalld rejects the ports that K3s publishes (C(StrictForwardPorts)).
      returned: always
      type: bool
      sample: false
stopped:
  description: How many processes were still there to be stopped.
  returned: when O(state=stopped)
  type: int
  sample: 1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _python_version

_python_version.check()

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _firewall_facts, _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.wanted_spec import (
    wanted_spec,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import held_ports, iproute
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import runner
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.python import need_library
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    arp,
    listener,
    stopped_services,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.processes import (
    processes_spec,
)


def argument_spec() -> dict:
    """Return the module's argument spec."""
    return {
        "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        # The action plugin replaces it with what it holds for the host.
        "plan": {"type": "str"},
        "listeners": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "address": {"type": "str", "required": True},
                "protocol": {"type": "str", "required": True, "choices": ["tcp", "udp"]},
                "ports": {"type": "list", "elements": "str", "required": True},
                "services": {"type": "list", "elements": "str", "default": []},
            },
        },
        "listen": {"type": "bool", "default": True},
        "token": {"type": "str", "no_log": True},
        "name": {"type": "str"},
        "lease": {"type": "float", "default": 300},
        # wanted_spec() is documented with firewalld_state.
        "firewall": {"type": "dict"},
        "processes": processes_spec(),
    }


def run(params: dict) -> dict:
    """Start listeners; the action plugin stops them without the module.

    Raises OSError if no process can be started, ValueError for an invalid port.
    """
    held = held_ports.read()
    elsewhere = {
        endpoint: addresses
        for endpoint in _endpoints(params["listeners"], "services")
        if (addresses := held_ports.elsewhere(held, *endpoint))
    }
    endpoints = [one for one in _endpoints(params["listeners"], "ports") if one not in elsewhere]
    units = stopped_services.read() if params["listen"] else {}
    reserved = {
        endpoint: unit
        for endpoint in endpoints
        if (unit := units.get(endpoint[1:])) and not held_ports.is_held(held, *endpoint)
    }
    endpoints = [one for one in endpoints if one not in reserved]
    listening = endpoints if params["listen"] else []
    held_already = [
        one for one in endpoints if one not in listening and held_ports.is_held(held, *one)
    ]
    watch = arp.watch(iproute.ask) if listening else None
    started = listener.start(
        listening, params["token"], params["name"], params["lease"], held_already, watch
    )
    errors = [
        {"address": address, "protocol": protocol, "first": first, "last": last, "detail": detail}
        for address, protocol, first, last, detail in listener.merged(started.errors)
    ]
    return {
        "changed": False,
        "processes": started.processes,
        "busy": _places(started.busy),
        "witnessed": _places(started.witnessed),
        "bound_elsewhere": [
            {"address": address, "protocol": protocol, "port": port, "held_at": addresses}
            for (address, protocol, port), addresses in elsewhere.items()
        ],
        "reserved": [
            {"address": address, "protocol": protocol, "port": port, "unit": unit}
            for (address, protocol, port), unit in reserved.items()
        ],
        "errors": errors,
    }


def _places(endpoints: list) -> list:
    return [dict(zip(("address", "protocol", "port"), endpoint)) for endpoint in endpoints]


def _endpoints(listeners: list, key: str) -> list:
    return [
        (entry["address"], entry["protocol"], port)
        for entry in listeners
        for first, last in map(_ports.parse_port, entry[key])
        for port in range(first, last + 1)
    ]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", "started", ["token", "name"])],
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LANG": "C", "LC_ALL": "C"}
    facts = {}
    if module.params["firewall"] is not None and module.params["state"] == "started":
        validated = ArgumentSpecValidator(wanted_spec()).validate(module.params["firewall"])
        if validated.error_messages:
            module.fail_json(msg=f"firewall: {'; '.join(validated.error_messages)}")
        # Before a listener starts, since the module may be run again by another Python.
        missing = need_library(*_firewall_facts.LIBRARY)
        facts["firewall"] = _firewall_facts.read(
            runner(module), validated.validated_parameters, missing
        )
    try:
        module.exit_json(**facts, **run(module.params))
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
