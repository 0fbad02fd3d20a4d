# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
from unittest.mock import MagicMock

import pytest
from ansible_collections.edgeops.k3s_network.plugins.action import node_facts
from ansible_collections.edgeops.k3s_network.plugins.action.node_facts import ActionModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import (
    BACKENDS,
    PATHS,
    Wanted,
    files,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import (
    DROP_IN,
    TRACES,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import K3S

ETH0 = {
    "ifname": "eth0",
    "flags": ["BROADCAST", "UP", "LOWER_UP"],
    "addr_info": [{"local": "192.0.2.11", "prefixlen": 24, "scope": "global"}],
}
DUMMY = {
    "ifname": "mine",
    "flags": ["UP"],
    "linkinfo": {"info_kind": "dummy"},
    "addr_info": [{"local": "203.0.113.254", "prefixlen": 31, "scope": "global"}],
}
REAL = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}
THROUGH_DUMMY = {"dst": "default", "gateway": "203.0.113.255", "dev": "mine"}
HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n"
ETH0_ROW = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0   \n"
DUMMY_ROW = "mine\t00000000\tFF7100CB\t0003\t0\t0\t1000\t00000000\t0\t0\t0   \n"
IPV6_ROW = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0\n"
)
NOTHING = {"interface": "", "address": "", "flannel_interface": ""}


def ask(stdout="", rc=0, stderr="", module=None, transport="ssh", **arguments):
    task = MagicMock(check_mode=False, async_val=0, diff=False, args=arguments)
    action = ActionModule(task, MagicMock(transport=transport), *[MagicMock()] * 4)
    answer = {"rc": rc, "stdout": stdout, "stderr": stderr}
    action._low_level_execute_command = lambda _command: answer
    action._execute_module = module or MagicMock(side_effect=AssertionError("no Python needed"))
    return action.run(task_vars={})


def told(
    links=(ETH0,), routes=(), connection="", files="", ipv4=HEADER, ipv6="", before="", **others
):
    between = f"\n{node_facts._BETWEEN}\n"
    answers = [json.dumps(list(links)), json.dumps(list(routes)), connection, files, ipv4, ipv6]
    parts = [before, *answers]
    result = ask(between.join(parts), **others)
    assert not result.get("failed") and result["changed"] is False
    return result["ansible_facts"]["k3s_network"]


def test_interfaces_and_the_address_of_the_connection():
    facts = told(connection="198.51.100.9 50000 192.0.2.11 22")
    assert facts["interfaces"] == {"eth0": ["192.0.2.11/24"]}
    assert facts["connection_address"] == "192.0.2.11"


def test_local_connection_has_no_address():
    # SSH_CONNECTION is that of the user who runs Ansible on the node.
    facts = told(connection="198.51.100.9 50000 192.0.2.11 22", transport="local")
    assert facts["connection_address"] == ""


@pytest.mark.parametrize(
    "said",
    [
        "\r\nWe trust you have received the usual lecture from the local System\r\n"
        "Administrator. It usually boils down to these three things:\r\n",
        "sudo: unable to resolve host node1: Name or service not known\r\n",
        "[welcome]",
    ],
    ids=["lecture of sudo", "warning of sudo", "profile"],
)
def test_what_others_say_on_the_terminal_first_does_not_matter(said):
    assert told(before=said)["interfaces"] == {"eth0": ["192.0.2.11/24"]}


@pytest.mark.parametrize("connection", ["", "UNKNOWN 65535 UNKNOWN 65535", "nonsense"])
def test_without_a_connection_over_ip_there_is_no_address(connection):
    assert told(connection=connection)["connection_address"] == ""


@pytest.mark.parametrize(
    ("routes", "files", "settled"),
    [
        ([REAL], "", True),
        ([], "", False),
        ([THROUGH_DUMMY], "", False),
        ([THROUGH_DUMMY, REAL], "", True),
        *(([REAL], path, False) for path in (*PATHS, DROP_IN)),
        ([REAL], "\n".join(PATHS), False),
        ([{"dst": "default", "type": "unreachable", "dev": "lo"}], "", False),
    ],
)
def test_a_default_route_is_settled_where_there_is_a_real_one_and_nothing_of_ours(
    routes, files, settled
):
    facts = told(links=[ETH0, DUMMY], routes=routes, files=files)
    assert facts["default_route_settled"] is settled


@pytest.mark.parametrize(
    ("rows", "ipv6", "detects"),
    [
        ("", "", NOTHING),
        (
            ETH0_ROW + DUMMY_ROW,
            "",
            {"interface": "eth0", "address": "192.0.2.11", "flannel_interface": "eth0"},
        ),
        (
            DUMMY_ROW,
            IPV6_ROW,
            {"interface": "mine", "address": "203.0.113.254", "flannel_interface": "mine"},
        ),
    ],
)
def test_what_k3s_detects_is_told(rows, ipv6, detects):
    facts = told(links=[ETH0, DUMMY], ipv4=HEADER + rows, ipv6=ipv6)
    assert facts["k3s_detects"] == detects


def test_what_k3s_detects_on_a_host_with_ipv6_alone_is_told():
    address = {"local": "2001:db8::11", "prefixlen": 64, "scope": "global"}
    links = [{**ETH0, "addr_info": [address]}]
    assert told(links=links, ipv6=IPV6_ROW)["k3s_detects"] == {
        "interface": "eth0",
        "address": "2001:db8::11",
        "flannel_interface": "",
    }


@pytest.mark.parametrize("parts", [0, 1, 5, 6, 8])
def test_an_answer_that_is_cut_off_or_mixed_up_is_an_error(parts):
    result = ask(f"\n{node_facts._BETWEEN}\n".join(["[]"] * parts))
    assert result["failed"]
    assert "iproute2" in result["msg"]


def test_an_answer_that_is_no_json_is_an_error():
    result = ask(f"\n{node_facts._BETWEEN}\n".join(["", "1: lo: <UP>", *[""] * 5]))
    assert result["failed"]
    assert "1: lo: <UP>" in result["msg"]


def test_a_host_without_iproute2_is_told_what_it_needs():
    result = ask(rc=127, stderr="sh: 1: ip: not found\n")
    assert result["failed"]
    assert "sh: 1: ip: not found" in result["msg"]
    assert "iproute2" in result["msg"]


def run_for_real(**environment):
    return subprocess.run(
        # Ansible adds a command of its own where it asks for a terminal.
        ["sh", "-c", f"{node_facts._COMMAND} && sleep 0"],
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
    assert facts["k3s_detects"]["interface"] in {"", *facts["interfaces"]}


def test_a_connection_that_sudo_hid_is_found_above():
    command = ["sh", "-c", 'env -u SSH_CONNECTION sh -c "$QUESTION"; true']
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "QUESTION": node_facts._COMMAND,
            "SSH_CONNECTION": "198.51.100.9 50000 192.0.2.12 22",
        },
    )
    facts = ask(done.stdout)["ansible_facts"]["k3s_network"]
    assert facts["connection_address"] == "192.0.2.12"


def found_below(root):
    """Ask for real, with the files of ours below a root, and return which there are."""
    paths = (*PATHS, DROP_IN, *TRACES)
    below = " ".join(f"{root}{path}" for path in paths)
    question = node_facts._COMMAND.replace(" ".join(paths), below)
    assert question.count(str(root)) == len(paths)
    done = subprocess.run(["sh", "-c", question], check=True, capture_output=True, text=True)
    [part] = done.stdout.split(node_facts._BETWEEN)[4:5]
    return {path[len(str(root)) :] for path in part.split()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_files_of_each_backend_are_found_for_real(tmp_path, backend):
    assert found_below(tmp_path) == set()
    wanted = files(backend, Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000))
    for file in wanted:
        path = f"{tmp_path}{file.path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if file.link:
            # It leads nowhere here, as it does where a removal was interrupted.
            os.symlink(file.text, path)
        else:
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(file.text)
    assert found_below(tmp_path) == {file.path for file in wanted}


@pytest.mark.parametrize("name", [DROP_IN, *TRACES])
def test_files_of_k3s_are_found_for_real(tmp_path, name):
    path = f"{tmp_path}{name}"
    os.makedirs(os.path.dirname(path))
    os.mknod(path)
    assert name in found_below(tmp_path)


# What the module reads


def reading(answer):
    return lambda module_name, module_args, task_vars: answer


@pytest.mark.parametrize("trace", TRACES)
def test_k3s_settings_are_read_on_a_host_with_k3s(trace):
    assert told(files=trace, module=reading({"k3s": K3S}))["k3s"] == K3S


@pytest.mark.parametrize("files", ["", DROP_IN])
def test_k3s_settings_are_none_on_a_host_without_k3s(files):
    assert told(files=files)["k3s"] is None


def test_module_failure_fails_the_task():
    between = f"\n{node_facts._BETWEEN}\n"
    stdout = between.join(["", "[]", "[]", "", TRACES[0], HEADER, ""])
    result = ask(stdout, module=reading({"failed": True, "msg": "no Python"}))
    assert (result["failed"], result["msg"]) == (True, "no Python")


@pytest.mark.parametrize(
    "said",
    [
        "7",
        '["eth0"]',
        '[{"ifname": "eth0", "addr_info": 7}]',
        '[{"ifname": "eth0", "addr_info": [{"scope": "global"}]}]',
        "[" * 100_000,
    ],
)
def test_output_of_the_wrong_type_fails_with_a_short_message(said):
    between = f"\n{node_facts._BETWEEN}\n"
    result = ask(between.join(["", said, "[]", "", "", HEADER, ""]))
    assert result["failed"]
    assert "ip -json does not print" in result["msg"]
    assert len(result["msg"]) < 1200
