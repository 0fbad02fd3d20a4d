# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.units import (
    Option,
    environment_of_file,
    environment_of_unit,
    options_of_unit,
)
from hypothesis import given
from hypothesis import strategies as st

UNIT = "/etc/systemd/system/k3s.service"
DROP_IN = f"{UNIT}.d/10-node.conf"
KEYS = ("node-ip", "flannel-iface", "data-dir", "config")
SECRET = "K10c0ffee::server:5ec2e7"


def service(*commands):
    return "\n".join(["[Unit]", "[Service]", *(f"ExecStart={one}" for one in commands), ""])


def options(*texts):
    """Return keys and values that a unit and its drop-ins set."""
    found, reason = options_of_unit(list(zip((UNIT, DROP_IN), texts)), KEYS)
    assert reason == ""
    assert SECRET not in repr(found)
    return [(one.key, one.value) for one in found]


@pytest.mark.parametrize(
    "command",
    [
        "k3s server --node-ip 10.0.0.1",
        "k3s agent --node-ip=10.0.0.1",
        "k3s server --cluster-init --node-ip 10.0.0.1",
        "k3s server -i 10.0.0.1",
        "k3s server -i=10.0.0.1",
        "k3s server -node-ip 10.0.0.1",
        f"k3s server --token {SECRET} --node-ip 10.0.0.1 --disable traefik",
        '-/usr/local/bin/k3s server --node-ip "10.0.0.1"',
        "k3s server --node-ip='10.0.0.1'",
        # As K3s's installation script writes it.
        "k3s \\\n    server \\\n\t'--node-ip' \\\n\t'10.0.0.1' \\\n",
        "k3s server \\\n# --node-ip 10.0.0.2 \\\n; comment \\\n  --node-ip 10.0.0.1",
        "k3s server --node-label 'it'\\''s' --node-ip 10.0.0.1",
        'k3s server --node-label "a\\"b" --node-ip 10.0.0.1',
        "k3s server --node-label '' --node-ip 10.0.0.1",
        "k3s server $OPTIONS --node-ip 10.0.0.1 --node-label=%H",
        "/bin/sh -xc 'exec \"$@\"' k3s server --node-ip 10.0.0.1",
        # Options of other programs.
        "k3s server --kubelet-arg --node-ip=0.0.0.0 --node-ip 10.0.0.1",
        "k3s server --kubelet-arg=node-ip=10.0.0.2 --node-ip-x 10.0.0.2 node-ip=1 -i 10.0.0.1",
    ],
)
def test_options_are_split_as_systemd_splits_them(command):
    assert options(service(command)) == [("node-ip", "10.0.0.1")]


def test_options_of_all_keys_are_read_in_order():
    command = "k3s server --flannel-iface eth1 -d /srv/k3s -i 10.0.0.1,fd00::1 --config=/srv/a.yaml"
    assert options(service(command)) == [
        ("flannel-iface", "eth1"),
        ("data-dir", "/srv/k3s"),
        ("node-ip", "10.0.0.1,fd00::1"),
        ("config", "/srv/a.yaml"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        service("/bin/sh -c true"),
        "[X-Service]\nExecStart=k3s server --node-ip 10.0.0.1\n",
        "[Service]\nExecStartPre=k3s server --node-ip 10.0.0.1\n",
    ],
)
def test_options_of_other_sections_and_commands_are_skipped(text):
    assert options(text) == []


@pytest.mark.parametrize(
    ("drop_in", "expected"),
    [
        (service("", "k3s server --node-ip 10.0.0.2"), [("node-ip", "10.0.0.2")]),
        (service(""), []),
        ("[Service]\nRestart=no\n", [("node-ip", "10.0.0.1")]),
    ],
)
def test_options_in_a_drop_in_replace_those_of_the_unit(drop_in, expected):
    assert options(service("k3s server --node-ip 10.0.0.1"), drop_in) == expected


def test_options_name_the_file_of_the_command_line():
    files = [(UNIT, service("k3s server")), (DROP_IN, service("", "k3s server -i 10.0.0.1"))]
    found, _reason = options_of_unit(files, KEYS)
    assert found == [Option(f"the command line in {DROP_IN}", "node-ip", "10.0.0.1")]


@pytest.mark.parametrize(
    "value",
    ["$NODE_IP", "${NODE_IP}", "%H", "10.0.0.1\\x20", "'a b'", f"--token={SECRET}", "", "a" * 201],
)
def test_options_with_a_value_that_is_not_plain_have_none(value):
    command = f"k3s server --token {SECRET} --node-ip {value}"
    assert options(service(command)) == [("node-ip", None)]


def test_options_within_a_script_have_a_reason():
    command = f"/bin/sh -c 'k3s server --token {SECRET} --node-ip=$(hostname -i)'"
    assert options_of_unit([(UNIT, service(command))], KEYS) == (
        [],
        f"the command line in {UNIT} sets node-ip within a script",
    )


def test_environment_of_a_unit_is_read():
    text = (
        "[Service]\nEnvironment=K3S_DATA_DIR=/old\nEnvironment=\n"
        f'Environment="K3S_DATA_DIR=/srv/a b" K3S_TOKEN={SECRET} K3S_CONFIG_FILE=/srv/k3s.yaml\n'
    )
    assert environment_of_unit([(UNIT, text)]) == [
        Option(f"K3S_DATA_DIR in {UNIT}", "data-dir", None),
        Option(f"K3S_CONFIG_FILE in {UNIT}", "config", "/srv/k3s.yaml"),
    ]


def test_environment_of_a_file_is_read():
    text = (
        f"K3S_TOKEN='{SECRET}'\n# K3S_DATA_DIR=/old\nK3S_DATA_DIR='/srv/k3s'\nK3S_CONFIG_FILE=\n"
        "K3S_NODE_NAME=$HOSTNAME\n"
    )
    assert environment_of_file("/etc/default/k3s", text) == [
        Option("K3S_DATA_DIR in /etc/default/k3s", "data-dir", "/srv/k3s"),
        Option("K3S_NODE_NAME in /etc/default/k3s", "node-name", None),
    ]


@given(st.text("k3s server-oip= \\\n'\"$%;#[]Service\nExecStart=", max_size=80))
def test_any_unit_is_read(text):
    unit = f"[Service]\nExecStart=k3s server --node-ip{text}\nEnvironment=K3S_DATA_DIR={text}"
    found, _reason = options_of_unit([(UNIT, unit)], KEYS)
    found += environment_of_unit([(UNIT, unit)]) + environment_of_file(UNIT, text)
    assert {one.key for one in found} <= {*KEYS, "node-name"}
    assert all(one.value is None or "$" not in one.value for one in found)
