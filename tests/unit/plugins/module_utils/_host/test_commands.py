# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.module_utils import basic
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.commands import runner


@pytest.fixture
def run(monkeypatch):
    """Return the function of a real AnsibleModule."""
    monkeypatch.setattr(basic, "_load_params", dict)
    monkeypatch.setattr(AnsibleModule, "_load_params", lambda self: setattr(self, "params", {}))
    monkeypatch.setattr(AnsibleModule, "__init__", lambda self: None)
    module = AnsibleModule()
    for name, value in (
        ("_debug", False),
        ("_clean", {}),
        ("no_log_values", set()),
        ("run_command_environ_update", {}),
        ("_selinux_special_fs", []),
        ("_keep_remote_files", False),
    ):
        monkeypatch.setattr(module, name, value, raising=False)
    return runner(module)


def test_a_command_returns_what_it_printed(run):
    assert run(["sh", "-c", "cat; echo err >&2; exit 3"], data="given") == (3, "given\n", "err\n")


def test_a_missing_command_returns_an_error_code(run):
    code, out, err = run(["/nowhere/systemctl", "stop"])
    assert (code, out) == (127, "")
    assert "/nowhere/systemctl: No such file or directory" in err


def test_a_command_that_is_not_executable_returns_an_error_code(run, tmp_path):
    script = tmp_path / "nmcli"
    script.write_text("#!/bin/sh\n")
    code, out, err = run([str(script)])
    assert (code, out) == (126, "")
    assert f"{script}: Permission denied" in err
