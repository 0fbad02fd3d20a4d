# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node of a test, and machines that tests look from."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import testinfra
from module_run import ABSENT, EPHEMERAL, Node

# Another run may pack the collection's code meanwhile, which fails if a directory changes.
sys.dont_write_bytecode = True


@pytest.fixture
def node(request):
    """Return the NODE of the test's module, not prepared; restore it after the test."""
    node = Node(request.module.NODE)
    node.apply(ABSENT)
    before = node.snapshot()
    yield node
    node.apply(ABSENT)
    assert node.snapshot() == before


@pytest.fixture(scope="module")
def observer(machine, tmp_path_factory):
    """Return a function like the fixture machine; its machines keep their SSH connections."""
    config = str(EPHEMERAL / "ssh_config")
    # A socket's path has 107 characters at most.
    directory = tmp_path_factory.mktemp("cp")
    names = set()

    def get(name):
        names.add(name)
        host = testinfra.get_host(
            f"ssh://{name}", ssh_config=config, controlpath=f"{directory}/%%n"
        )
        return dataclasses.replace(machine(name), host=host)

    yield get
    for name in names:
        close = ["ssh", "-F", config, "-o", f"ControlPath={directory}/%n", "-O", "exit", name]
        subprocess.run(close, check=False, capture_output=True)
