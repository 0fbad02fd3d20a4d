# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The failures are those of ansible-core 2.16, 2.19 and 2.21 with Python 2.7, 3.6, 3.7 and 3.8."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import old_python

FAILURES = [
    {"module_stderr": "SyntaxError: future feature annotations is not defined\n"},
    {"module_stderr": "    zip_data: str,\n            ^\nSyntaxError: invalid syntax\n"},
    {"exception": "Traceback\nTypeError: 'type' object is not subscriptable\n"},
    {"module_stdout": "RuntimeError: the modules of edgeops.k3s_network need Python 3.9 or newer"},
    {"msg": "ansible-core requires a minimum of Python version 3.8. Current version: 3.7.16"},
    {"msg": "Ansible requires Python 3.9 or newer on the target. Current version: 3.8.18"},
]
PATH = "/usr/libexec/platform-python"
UNKNOWN = {"failed": True, "changed": False, "msg": "MODULE FAILURE", "rc": 1}


def explain(found, answer, path=PATH):
    return old_python.explained({**UNKNOWN, **found}, "server1", path, answer)


@pytest.mark.parametrize("failure", FAILURES)
def test_python_that_is_too_old_has_a_plain_message(failure):
    assert old_python.is_possible({**UNKNOWN, **failure})
    found = explain(failure, "Last login\npython 3.6\n")
    assert found == {"failed": True, "changed": False, "msg": found["msg"]}
    assert found["msg"].startswith(
        "host server1: the modules need Python 3.9 or newer, and /usr/libexec/platform-python is "
        "3.6. Set ansible_python_interpreter to a newer one"
    )


@pytest.mark.parametrize("failure", FAILURES)
def test_failure_of_a_python_that_is_new_enough_is_kept(failure):
    for version in ("3.9", "3.10", "3.13", "4.0"):
        assert explain(failure, f"python {version}") == {**UNKNOWN, **failure}


def test_python_that_cannot_be_asked_is_known_by_its_error():
    found = explain(FAILURES[0], "")
    assert f"and {PATH} is older. Set ansible_python_interpreter" in found["msg"]
    assert "and its interpreter is older." in explain(FAILURES[2], "", "")["msg"]
    other = {"module_stderr": "ModuleNotFoundError: No module named 'dbus'"}
    assert explain(other, "") == {**UNKNOWN, **other}


def test_failure_of_a_module_itself_is_no_question_of_python():
    assert not old_python.is_possible({"failed": True, "msg": "iproute2 is missing"})
    assert not old_python.is_possible({"changed": False, "module_stdout": "x"})
    assert not old_python.is_possible(["failed"])


def test_interpreter_prints_the_version_that_is_asked():
    command = old_python.ASK.format(sys.executable)
    done = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True)
    assert done.stdout == "python {}.{}\n".format(*sys.version_info)
    assert explain(FAILURES[0], done.stdout) == {**UNKNOWN, **FAILURES[0]}
