# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node, the role's work on it without Ansible around it, and a fresh start for tests."""

from __future__ import annotations

import functools
import subprocess

import pytest
from node import CLEAN, Node


@pytest.fixture(scope="session")
def node():
    found = Node()
    yield found
    found.close()


@pytest.fixture
def route(node):
    """Bring the node's default route to a state; parameters are those of the module.

    The run is killed at a step, if one is given, and None is returned then.
    """
    return functools.partial(node.ask, "route")


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
