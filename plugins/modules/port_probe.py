#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: port_probe
short_description: Probe ports of other nodes and tell what came of each
version_added: 0.1.0
description:
  - Probes TCP and UDP ports of many hosts concurrently, in one call.
  - A port counts as open only if the named host answered this very probe with a valid MAC, see
    M(edgeops.k3s_network.port_listener). An answer that was recorded earlier does not count, and a
    service that holds a TCP port gets a connection and no data.
  - A silent UDP port is never open by itself. If a VXLAN
    device or a WireGuard device of Flannel on this host sends by it, ICMP echoes through the
    overlay prove it, over IPv4 and IPv6.
  - The peers of C(flannel-wg) and C(flannel-wg-v6) are read from the kernel by netlink, which takes
    root. WireGuard devices of other software are not read.
  - Both directions of WireGuard use one port, so a stateful firewall admits packets of a connection
    that it has tracked before. RV(results[].detail) says if the overlay answered and the port
    itself did not. M(edgeops.k3s_network.connectivity_report) then counts the port as blocked if
    a witness listened on the destination.
  - ARP tells whether another host has an address of this one, since the port of a duplicate address
    may be answered by either.
  - Full-size packets that nobody may fragment are sent as well, see O(targets[].full_size).
  - ICMP errors are read from a raw socket, so that a firewall's reject is told from a missing
    route.
    Without root they are told apart by their timing.
author: The edgeops.k3s_network authors (@edgeops)
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  plan:
    description:
      - What M(edgeops.k3s_network.connectivity_plan) returned under the same name. The action
        plugin of this name takes O(token) and O(targets) of the source from it.
    type: str
  source:
    description: The source in O(plan), by default the host that runs the task. V(external) is the
      controller.
    type: str
  round:
    description: The round of O(plan), from 1 on.
    type: int
    default: 1
  token:
    description: The token of the run, at least 16 random bytes as a text. Required without O(plan).
    type: str
  targets:
    description: What to probe. Required without O(plan).
    type: list
    elements: dict
    suboptions:
      destination:
        description: The inventory name of the host that should answer.
        type: str
        required: true
      address:
        description: Its address.
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
      full_size:
        description:
          - Whether packets as large as the NIC's MTU are sent to the address as well, once for all
            its ports, so that an MTU hole on the way is found. They go to a port that answered
            over UDP, or as ICMP echoes where none did.
          - Has no effect on TCP and on IPv6.
        type: bool
        default: true
  timeout:
    description: Seconds to wait for an answer to a single probe.
    type: float
    default: 3
  renew:
    description:
      - The listeners of this same host, as RV(edgeops.k3s_network.port_listener#module:processes)
        named them. They last for their lease from the end of this module on, and meanwhile.
    type: list
    elements: dict
    default: []
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
- name: Probe the Kubernetes API of a server
  edgeops.k3s_network.port_probe:
    token: "{{ token_of_the_run }}"
    targets:
      - destination: node1
        address: 192.0.2.11
        protocol: tcp
        ports: ["6443"]
"""

RETURN = r"""
results:
  description: Outcomes in the order of the targets, neighbours with the same outcome as one.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: The address that was probed.
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
      sample: 6443
    last:
      description: The last port.
      type: int
      returned: always
      sample: 6443
    observed:
      description:
        - V(open), V(accepted) (without a valid MAC), V(wrong_host), V(refused), V(rejected),
          V(timeout), V(mtu_hole) (small packets are answered, full-size ones not), V(loss)
          (some packets are answered and others are lost, whatever their size),
          V(overlay_silent) (what lies behind the port in the overlay does not answer),
          V(unreachable) or V(error).
      type: str
      returned: always
      sample: open
    detail:
      description: Who answered instead, or what the system said.
      type: str
      returned: always
      sample: ICMP administratively prohibited from 192.0.2.11
sources:
  description: The address of this host that each address was probed from, none if this host has no
    route to it.
  returned: always
  type: dict
  sample: {"192.0.2.11": "192.0.2.12"}
duplicates:
  description: Addresses of this host that other hosts have as well, with up to 8 MACs of these.
    Asked by ARP, which takes root.
  returned: always
  type: dict
  sample: {"192.0.2.12": ["52:54:00:12:34:56"]}
ended:
  description: The processes of O(renew) that have ended, by their numbers.
  returned: always
  type: list
  elements: int
  sample: []
"""

import itertools

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _python_version

_python_version.check()

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import run as probe_run
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    targets as probe_targets,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.processes import (
    processes_spec,
)


def argument_spec() -> dict:
    """Return the module's argument spec."""
    return {
        # The action plugin replaces these with the next two.
        "plan": {"type": "str"},
        "source": {"type": "str"},
        "round": {"type": "int", "default": 1},
        "token": {"type": "str", "no_log": True},
        "targets": {
            "type": "list",
            "elements": "dict",
            "options": {
                "destination": {"type": "str", "required": True},
                "address": {"type": "str", "required": True},
                "protocol": {"type": "str", "required": True, "choices": ["tcp", "udp"]},
                "ports": {"type": "list", "elements": "str", "required": True},
                "full_size": {"type": "bool", "default": True},
            },
        },
        "timeout": {"type": "float", "default": 3},
        "renew": {**processes_spec(), "default": []},
    }


def run(params: dict) -> dict:
    """Probe. Raises ValueError where a port or the timeout is none, OSError without resources."""
    if params["timeout"] <= 0:
        raise ValueError(
            f"k3s_connectivity_probe_timeout is {params['timeout']}; give seconds above 0"
        )
    targets = [
        probe_targets.Target(
            target["destination"],
            target["address"],
            target["protocol"],
            tuple(map(_ports.parse_port, target["ports"])),
            target["full_size"],
        )
        for target in params["targets"]
    ]
    found = probe_run.run(targets, params["token"], params["timeout"], params["renew"])
    in_order = iter(found.outcomes)
    results = [
        {
            "address": target.address,
            "protocol": target.protocol,
            "first": first,
            "last": last,
            "observed": outcome.observed,
            "detail": outcome.detail,
        }
        for target in targets
        for first, last, outcome in probe_targets.group(
            target.endpoints(), itertools.islice(in_order, len(target))
        )
    ]
    addresses = sorted({target.address for target in targets})
    sources = {address: probe_targets.local_address(address) for address in addresses}
    return {
        "changed": False,
        "results": results,
        "sources": sources,
        "duplicates": found.duplicates,
        "ended": found.ended,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_one_of=[("plan", "targets")],
        required_together=[("token", "targets")],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params))
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
