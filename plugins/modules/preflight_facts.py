#!/usr/bin/python
# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_facts
short_description: Gather what the preflight evaluates of a node
version_added: 0.1.0
description:
  - Reads interfaces, routes, packet filters, units of systemd, kernel drivers, held ports, names
    and the clock of a node, which M(edgeops.k3s_network.preflight_report) evaluates. Changes
    nothing.
  - Does what M(edgeops.k3s_network.default_route) and M(edgeops.k3s_network.firewalld_state) do in
    check mode, and returns what they would do. The task succeeds even if they would refuse.
author: The edgeops.k3s_network authors (@edgeops)
requirements:
  - iproute2
  - systemd
extends_documentation_fragment:
  - edgeops.k3s_network.attributes
  - edgeops.k3s_network.attributes.actiongroup
  - edgeops.k3s_network.attributes.info_module
options:
  default_route:
    description: Options of M(edgeops.k3s_network.default_route).
    type: dict
    required: true
  firewalld_state:
    description: Options of M(edgeops.k3s_network.firewalld_state).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Gather what the preflight evaluates
  edgeops.k3s_network.preflight_facts:
    default_route: {}
    firewalld_state:
      state: absent
  register: k3s_preflight_facts
"""

RETURN = r"""
facts:
  description: What was read of the node.
  returned: success
  type: dict
  sample:
    hostname: node1
    machine_id: 0123456789abcdef0123456789abcdef
    clock: 1767225600.5
    missing_drivers: []
    default_zone: public
    default_zone_target: default
    packet_filters: []
    packet_filters_unknown: []
asked:
  description: The controller's time before and after, in seconds since 1970. An action plugin of
    this name adds it, so that the nodes' clocks can be compared.
  returned: always
  type: list
  elements: float
  sample: [1767225600.1, 1767225600.9]
predicted:
  description: For each of the two modules whether it would change something, why it would
    refuse to, and what it would warn of.
  returned: success
  type: dict
  sample:
    default_route: {changed: false, refused: "", warned: []}
    firewalld_state: {changed: true, refused: "", warned: []}
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _python_version

_python_version.check()

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _node_facts
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    apply as route,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    options as route_options,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    options as firewall_options,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import runner
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.python import need_library


def argument_spec() -> dict:
    """Return the module's argument spec."""
    return {
        "default_route": {"type": "dict", "required": True},
        "firewalld_state": {"type": "dict", "required": True},
    }


def prediction(
    validator: ArgumentSpecValidator, params: Mapping[str, Any], run: Callable[[Any], dict]
) -> dict:
    """Return what a module would do with these parameters in check mode."""
    validated = validator.validate(dict(params))
    refused = "; ".join(validated.error_messages)
    result: Mapping[str, Any] = {}
    if not refused:
        try:
            result = run(validated.validated_parameters)
        except Exception as error:
            # Whatever stops one module must not hide what else the preflight finds.
            known = isinstance(error, (*route_options.ERRORS, *firewall_options.ERRORS))
            refused = str(error) if known else f"{type(error).__name__}: {error}"
    return {
        "changed": bool(result.get("changed")),
        "refused": refused.strip(),
        "warned": list(result.get("warned", ())),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.run_command_environ_update = {"LANG": "C", "LC_ALL": "C"}
    missing = need_library(*firewall_options.LIBRARY)
    run_command = runner(module)
    facts = _node_facts.gather(run_program=run_command)

    def firewall(params: Any) -> dict:
        if missing:
            raise firewall_options.FirewalldError(missing)
        return firewall_options.apply_options(run_command, params, True)

    predicted = {
        "default_route": prediction(
            ArgumentSpecValidator(
                route_options.argument_spec(), required_by=route_options.REQUIRED_BY
            ),
            module.params["default_route"],
            lambda params: route.apply(run_command, params, True),
        ),
        "firewalld_state": prediction(
            ArgumentSpecValidator(
                firewall_options.argument_spec(), required_if=firewall_options.REQUIRED_IF
            ),
            module.params["firewalld_state"],
            firewall,
        ),
    }
    facts["clock_at_the_end"] = _node_facts.clock()
    module.exit_json(changed=False, facts=facts, predicted=predicted)


if __name__ == "__main__":
    main()
