# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layout that CONTRIBUTING.md describes: code of nodes, code of the controller."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PREFIX = "ansible_collections.edgeops.k3s_network.plugins."
FILES = sorted(PLUGINS.rglob("*.py"))
NODE = sorted(path for path in FILES if path.relative_to(PLUGINS).parts[0] == "module_utils")
# Beside the standard library, what firewalld brings to a node, and what a module brings along.
ON_NODES = {"dbus", "firewall", "gi", "ansible.module_utils"}


def name(path: Path) -> str:
    """Return a file's name as C(module_utils._host.files)."""
    return ".".join(path.relative_to(PLUGINS).with_suffix("").parts)


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports, wherever in it; ours by names like those of name()."""
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            if statement.level:
                above = name(path).split(".")[: -statement.level]
                base = ".".join(filter(None, [*above, base]))
            base = base[len(PREFIX) :] if base.startswith(PREFIX) else base
            yield from (f"{base}.{alias.name}" for alias in statement.names)


def package(dotted: str) -> str:
    """Return the package of a name: its first two parts."""
    return ".".join(dotted.split(".")[:2])


@pytest.mark.parametrize("path", NODE, ids=name)
def test_code_of_nodes_imports_what_nodes_have(path):
    for one in imports(path):
        top = one.split(".")[0]
        known = top == "module_utils" or top in sys.stdlib_module_names
        assert known or top in ON_NODES or package(one) in ON_NODES, f"{name(path)} imports {one}"


def test_packages_import_each_other_in_one_direction():
    needed: dict[str, set[str]] = {}
    for path in FILES:
        ours = (one for one in imports(path) if one.startswith(("module_utils.", "plugin_utils.")))
        here = package(name(path))
        needed.setdefault(here, set()).update(package(one) for one in ours if package(one) != here)
    assert {"module_utils._firewalld", "plugin_utils._report"} <= set(needed)
    # Raises CycleError, which names the cycle.
    assert list(graphlib.TopologicalSorter(needed).static_order())


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
