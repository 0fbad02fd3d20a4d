# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
from unittest.mock import MagicMock

import pytest
from ansible_collections.edgeops.k3s_network.plugins.action import interface_facts
from ansible_collections.edgeops.k3s_network.plugins.action.interface_facts import ActionModule

ETH0 = {
    "ifname": "eth0",
    "addr_info": [{"local": "192.0.2.11", "prefixlen": 24, "scope": "global"}],
}
DUMMY = {"ifname": "mine", "linkinfo": {"info_kind": "dummy"}, "addr_info": []}
REAL = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}
THROUGH_DUMMY = {"dst": "default", "gateway": "203.0.113.255", "dev": "mine"}
PROFILE = "/etc/NetworkManager/system-connections/k3s-default-route.nmconnection"


def ask(stdout="", rc=0, stderr=""):
    task = MagicMock(check_mode=False, async_val=0, diff=False, args={})
    action = ActionModule(task, *[MagicMock()] * 5)
    answer = {"rc": rc, "stdout": stdout, "stderr": stderr}
    action._low_level_execute_command = lambda _command: answer
    return action.run(task_vars={})


def told(links=(ETH0,), routes=(), connection="", profiles=""):
    between = f"\n{interface_facts._BETWEEN}\n"
    parts = [json.dumps(list(links)), json.dumps(list(routes)), connection, profiles]
    result = ask(between.join(parts))
    assert not result.get("failed") and result["changed"] is False
    return result["ansible_facts"]["k3s_network"]


def test_interfaces_and_the_address_of_the_connection():
    facts = told(connection="198.51.100.9 50000 192.0.2.11 22")
    assert facts["interfaces"] == {"eth0": ["192.0.2.11/24"]}
    assert facts["connection_address"] == "192.0.2.11"


@pytest.mark.parametrize("connection", ["", "UNKNOWN 65535 UNKNOWN 65535", "nonsense"])
def test_without_a_connection_over_ip_there_is_no_address(connection):
    assert told(connection=connection)["connection_address"] == ""


@pytest.mark.parametrize(
    ("routes", "profiles", "settled"),
    [
        ([REAL], "", True),
        ([], "", False),
        ([THROUGH_DUMMY], "", False),
        ([THROUGH_DUMMY, REAL], "", True),
        ([REAL], PROFILE, False),
        ([{"dst": "default", "type": "unreachable", "dev": "lo"}], "", False),
    ],
)
def test_a_default_route_is_settled_where_there_is_a_real_one_and_nothing_of_ours(
    routes, profiles, settled
):
    facts = told(links=[ETH0, DUMMY], routes=routes, profiles=profiles)
    assert facts["default_route_settled"] is settled


def test_a_host_without_iproute2_is_told_what_it_needs():
    result = ask(rc=127, stderr="sh: 1: ip: not found\n")
    assert result["failed"]
    assert "sh: 1: ip: not found" in result["msg"]
    assert "iproute2" in result["msg"]


def run_for_real(**environment):
    return subprocess.run(
        # Ansible adds a command of its own where it asks for a terminal.
        ["sh", "-c", f"{interface_facts._COMMAND} && sleep 0"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def test_a_shell_understands_the_question():
    done = run_for_real(SSH_CONNECTION="198.51.100.9 50000 192.0.2.11 22")
    assert done.returncode == 0, done.stderr
    facts = ask(done.stdout)["ansible_facts"]["k3s_network"]
    assert facts["connection_address"] == "192.0.2.11"


def test_a_connection_that_sudo_hid_is_found_above():
    command = ["sh", "-c", 'env -u SSH_CONNECTION sh -c "$QUESTION"; true']
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "QUESTION": interface_facts._COMMAND,
            "SSH_CONNECTION": "198.51.100.9 50000 192.0.2.12 22",
        },
    )
    facts = ask(done.stdout)["ansible_facts"]["k3s_network"]
    assert facts["connection_address"] == "192.0.2.12"
