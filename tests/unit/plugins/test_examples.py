# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EXAMPLES of each plugin are tasks that Ansible takes, with options that exist."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = sorted([*ROOT.glob("plugins/modules/*.py"), *ROOT.glob("plugins/filter/*.py")])
# Where the collection is in the tree that Ansible knows, as under ansible-test, or linked into one.
IN_TREE = ROOT.parents[1].name == "ansible_collections"
COLLECTIONS = ROOT.parents[2] if IN_TREE else ROOT / ".build"
OF_US = "edgeops.k3s_network."


def documents(path: Path) -> dict[str, Any]:
    """Return DOCUMENTATION and EXAMPLES of a plugin."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("DOCUMENTATION", "EXAMPLES") and isinstance(node.value, ast.Constant):
                found[name] = yaml.safe_load(str(node.value.value))
    return found


DOCUMENTS = {path.stem: documents(path) for path in PLUGINS}
MODULES = {path.stem for path in PLUGINS if path.parent.name == "modules"}


def check(given: Any, options: dict[str, Any], where: str) -> None:
    """Fail where a dictionary has an option that is not documented, or lacks a required one."""
    assert set(given) <= set(options), where
    for name, option in options.items():
        assert name in given or not option.get("required"), f"{where}.{name}"
        value = given.get(name)
        if isinstance(value, str):
            assert "{{" in value or value in option.get("choices", [value]), f"{where}.{name}"
        for one in value if isinstance(value, list) else []:
            if "suboptions" in option:
                check(one, option["suboptions"], f"{where}.{name}")


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_examples_use_the_plugin_with_options_that_it_has(name):
    tasks = DOCUMENTS[name]["EXAMPLES"]
    used = str(tasks)
    assert f"{OF_US}{name}" in used
    for task in tasks:
        assert task["name"][0].isupper()
        for key, options in task.items():
            if key.startswith(OF_US):
                module = key[len(OF_US) :]
                assert module in MODULES
                check(options or {}, DOCUMENTS[module]["DOCUMENTATION"].get("options", {}), name)


def test_ansible_takes_all_examples_as_tasks(tmp_path):
    plays = [
        {"name": f"Examples of {name}", "hosts": "all", "tasks": found["EXAMPLES"]}
        for name, found in sorted(DOCUMENTS.items())
    ]
    playbook = tmp_path / "examples.yml"
    playbook.write_text(yaml.safe_dump(plays, sort_keys=False))
    assert syntax_error(playbook) == ""


@pytest.mark.parametrize("role", sorted(path.name for path in ROOT.glob("roles/*")))
def test_ansible_takes_the_examples_of_each_role(tmp_path, role):
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    blocks = readme.split("\n```yaml\n")[1:]
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yml"
        path.write_text(block.partition("\n```")[0] + "\n")
        # A mapping is an inventory.
        inventory = isinstance(yaml.safe_load(path.read_text()), dict)
        assert (inventory_error if inventory else syntax_error)(path) == ""


def syntax_error(playbook: Path) -> str:
    """Return what Ansible has against a playbook."""
    # The examples are for hosts of these names, as groups or as hosts.
    return error(
        "ansible-playbook", "--syntax-check", "-i", "k3s_cluster,external_clients", str(playbook)
    )


def inventory_error(inventory: Path) -> str:
    """Return what Ansible has against an inventory."""
    return error("ansible-inventory", "--list", "-i", str(inventory))


def error(*command: str) -> str:
    """Return what a command that failed has printed."""
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stderr + done.stdout if done.returncode else ""
