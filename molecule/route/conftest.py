# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node, the role's work on it without Ansible around it, and a fresh start for tests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from node import CLEAN, Node

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node():
    found = Node()
    yield found
    found.close()


@pytest.fixture(scope="session")
def command(node):
    """Put the collection's code on the node; return the command that runs it: run_route.py."""
    tree = "ansible_collections/edgeops/k3s_network/plugins/module_utils"
    packed = subprocess.run(
        [
            "tar",
            "-C",
            os.environ["ANSIBLE_COLLECTIONS_PATH"],
            "-hcz",
            "--exclude=__pycache__",
            tree,
        ],
        check=True,
        capture_output=True,
    ).stdout
    node.put("/var/tmp/k3s-code.tar.gz", packed)
    node.put("/var/tmp/run_route.py", (HERE / "run_route.py").read_bytes())
    # Compiled once, since the machine is slow, and for good before the power goes.
    node.run(
        "mkdir -p /var/tmp/k3s-code; tar -C /var/tmp/k3s-code -xzf /var/tmp/k3s-code.tar.gz; sync"
    )
    return "env PYTHONPATH=/var/tmp/k3s-code python3 /var/tmp/run_route.py"


@pytest.fixture
def route(node, command):
    """Bring the node's default route to a state; parameters are those of the module.

    The run is killed at a step, if one is given, and None is returned then.
    """

    def run(check=False, stop=0, **parameters):
        return json.loads(node.ask(command, json.dumps([check, parameters, stop])))

    return run


@pytest.fixture
def bare(node):
    """A node without a default route and anything of ours."""
    node.run(CLEAN)
    assert node.default_routes() == []
    return node


@pytest.fixture
def certificate(tmp_path):
    """Make a certificate for an address, as K3s's kubelet serves."""

    def make(address):
        path = tmp_path / "certificate"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=node1"),
                *("-addext", f"subjectAltName=DNS:node1,IP:127.0.0.1,IP:{address}"),
                *("-keyout", "/dev/null", "-out", str(path)),
            ],
            check=True,
            capture_output=True,
        )
        return path.read_text()

    return make
