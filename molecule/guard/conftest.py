# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the code of the collection on the nodes, for runs of the module without Ansible."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from module_run import CODE, HERE, SSH, Node

NODES = ("server1", "server2", "agent1")
TREE = "ansible_collections/edgeops/k3s_network/plugins/module_utils"
ON_NODE = ("break_at.py", "profiles_on_node.py")


@pytest.fixture(scope="session")
def controlpath() -> None:
    """No connection is kept: that a new one is admitted is what shows that nobody is locked out."""


@pytest.fixture(scope="session", autouse=True)
def code() -> Iterator[None]:
    """Put the collection's code and what runs it on the nodes."""
    tar = ["tar", "-hcz", "--exclude=__pycache__", "-C", os.environ["ANSIBLE_COLLECTIONS_PATH"]]
    packed = subprocess.run(
        [*tar, TREE, "-C", str(HERE), *ON_NODE], check=True, capture_output=True
    ).stdout
    unpack = f"rm -rf {CODE}; mkdir -p {CODE}; tar -C {CODE} -xzf -"
    for name in NODES:
        subprocess.run([*SSH, name, unpack], input=packed, check=True)
    yield
    Node.disconnect_all()
