# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s import extract as module
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import (
    CONFIG,
    DROP_IN,
    extract,
)

UNIT = "/etc/systemd/system/k3s.service"
AGENT_UNIT = "/etc/systemd/system/k3s-agent.service"
CERTIFICATE = "/var/lib/rancher/k3s/agent/serving-kubelet.crt"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
SECRET = "K10c0ffee::server:5ec2e7"


class Root:
    """A directory with the files of a host."""

    def __init__(self, directory):
        self.directory = str(directory)

    def path(self, path):
        return os.path.join(self.directory, path.lstrip("/"))

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "wb") as stream:
            stream.write(text if isinstance(text, bytes) else text.encode())

    def unit(self, *arguments, path=UNIT):
        self.put(path, f"[Service]\nExecStart=k3s server {' '.join(arguments)}\n")

    def extract(self):
        return extract(self.directory)

    def values(self):
        """Return key and value of the settings in the order of K3s."""
        return [
            (one["key"], one["text"].removeprefix("value: ") if "text" in one else one["value"])
            for one in self.extract()["settings"]
        ]

    def unreadable(self):
        found = self.extract()["unreadable"]
        assert self.directory not in repr(found)
        return [(one["path"], one["reason"]) for one in found]


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def test_extract_host_without_k3s_is_empty(root):
    assert root.extract() == {
        "settings": [],
        "unreadable": [],
        "config": "",
        "certificate": "",
        "has_run": False,
        "version": "",
    }


# Settings


def test_extract_files_are_in_the_order_of_k3s(root):
    for name, address in (
        (".d/b.yml", "10.0.0.3"),
        (".d/a.yaml", "10.0.0.2"),
        (".d/Z.YAML", "10.0.0.4"),
        (".d/c.txt", "10.0.0.5"),
        (".d/d.yaml/e.yaml", "10.0.0.6"),
        ("", "10.0.0.1"),
    ):
        root.put(f"{CONFIG}{name}", f"node-ip: {address}\n")
    assert [(one["source"], one["text"]) for one in root.extract()["settings"]] == [
        (CONFIG, "value: 10.0.0.1"),
        (f"{CONFIG}.d/Z.YAML", "value: 10.0.0.4"),
        (f"{CONFIG}.d/a.yaml", "value: 10.0.0.2"),
        (f"{CONFIG}.d/b.yml", "value: 10.0.0.3"),
    ]


def test_extract_file_of_this_collection_is_skipped(root):
    root.put(DROP_IN, "node-ip: 10.0.0.1\n")
    assert root.values() == []


def test_extract_setting_has_its_source_and_kind(root):
    root.put(CONFIG, "i: 10.0.0.1\nnode-ip+: fd00::1\nd: /srv/k3s\n")
    root.put(f"{UNIT}.env", "K3S_NODE_NAME=n1\n")
    root.unit("--node-ip", "10.0.0.2")
    in_file = {"source": CONFIG, "kind": "file"}
    assert root.extract()["settings"] == [
        {
            "source": f"K3S_NODE_NAME in {UNIT}.env",
            "key": "node-name",
            "kind": "environment",
            "append": False,
            "value": "n1",
        },
        {**in_file, "key": "node-ip", "append": False, "alias": True, "text": "value: 10.0.0.1"},
        {**in_file, "key": "node-ip", "append": True, "alias": False, "text": "value: fd00::1"},
        {**in_file, "key": "data-dir", "append": False, "alias": True, "text": "value: /srv/k3s"},
        {
            "source": f"the command line in {UNIT}",
            "key": "node-ip",
            "kind": "command line",
            "append": True,
            "value": "10.0.0.2",
        },
    ]


def test_extract_agent_is_read(root):
    root.unit("--node-ip", "10.0.0.1", path=AGENT_UNIT)
    assert root.values() == [("node-ip", "10.0.0.1")]


def test_extract_drop_ins_of_the_unit_are_in_order(root):
    root.unit("--node-ip", "10.0.0.1")
    for name, address in (("20-b.conf", "10.0.0.3"), ("10-a.conf", "10.0.0.2"), ("30.txt", "x")):
        text = f"[Service]\nExecStart=\nExecStart=k3s server --node-ip {address}\n"
        root.put(f"{UNIT}.d/{name}", text)
    assert root.values() == [("node-ip", "10.0.0.3")]


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
def test_extract_another_configuration_replaces_the_usual(root, path, text):
    root.unit()
    root.put(path, text)
    root.put(CONFIG, "node-ip: 10.0.0.1\n")
    root.put("/srv/k3s.yaml", "node-ip: 10.0.0.2\n")
    root.put("/srv/k3s.yaml.d/a.yaml", "node-ip+: fd00::2\n")
    assert root.values() == [("node-ip", "10.0.0.2"), ("node-ip", "fd00::2")]
    assert root.extract()["config"] == "/srv/k3s.yaml"


def test_extract_usual_configuration_may_be_named(root):
    root.unit("--config", "/etc/rancher/k3s//config.yaml")
    root.put(CONFIG, "node-ip: 10.0.0.1\n")
    assert root.values() == [("node-ip", "10.0.0.1")]
    assert root.extract()["config"] == ""


def test_extract_variable_of_the_configuration_wins(root):
    root.unit("--config", "/srv/flag.yaml")
    root.put(f"{UNIT}.env", "K3S_CONFIG_FILE=/srv/variable.yaml\n")
    root.put("/srv/variable.yaml", "node-ip: 10.0.0.2\n")
    assert root.values() == [("node-ip", "10.0.0.2")]


# Files that cannot be read


def test_extract_file_that_cannot_be_cut_is_named(root):
    root.put(CONFIG, "x: 1\nnode-ip: &a 10.0.0.1\n")
    root.put(f"{CONFIG}.d/a.yaml", "flannel-iface: eth1\n")
    assert root.unreadable() == [(CONFIG, "line 2 has an anchor or an alias")]
    assert root.values() == [("flannel-iface", "eth1")]


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        (CONFIG, b"token: \xff\n", "it is not UTF-8 text"),
        (CONFIG, "#" * (1024 * 1024 + 1), "it is larger than 1 MiB"),
        (UNIT, b"\xff", "it is not UTF-8 text"),
        (UNIT, "[Service]\nExecStart=sh -c 'k3s server --node-ip 1'\n", "sets node-ip within a"),
        (f"{CONFIG}/x", "", "Is a directory"),
    ],
)
def test_extract_file_that_cannot_be_read_is_named(root, path, text, reason):
    root.put(path, text)
    [(found, why)] = root.unreadable()
    assert found == path.removesuffix("/x")
    assert reason in why


def test_extract_directory_that_cannot_be_read_is_named(root, monkeypatch):
    def scandir(_path):
        raise PermissionError(13, "Permission non accordée")

    monkeypatch.setattr(os, "scandir", scandir)
    assert (f"{CONFIG}.d", "Permission non accord\\xe9e") in root.unreadable()


def test_extract_name_of_a_file_is_printable(root):
    root.put(f"{CONFIG}.d/\x1bä.yaml", "node-ip: 10.0.0.1\n")
    assert root.extract()["settings"][0]["source"] == f"{CONFIG}.d/\\x1b\\xe4.yaml"


def test_extract_configuration_on_a_web_server_is_named(root):
    root.unit("--config", f"https://me:{SECRET}@192.0.2.1/k3s.yaml")
    reason = "it names a configuration that is not a file of this host"
    assert root.unreadable() == [(f"the command line in {UNIT}", reason)]
    assert root.extract()["config"] == ""


# Whether K3s has run, and which version is installed


def test_extract_certificate_is_the_first_of_its_file(root):
    root.put(CERTIFICATE, f"{PEM}\n{PEM.replace('MIIB', 'MIIC')}\n")
    found = root.extract()
    assert (found["certificate"], found["has_run"]) == (PEM, True)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (CONFIG, "data-dir: '/srv/k3s/'\n"),
        (CONFIG, "d: /srv/k3s\n"),
        (UNIT, "[Service]\nExecStart=k3s server --data-dir /srv/k3s\n"),
        (f"{UNIT}.env", "K3S_DATA_DIR=/srv/k3s\n"),
    ],
)
def test_extract_certificate_is_below_the_data_directory(root, path, text):
    root.put(path, text)
    root.put(CERTIFICATE, PEM.replace("MIIB", "MIIC"))
    root.put("/srv/k3s/agent/serving-kubelet.crt", PEM)
    assert root.extract()["certificate"] == PEM


@pytest.mark.parametrize("text", ["data-dir: /srv/file\n", "data-dir:\n"])
def test_extract_data_directory_of_a_file_wins(root, text):
    root.put(f"{UNIT}.env", "K3S_DATA_DIR=/srv/variable\n")
    root.put(CONFIG, text)
    root.put("/srv/file/agent/serving-kubelet.crt" if "/" in text else CERTIFICATE, PEM)
    assert root.extract()["certificate"] == PEM


def test_extract_data_directory_that_is_not_plain_is_ignored(root):
    root.put(CERTIFICATE, PEM)
    root.put(CONFIG, "data-dir: srv/k3s\n")
    root.put("/srv/k3s/agent/serving-kubelet.crt", "")
    assert root.extract()["certificate"] == PEM
    root.put(CONFIG, "data-dir: /srv/file\n")
    root.put("/srv/file/agent/serving-kubelet.crt", PEM.replace("MIIB", "MIIC"))
    root.unit("--data-dir", "$X")
    assert "MIIC" in root.extract()["certificate"]


@pytest.mark.parametrize("name", ["agent/serving-kubelet.crt", "server/db/etcd/x"])
def test_extract_k3s_without_a_certificate_has_run(root, name):
    root.put(f"/var/lib/rancher/k3s/{name}", "no certificate")
    found = root.extract()
    assert (found["certificate"], found["has_run"]) == ("", True)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("k3s version v1.33.4+k3s1 (148243c4)\ngo version go1.24.5\n", "1.33.4"),
        ("", ""),
        (OSError("Exec format error"), ""),
        (subprocess.TimeoutExpired("k3s", 20), ""),
    ],
)
def test_extract_version_is_that_of_the_executable(monkeypatch, output, version):
    def run(command, **_options):
        assert command == ["/opt/bin/k3s", "--version"]
        if isinstance(output, Exception):
            raise output
        return subprocess.CompletedProcess(command, 0, output, SECRET)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(os.path, "exists", lambda path: path in ("/opt/bin/k3s", "/usr/bin/k3s"))
    assert extract()["version"] == version


# Tokens stay on the node

OTHER_KEYS = f"""\
# {SECRET}
token: {SECRET}
datastore-endpoint: "mysql://user:{SECRET}@tcp(192.0.2.1)/k3s" # {SECRET}
node-ip:  # {SECRET}
  # {SECRET}
  - 10.0.0.1 # {SECRET}

  # {SECRET}
agent-token: '{SECRET}'
kubelet-arg:
  - {SECRET}
node-label: [{SECRET}]
script: |
  node-ip: {SECRET}
flannel-iface: eth1 #{SECRET}
# {SECRET}"""
COMMAND_LINE = f"k3s server --token {SECRET} --agent-token={SECRET} --kubelet-arg a={SECRET}"


@pytest.mark.parametrize(
    "files",
    [
        {CONFIG: OTHER_KEYS, f"{CONFIG}.d/a.yaml": OTHER_KEYS},
        *(
            {CONFIG: f"{text}\ntoken: {SECRET}\n"}
            for text in (
                f"{OTHER_KEYS}\n\tx: {SECRET}",
                f"{OTHER_KEYS}\nx: '{SECRET}",
                f"&{SECRET} node-ip: 10.0.0.1",
                f"{SECRET}",
                f"node-ip: !{SECRET} 10.0.0.1",
                f"node-ip: 10.0.0.1\n token: {SECRET}",
                f"node-ip:\n  - 10.0.0.1\n  token: {SECRET}",
                f"node-ip: |\n  {SECRET}",
                f"node-ip: 10.0.0.1\n...\n{SECRET}",
                f"? {SECRET}\n: a",
            )
        ),
        {CONFIG: f"token: {SECRET}\n".encode() + b"\xff"},
        {CONFIG: f"token: {SECRET}\n" * 50000},
        {UNIT: f"[Service]\nExecStart={COMMAND_LINE} --node-ip --token={SECRET}\n"},
        {UNIT: f"[Service]\nExecStart={COMMAND_LINE} --node-ip '$(echo {SECRET})'\n"},
        {UNIT: f"[Service]\nExecStart=sh -c '{COMMAND_LINE} --node-ip $X'\n"},
        {UNIT: f"[Service]\nExecStart=k3s server -c https://me:{SECRET}@192.0.2.1/a.yaml\n"},
        {UNIT: f'[Service]\nEnvironment=K3S_TOKEN={SECRET} "K3S_NODE_NAME=$X {SECRET}"\n'},
        {f"{UNIT}.env": f"K3S_TOKEN={SECRET}\nK3S_CONFIG_FILE=http://me:{SECRET}@a/b\n#{SECRET}"},
        {"/etc/default/k3s": f"K3S_TOKEN='{SECRET}'\nK3S_DATA_DIR='$X{SECRET}'\n"},
        {
            CERTIFICATE: f"{SECRET}\n{PEM}\n-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n",
            CERTIFICATE.replace(".crt", ".key"): SECRET,
            "/var/lib/rancher/k3s/server/token": SECRET,
        },
    ],
)
def test_extract_tokens_stay_on_the_node(root, files):
    for path, text in files.items():
        root.put(path, text)
    found = root.extract()
    assert SECRET not in json.dumps(found)
    # Something was found in each of these files.
    assert found["settings"] or found["unreadable"] or found["certificate"]
