# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import ssl

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s import host
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.config import (
    PATH,
    Situation,
    Wanted,
    in_force,
    plan,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.settings import (
    CONFIG,
    K3sConfigError,
)

UNIT = "/etc/systemd/system/k3s.service"
CERTIFICATE = "/var/lib/rancher/k3s/agent/serving-kubelet.crt"
# Of 127.0.0.1, ::1, 192.0.2.11, fd00::11, server1 and localhost.
NODE = """\
-----BEGIN CERTIFICATE-----
MIIBxjCCAWygAwIBAgIUK96/Ggh7Rn9M6LaQWjWVXUTvW0QwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEbm9kZTAgFw0yNjExMjQwMzA5NDVaGA8yMTI2MTAzMTAzMDk0
NVowDzENMAsGA1UEAwwEbm9kZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKHk
wGncPvvNofVlSqSbJFUP0me6baAhXtG1QCX4fbJ0tIr9Bsy2cZ2qxR8/w5mMizmg
vEmFUq/khZcOTUkosvCjgaMwgaAwHQYDVR0OBBYEFGUumiAgBQ0TraWkbtsWN5gF
GIhoMB8GA1UdIwQYMBaAFGUumiAgBQ0TraWkbtsWN5gFGIhoMA8GA1UdEwEB/wQF
MAMBAf8wTQYDVR0RBEYwRIcEfwAAAYcQAAAAAAAAAAAAAAAAAAAAAYcEwAACC4cQ
/QAAAAAAAAAAAAAAAAAAEYIHc2VydmVyMYIJbG9jYWxob3N0MAoGCCqGSM49BAMC
A0gAMEUCIQC+2kOMW0j8w0jpEzVEIkOF+3A4EZJFvNj5LFNFJxMA5QIgCOi9JQk+
I6Rwp/lILsqNut78FksmqWv55r/chxS75gQ=
-----END CERTIFICATE-----
"""
# Of 10.0.0.9.
OTHER = """\
-----BEGIN CERTIFICATE-----
MIIBiDCCAS6gAwIBAgIUROP1qCrvYb/PZR3/g5r12dt+XuwwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTI0MDMwOTQ1WhgPMjEyNjEwMzEwMzA5
NDVaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
dVltMnMRgneaaxS12WWEJ5vhgcEvl2lLMUCN1cf++7vWIxtQFLh3kaAXHCZfS5jm
Q3kf6UpOEZbAl6rBGknHuqNkMGIwHQYDVR0OBBYEFA+O6CwIzpZ6nQys3TUwjNVr
+AFTMB8GA1UdIwQYMBaAFA+O6CwIzpZ6nQys3TUwjNVr+AFTMA8GA1UdEwEB/wQF
MAMBAf8wDwYDVR0RBAgwBocECgAACTAKBggqhkjOPQQDAgNIADBFAiBIrGoaaciW
yU9NQudm6qKLB+YGu3hCE0etwidFmXZwwAIhANFpM9ikB3q34ycQtGV6rUz5MV8i
xO/pLtaNzRzf7R21
-----END CERTIFICATE-----
"""


class Root:
    """A directory that holds the files of a host."""

    def __init__(self, directory):
        self.directory = str(directory)

    def path(self, path):
        return os.path.join(self.directory, path.lstrip("/"))

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "wb") as stream:
            stream.write(text if isinstance(text, bytes) else text.encode())

    def unit(self, *arguments, path=UNIT):
        words = "".join(f" \\\n\t'{argument}'" for argument in arguments)
        self.put(path, f"[Service]\nExecStart=/usr/local/bin/k3s \\\n    server{words} \\\n\n")

    def read(self):
        return host.read(self.directory)

    def node_ip(self):
        return in_force(self.read().settings, "node-ip")


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def refused(root, *parts):
    with pytest.raises(K3sConfigError) as error:
        root.read()
    for part in parts:
        assert part in str(error.value)
    assert root.directory not in str(error.value)


# What the user has set


def test_a_host_without_k3s_has_set_nothing(root):
    assert root.read() == ((), None, None)
    assert host.read(root.directory).ours is None


def test_the_files_are_read_in_the_order_of_k3s(root):
    root.put(f"{CONFIG}.d/b.yml", "node-ip: 10.0.0.3\n")
    root.put(f"{CONFIG}.d/a.yaml", "node-ip: 10.0.0.2\n")
    root.put(f"{CONFIG}.d/Z.YAML", "node-ip: 10.0.0.4\n")
    root.put(f"{CONFIG}.d/c.txt", "node-ip: 10.0.0.5\n")
    root.put(f"{CONFIG}.d/d.yaml/e.yaml", "node-ip: 10.0.0.6\n")
    root.put(CONFIG, "node-ip: 10.0.0.1\n")
    settings = root.read().settings
    assert [setting.values for setting in settings] == [
        ("10.0.0.1",),
        ("10.0.0.4",),
        ("10.0.0.2",),
        ("10.0.0.3",),
    ]
    assert [setting.source for setting in settings[:2]] == [CONFIG, f"{CONFIG}.d/Z.YAML"]
    assert root.node_ip().source == f"{CONFIG}.d/b.yml"


def test_the_file_of_ours_is_apart(root):
    root.put(PATH, "node-ip: 10.0.0.1\n")
    assert root.read() == ((), "node-ip: 10.0.0.1\n", None)
    assert host.read(root.directory).ours == "node-ip: 10.0.0.1\n"


def test_the_command_line_comes_after_the_files(root):
    root.put(CONFIG, "flannel-iface: eth0\n")
    root.unit("--flannel-iface", "eth1")
    setting = in_force(root.read().settings, "flannel-iface")
    assert (setting.source, setting.values) == (f"the command line in {UNIT}", ("eth1",))


def test_the_command_line_adds_to_the_addresses_of_the_files(root):
    root.put(CONFIG, "node-ip: 10.0.0.1\n")
    root.unit("--node-ip", "fd00::1")
    assert root.node_ip().values == ("10.0.0.1", "fd00::1")
    assert root.node_ip().source == f"{CONFIG} and the command line in {UNIT}"


def test_an_agent_is_read_as_well(root):
    root.unit("--node-ip", "10.0.0.1", path="/etc/systemd/system/k3s-agent.service")
    assert root.node_ip().values == ("10.0.0.1",)


def test_drop_ins_of_the_unit_are_read_in_order(root):
    root.unit("--node-ip", "10.0.0.1")
    for name, address in (("20-b.conf", "10.0.0.3"), ("10-a.conf", "10.0.0.2"), ("30.txt", "x")):
        text = f"[Service]\nExecStart=\nExecStart=k3s server --node-ip {address}\n"
        root.put(f"{UNIT}.d/{name}", text)
    assert root.node_ip().values == ("10.0.0.3",)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{UNIT}.env", "K3S_CONFIG_FILE='/srv/k3s.yaml'\n"),
        ("/etc/default/k3s", "K3S_CONFIG_FILE=/srv/k3s.yaml\n"),
        ("/etc/sysconfig/k3s-agent", "K3S_CONFIG_FILE=/srv/k3s.yaml\n"),
        (f"{UNIT}.d/a.conf", "[Service]\nEnvironment=K3S_CONFIG_FILE=/srv/k3s.yaml\n"),
        (f"{UNIT}.d/a.conf", "[Service]\nExecStart=\nExecStart=k3s server -c /srv/k3s.yaml\n"),
    ],
)
def test_another_file_that_k3s_is_made_to_read_takes_the_place_of_the_usual_one(root, path, text):
    root.unit()
    root.put(path, text)
    root.put(CONFIG, "node-ip: 10.0.0.1\n")
    root.put("/srv/k3s.yaml", "node-ip: 10.0.0.2\n")
    root.put("/srv/k3s.yaml.d/a.yaml", "node-ip+: fd00::2\n")
    assert root.node_ip().values == ("10.0.0.2", "fd00::2")
    assert in_force(root.read().settings, "config").values == ("/srv/k3s.yaml",)


def test_the_variable_outdoes_the_flag_that_names_the_file(root):
    root.unit("--config", "/srv/flag.yaml")
    root.put(f"{UNIT}.env", "K3S_CONFIG_FILE=/srv/variable.yaml\n")
    root.put("/srv/variable.yaml", "node-ip: 10.0.0.2\n")
    assert root.node_ip().values == ("10.0.0.2",)


def test_no_file_is_read_where_k3s_reads_none(root):
    root.unit("--config=")
    root.put(CONFIG, "node-ip: 10.0.0.1\n")
    assert root.node_ip() is None


# What is not understood


def problems(root):
    return [setting.problem for setting in root.read().settings if setting.problem]


def test_what_is_not_understood_is_left_to_the_plan(root):
    root.put(CONFIG, "token: secret\nnode-ip: &a 10.0.0.1\n")
    root.put(f"{CONFIG}.d/a.yaml", "flannel-iface: eth1\n")
    [problem] = problems(root)
    assert f"{CONFIG}, line 2: " in problem
    assert in_force(root.read().settings, "flannel-iface").values == ("eth1",)
    settings, ours, installed = root.read()
    dummy = Situation("dummy0", "203.0.113.254", "dummy0", ours, settings, installed)
    with pytest.raises(K3sConfigError) as error:
        plan(dummy, Wanted("192.0.2.11", "eth1"))
    assert str(error.value) == problem
    assert plan(dummy, None).warnings == ()


def test_a_command_line_that_is_not_understood_is_left_to_the_plan(root):
    root.unit("--node-ip", "$NODE_IP")
    assert len(problems(root)) == 1


def test_a_variable_that_is_not_understood_is_left_to_the_plan(root):
    root.put(f"{UNIT}.env", "K3S_DATA_DIR=$HOME\n")
    assert len(problems(root)) == 1


def test_a_configuration_on_a_server_is_not_asked_and_not_quoted(root):
    root.unit("--config", "https://me:secret@192.0.2.1/k3s.yaml")
    [problem] = problems(root)
    assert CONFIG in problem
    assert "secret" not in problem


def test_a_file_that_is_no_text_is_an_error(root):
    root.put(CONFIG, b"token: \xff\n")
    refused(root, CONFIG)


def test_a_file_that_can_not_be_read_is_an_error(root):
    os.makedirs(root.path(CONFIG))
    refused(root, CONFIG, "directory")


def test_a_directory_that_can_not_be_read_is_an_error(root, monkeypatch):
    def scandir(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", scandir)
    refused(root, f"{UNIT}.d", "Permission denied")


# The addresses that K3s runs with


def test_the_addresses_are_those_of_the_first_certificate_without_the_loopback(root):
    root.put(CERTIFICATE, NODE + OTHER)
    assert root.read().installed == ("192.0.2.11", "fd00::11")
    root.put(CERTIFICATE, OTHER + NODE)
    assert root.read().installed == ("10.0.0.9",)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (CONFIG, "data-dir: /srv/k3s\n"),
        (UNIT, "[Service]\nExecStart=k3s server --data-dir /srv/k3s\n"),
        (f"{UNIT}.env", "K3S_DATA_DIR=/srv/k3s\n"),
    ],
)
def test_the_certificate_is_below_the_data_directory(root, path, text):
    root.put(path, text)
    root.put(CERTIFICATE, OTHER)
    root.put("/srv/k3s/agent/serving-kubelet.crt", NODE)
    assert root.read().installed == ("192.0.2.11", "fd00::11")


def test_a_file_outdoes_the_variable_that_names_the_data_directory(root):
    root.put(f"{UNIT}.env", "K3S_DATA_DIR=/srv/variable\n")
    root.put(CONFIG, "data-dir: /srv/file\n")
    root.put("/srv/file/agent/serving-kubelet.crt", NODE)
    assert root.read().installed == ("192.0.2.11", "fd00::11")


def test_an_empty_data_directory_is_the_usual_one(root):
    root.put(CONFIG, "data-dir:\n")
    root.put(CERTIFICATE, NODE)
    assert root.read().installed == ("192.0.2.11", "fd00::11")


@pytest.mark.parametrize("text", ["", "no certificate", NODE.replace("MII", "MIJ")])
def test_the_addresses_of_a_broken_certificate_are_unknown(root, text):
    root.put(CERTIFICATE, text)
    assert root.read().installed == ()


def test_the_addresses_are_unknown_to_a_python_that_decodes_no_certificate(root, monkeypatch):
    monkeypatch.setattr(ssl, "_ssl", None)
    root.put(CERTIFICATE, NODE)
    assert root.read().installed == ()


def test_an_etcd_member_without_an_agent_has_run_with_an_unknown_address(root):
    os.makedirs(root.path("/var/lib/rancher/k3s/server/db/etcd"))
    assert root.read().installed == ()
