# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said twice is the same: roles' defaults, argument specs, module specs and their docs."""

from __future__ import annotations

import ast
import importlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLUGINS = "ansible_collections.edgeops.k3s_network.plugins"
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/tasks/main.yml"))
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
ACTIONS = sorted(path.stem for path in ROOT.glob("plugins/action/*.py"))

# The vendor guide's port table stands in the role's defaults and nowhere else, so neither the
# argument spec nor the module has it as a default.
TABLES = {"k3s_topology_ports"}

ABSENT = "no default"


def _read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def role_defaults(role: str) -> dict[str, Any]:
    return _read(f"roles/{role}/defaults/main.yml")


def entry_points(role: str) -> dict[str, Any]:
    return _read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]


def role_options(role: str) -> dict[str, Any]:
    return entry_points(role)["main"]["options"]


def documentation(module: str) -> dict[str, Any]:
    loaded = importlib.import_module(f"{PLUGINS}.modules.{module}")
    return yaml.safe_load(loaded.DOCUMENTATION).get("options", {})


def argument_spec(module: str) -> dict[str, Any]:
    """Return a module's spec, its action plugin's where that is the whole of it."""
    if module in ACTIONS:
        action = importlib.import_module(f"{PLUGINS}.action.{module}")
        if hasattr(action, "ARGUMENT_SPEC"):
            return action.ARGUMENT_SPEC
    loaded = importlib.import_module(f"{PLUGINS}.modules.{module}")
    return loaded.argument_spec() if hasattr(loaded, "argument_spec") else {}


def tasks(role: str) -> Iterator[dict[str, Any]]:
    """Yield all tasks and blocks of a role."""
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        pending = list(yaml.safe_load(path.read_text(encoding="utf-8")))
        while pending:
            task = pending.pop()
            yield task
            for section in ("block", "rescue", "always"):
                pending += task.get(section, [])


def text_of(role: str) -> str:
    """Return the tasks and templates of a role as text."""
    files = [
        path
        for folder in ("tasks", "templates", "handlers")
        for path in sorted((ROOT / "roles" / role / folder).glob("**/*"))
        if path.is_file()
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def literal(text: str) -> Any:
    """Return the value of a literal in Jinja."""
    spelled = {"true": "True", "false": "False", "none": "None"}.get(text, text)
    return ast.literal_eval(spelled)


def handed_over() -> Iterator[tuple[str, str, str]]:
    """Yield (module, option, variable) where a role hands a variable to a module as it is."""
    whole = re.compile(r"\{\{ (k3s_\w+)(?: \| default\(.*\))? \}\}")
    for role in ROLES:
        for task in tasks(role):
            calls = {**task.get("module_defaults", {}), **task}
            for key, arguments in calls.items():
                prefix, _dot, module = key.rpartition(".")
                if prefix != "edgeops.k3s_network" or not isinstance(arguments, dict):
                    continue
                for option, value in arguments.items():
                    # What a run keeps goes by the names of the role's variables.
                    match = whole.fullmatch(str(value).replace("_run.", "_"))
                    if match and any(match[1] in role_options(other) for other in ROLES):
                        yield module, option, match[1]


HANDED_OVER = sorted(set(handed_over()))


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_spec_agree(role: str) -> None:
    specified = {
        name: option["default"]
        for name, option in role_options(role).items()
        if "default" in option
    }
    defaults = role_defaults(role)
    assert specified == {name: value for name, value in defaults.items() if name not in TABLES}
    assert set(defaults) <= set(role_options(role))


@pytest.mark.parametrize("role", ROLES)
def test_entry_points_are_task_files_and_agree_with_main(role: str) -> None:
    for name, spec in entry_points(role).items():
        assert (ROOT / "roles" / role / "tasks" / f"{name}.yml").is_file()
        for variable, option in spec.get("options", {}).items():
            assert option == role_options(role)[variable]


def made_in(role: str) -> set[str]:
    """Return the variables that the tasks of a role make."""
    made: set[str] = set()
    for task in tasks(role):
        made |= {*task.get("vars", {}), *task.get("ansible.builtin.set_fact", {})}
        made |= {task["register"]} if "register" in task else set()
    return made


@pytest.mark.parametrize("role", ROLES)
def test_variables_begin_with_the_name_of_the_role(role: str) -> None:
    # Those that tasks make as well: --extra-vars and facts of the user's own go before them.
    names = {*role_options(role), *made_in(role)}
    assert not [name for name in names if not name.startswith(f"{role}_")]


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described(role: str) -> None:
    for name, option in role_options(role).items():
        assert option["description"], name
        assert option["type"], name
        assert option["version_added"], name


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_that_tasks_read_is_specified(role: str) -> None:
    read = set(re.findall(rf"\b{role}_\w+", text_of(role)))
    assert read - made_in(role) <= set(role_options(role))


@pytest.mark.parametrize("role", ROLES)
def test_every_specified_variable_is_read(role: str) -> None:
    # Some are read by another role, or on the controller for each host of its own.
    where = "\n".join(text_of(other) for other in ROLES)
    where += "\n".join((ROOT / f"plugins/action/{name}.py").read_text() for name in ACTIONS)
    where += (ROOT / "plugins/plugin_utils/_topology/hostvars.py").read_text()
    assert not [name for name in role_options(role) if not re.search(rf"\b{name}\b", where)]


@pytest.mark.parametrize("role", ROLES)
def test_fallbacks_equal_the_defaults(role: str) -> None:
    """A role that reads another's variable without running it falls back to its default."""
    known = {name: value for other in ROLES for name, value in role_defaults(other).items()}
    pattern = re.compile(r"\b(k3s_\w+) \| default\(([^()]*)\)")
    fallbacks = {
        name: literal(text)
        for name, text in pattern.findall(text_of(role))
        if not text.startswith("omit") and text != name and name in known
    }
    assert fallbacks == {name: known[name] for name in fallbacks}


@pytest.mark.parametrize(("module", "option", "variable"), HANDED_OVER)
def test_module_and_role_agree(module: str, option: str, variable: str) -> None:
    role = next(name for name in ROLES if variable in role_options(name))
    specified = role_options(role)[variable]
    offered = argument_spec(module)[option]
    # What the collection judges itself, with a message of its own, is taken as it comes.
    assert offered.get("type", "str") in (specified["type"], "raw")
    assert specified.get("elements") == offered.get("elements")
    if "choices" in specified:
        assert specified["choices"] == offered["choices"]
    if "default" in offered and variable not in TABLES:
        assert specified.get("default", ABSENT) == offered["default"]


def test_the_values_that_modules_and_roles_share_were_found() -> None:
    """The test above goes by how tasks are written; these must be among what it compares."""
    names = ("state", "interface", "address", "gateway", "metric", "backend")
    expected = {("default_route", name, f"k3s_default_route_{name}") for name in names}
    expected |= {
        ("cluster_inventory", name, f"k3s_topology_{name}")
        for name in ("server_group", "agent_group", "external_group", "mode", "ports")
    }
    expected |= {
        ("cluster_inventory", name, f"k3s_topology_{name}") for name in ("pod_cidr", "service_cidr")
    }
    expected |= {
        ("cluster_inventory", name, f"k3s_topology_{name}")
        for name in ("http_redirect", "restrict_sources", "external_sources")
    }
    expected |= {
        ("connectivity_plan", "mode", "k3s_connectivity_mode"),
        ("port_probe", "timeout", "k3s_connectivity_probe_timeout"),
    }
    assert expected <= set(HANDED_OVER)


def assert_same(documented: dict[str, Any], specified: dict[str, Any], path: str) -> None:
    assert set(documented) == set(specified), path
    for name, spec in specified.items():
        doc = documented[name]
        where = f"{path}.{name}"
        assert doc["description"], where
        assert doc.get("type", "str") == spec.get("type", "str"), where
        assert doc.get("required", False) == spec.get("required", False), where
        assert doc.get("elements") == spec.get("elements"), where
        assert doc.get("choices") == spec.get("choices"), where
        assert doc.get("default", ABSENT) == spec.get("default", ABSENT), where
        assert_same(doc.get("suboptions", {}), spec.get("options", {}), where)


@pytest.mark.parametrize("module", MODULES)
def test_documentation_and_argument_spec_agree(module: str) -> None:
    """For action plugins as well, which ansible-test does not compare."""
    assert_same(documentation(module), argument_spec(module), module)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_plugin_has_a_module_that_documents_it(action: str) -> None:
    assert action in MODULES


def test_the_action_group_holds_every_module() -> None:
    assert _read("meta/runtime.yml")["action_groups"]["all"] == MODULES
