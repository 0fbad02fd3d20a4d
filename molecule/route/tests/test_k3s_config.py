# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What K3s is told where it would detect the dummy. K3s itself is not there: its files are."""

from __future__ import annotations

import json
import os
import sys

sys.path.append(os.environ["ANSIBLE_COLLECTIONS_PATH"])

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.node import read
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.settings import merge

OURS = "/etc/rancher/k3s/config.yaml.d/k3s-default-route.yaml"
# Of a K3s that runs with another address. Made by openssl, as K3s's own are made by Go.
CERTIFICATE = "/var/lib/rancher/k3s/agent/serving-kubelet.crt"


def install(certificate):
    directory = CERTIFICATE.rpartition("/")[0]
    return f"mkdir -p {directory}; cat >{CERTIFICATE} <<'END'\n{certificate}\nEND\n"


def settings(node):
    text = node.run(f"cat {OURS} 2>/dev/null || true")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_k3s_config_false_writes_nothing(node, bare, route):
    told = route(k3s_config=False)
    assert "failed" not in told, told
    assert settings(node) == []
    assert node.run("ls /etc/rancher 2>/dev/null || true") == ""


def record(node):
    """Return what the controller knows of K3s's settings after the node's facts."""
    facts = node.ask("k3s")
    assert "secret" not in json.dumps(facts)
    found, problems = merge("server", [], read(facts))
    assert problems == []
    return found.to_dict()


def test_settings_of_the_user_are_completed(node, bare, route):
    theirs = "token: secret\nnode-ip: 10.89.0.11 # secret\n"
    node.run(f"mkdir -p /etc/rancher/k3s; printf '{theirs}' >/etc/rancher/k3s/config.yaml")
    known = record(node)
    told = route(k3s=known)
    assert "failed" not in told, told
    [note] = told["warned"]
    assert "flannel-iface: eth0" in note
    assert node.run("cat /etc/rancher/k3s/config.yaml") == theirs
    assert settings(node) == ["flannel-iface: 'eth0'"]
    assert record(node) == known, "our own file does not count"
    told = route(k3s=known)
    assert told["changed"] is False


def test_equal_settings_of_the_user_are_kept(node, bare, route):
    theirs = "node-ip: 10.89.0.11\nflannel-iface: eth0\n"
    node.run(f"mkdir -p /etc/rancher/k3s; printf '{theirs}' >/etc/rancher/k3s/config.yaml")
    told = route(k3s=record(node))
    assert "failed" not in told, told
    assert settings(node) == []


def test_running_k3s_with_another_address_is_refused(node, bare, route, certificate):
    node.run(install(certificate("192.0.2.77")))
    before = node.snapshot()
    told = route(k3s=record(node))
    message = told["failed"]
    assert "192.0.2.77" in message and "10.89.0.11" in message
    assert "k3s_default_route_k3s_config" in message
    assert node.snapshot() == before


def test_running_k3s_with_the_nodes_address_is_configured(node, bare, route, certificate):
    node.run(install(certificate("10.89.0.11")))
    told = route(k3s=record(node))
    assert "failed" not in told, told
    assert settings(node) == ["node-ip: '10.89.0.11'", "flannel-iface: 'eth0'"]
