# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates the variables of the roles that run later, before any of them changes a node.

Each role's own argument specification says what is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import Wanted
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.plan import (
    validate,
)

from ._topology.raw_values import plain

ROLES = ("k3s_default_route", "k3s_firewall", "k3s_connectivity")
_ROLES = Path(__file__).parents[2] / "roles"
# The least that a number may be, which no argument specification can say.
LEAST = {
    "k3s_firewall_confirm_timeout": (0, "give seconds, or 0 to switch the confirmation off"),
    "k3s_connectivity_full_mesh_max": (0, "give a number of nodes"),
    "k3s_connectivity_sources_per_destination": (1, "give a number of at least 1"),
}
_ROUTE = ("interface", "address", "gateway", "metric")


@cache
def options(role: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the argument specification of a role's main tasks."""
    text = (_ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return found


def problems(names: Iterable[str], value: Callable[[str, str], Any]) -> list[str]:
    """Return what is wrong with the variables of these hosts; C(value) tells one of a host.

    A variable that a host does not have is None and has its default, which is right.
    """
    hosts: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for role in ROLES:
            given = {variable: plain(value(name, variable)) for variable in options(role)}
            given = {variable: one for variable, one in given.items() if _is_set(one)}
            if given:
                for problem in _of_role(role, given):
                    hosts[problem].append(name)
    return [
        f"host{'s' if len(names) > 1 else ''} {', '.join(names)}: {problem}"
        for problem, names in hosts.items()
    ]


def _is_set(value: Any) -> bool:
    """Tell whether a variable is set, which an empty text is not."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def _of_role(role: str, given: Mapping[str, Any]) -> list[str]:
    specification = {
        variable: {key: option[key] for key in ("type", "elements", "choices") if key in option}
        for variable, option in options(role).items()
        if variable in given
    }
    result = ArgumentSpecValidator(specification).validate(given)
    if result.error_messages:
        return [f"{message}; see the role {role}" for message in result.error_messages]
    values = result.validated_parameters
    found = [
        f"{variable} is {values[variable]}; {remedy}"
        for variable, (least, remedy) in LEAST.items()
        if variable in values and values[variable] < least
    ]
    timeout = values.get("k3s_connectivity_probe_timeout")
    if timeout is not None and timeout <= 0:
        found.append(f"k3s_connectivity_probe_timeout is {timeout}; give seconds above 0")
    if role == "k3s_default_route":
        route = [_or_default(role, values, f"{role}_{part}") for part in _ROUTE]
        found += validate(Wanted(*route))
    return found


def _or_default(role: str, values: Mapping[str, Any], variable: str) -> Any:
    return values.get(variable, options(role)[variable].get("default"))
