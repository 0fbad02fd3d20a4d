# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._answers import result
from ansible_collections.edgeops.k3s_network.tests.unit.support.lies import (
    ESCAPES,
    INJECTED,
    LIES,
    assert_clean,
)

SUBJECT = "host server1: the result of port_probe"


def keep(given):
    """Return the value of a module, which has only one."""
    if given.get("value") != 7:
        raise ValueError("value is not 7")
    return {"value": 7}


def test_only_valid_keys_of_a_result_are_kept():
    found = result.checked({"changed": True, "value": 7, "other": 1, **INJECTED}, keep, SUBJECT)
    assert set(found) == {"changed", "value", "warnings", "invocation"}
    assert (found["changed"], found["value"]) == (True, 7)
    assert_clean(found)


def test_result_that_is_not_valid_fails_and_names_the_host():
    found = result.checked({"changed": True, "value": 8}, keep, SUBJECT)
    assert found == {
        "failed": True,
        "changed": False,
        "msg": f"{SUBJECT} is not valid (value is not 7), so it does not count; check what runs "
        "as Ansible's Python and shell there",
    }
    assert "changed is not a boolean" in result.checked({"changed": 1}, keep, SUBJECT)["msg"]


@pytest.mark.parametrize("lie", LIES)
def test_any_result_is_a_failure_or_valid(lie):
    assert_clean(result.checked(lie, keep, SUBJECT))


def test_failure_keeps_its_message_and_output_clean():
    found = result.checked(
        {
            **INJECTED,
            "failed": True,
            "changed": "yes",
            "msg": "No python\n" + ESCAPES,
            "module_stderr": ESCAPES,
            "module_stdout": 7,
            "rc": 127,
        },
        keep,
        SUBJECT,
    )
    assert_clean(found)
    assert (found["failed"], found["changed"], found["rc"]) == (True, False, 127)
    assert found["msg"].startswith("No python\n?]0;owned?")
    assert "add_host" not in found and "ansible_facts" not in found
    assert len(result.checked({"failed": 1, "msg": "x" * 10**7}, keep, SUBJECT)["msg"]) == 4000
    assert result.checked({"failed": True}, keep, SUBJECT)["msg"]


def test_objects_of_ansible_core_become_texts():
    event = SimpleNamespace(msg="be careful\x1b", formatted_traceback="Traceback\n  line\x1b\n")
    given = {"warnings": [SimpleNamespace(event=event)], "exception": SimpleNamespace(event=event)}
    found = result.checked({"failed": True, "msg": "x", **given}, keep, SUBJECT)
    assert found["warnings"] == ["be careful?"]
    assert found["exception"] == "Traceback\n  line?\n"
