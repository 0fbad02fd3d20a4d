# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory tells K3s, in the variables of k3s-ansible. Pure functions.

k3s-ansible writes C(server_config_yaml) and C(agent_config_yaml) to K3s's configuration file, and
C(extra_server_args) and C(extra_agent_args) to its command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from .settings import ALIASES, KEYS, Setting

VARIABLES = {
    "server": ("server_config_yaml", "extra_server_args"),
    "agent": ("agent_config_yaml", "extra_agent_args"),
}
"""The variables of a server and an agent: the file, and then the command line."""


def read(
    name: str, group: str, variable: Callable[[str], Any], problems: list[str]
) -> list[Setting]:
    """Return what the inventory tells K3s on a host of a group (C(server) or C(agent)).

    C(variable) returns a variable of the host. What cannot be used is added to C(problems).
    """
    config, arguments = VARIABLES[group]
    own: list[str] = []
    found = [
        *_of_config(variable(config), config, own),
        *_of_arguments(variable(arguments), arguments, own),
    ]
    problems += [f"host {name}: {problem}" for problem in own]
    return found


def _of_config(given: Any, variable: str, problems: list[str]) -> list[Setting]:
    """Return the options of a configuration file, given as text or as a dictionary."""
    if isinstance(given, str):
        try:
            # Every scalar stays the text that it is.
            given = yaml.load(given, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            # The error's own text quotes the file.
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problems.append(f"{variable} is not valid YAML{where}; correct it")
            return []
    if given is None or given == "":
        return []
    if not isinstance(given, Mapping):
        problems.append(f"{variable} has no keys; give K3s's options as key: value")
        return []
    # A value of another key, such as a token, is not even looked at.
    keys = {written: _key(written.rstrip("+")) for written in given if isinstance(written, str)}
    return [
        Setting.of(variable, key, given[written], written.endswith("+"), _is_alias(written))
        for written, key in keys.items()
        if key in KEYS["server"]
    ]


def _of_arguments(given: Any, variable: str, problems: list[str]) -> list[Setting]:
    """Return the options of a command line, given as text or as a list."""
    if given is None or given == "":
        return []
    text = " ".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        problems.append(f"{variable} cannot be split into words ({error}); correct its quotes")
        return []
    found = []
    for word in words:
        if word == "--":
            break
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            continue
        key = _key(option.lstrip("-"))
        # The word after --kubelet-arg and its like is an option of another program.
        if not equals and (key in KEYS["server"] or key.endswith("-arg")):
            value = next(words, "")
        if key in KEYS["server"]:
            found.append(Setting.of(variable, key, value, append=True))
    return found


def _is_alias(written: str) -> bool:
    return written.rstrip("+") in ALIASES


def _key(written: str) -> str:
    return ALIASES.get(written, written)
