# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import pathlib
import sys

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _python_version

PLUGINS = pathlib.Path(_python_version.__file__).parents[1]
COLLECTION = "ansible_collections.edgeops.k3s_network"
MODULES = {
    path.name: path.read_text()
    for path in sorted((PLUGINS / "modules").glob("*.py"))
    if "AnsibleModule" in path.read_text()
}


@pytest.mark.parametrize("version", [(3, 7, 16), (3, 8, 18)])
def test_python_that_is_too_old_is_refused_with_its_version(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    with pytest.raises(
        RuntimeError, match=r"Python 3\.9 or newer, and /usr/bin/python3 is 3\.[78]$"
    ):
        _python_version.check()


def test_oldest_python_that_is_supported_is_accepted(monkeypatch):
    _python_version.check()
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    _python_version.check()


def test_modules_that_run_on_nodes_are_known():
    assert len(MODULES) == 6


@pytest.mark.parametrize("name", MODULES)
def test_module_checks_python_before_other_code_of_the_collection(name):
    # The file of a module has to compile with 3.8, to reach the check.
    body = ast.parse(MODULES[name], feature_version=(3, 8)).body
    lines = [ast.unparse(one) for one in body]
    imports = [line for line in lines if line.startswith(f"from {COLLECTION}")]
    assert imports[0] == f"from {COLLECTION}.plugins.module_utils import _python_version"
    check = lines.index("_python_version.check()")
    assert all(check < lines.index(line) for line in imports[1:])
    assert len(imports) > 1


def test_check_of_python_compiles_with_an_old_one():
    source = pathlib.Path(_python_version.__file__).read_text()
    ast.parse(source, feature_version=(3, 7))
