# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the code of the collection on the nodes, for runs of the module without Ansible."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from module_run import CODE, EPHEMERAL, HERE


@pytest.fixture(scope="session")
def controlpath():
    """No connection is kept: that a new one is admitted is what shows that nobody is locked out."""


@pytest.fixture(scope="session", autouse=True)
def code():
    """Put the collection's code and the breaker on the nodes."""
    link = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"])
    tree = "ansible_collections/edgeops/k3s_network/plugins/module_utils"
    packed = subprocess.run(
        ["tar", "-C", str(link), "-hcz", "--exclude=__pycache__", tree],
        check=True,
        capture_output=True,
    ).stdout
    for name in ("server1", "server2", "agent1"):
        ssh = ["ssh", "-F", str(EPHEMERAL / "ssh_config"), name]
        unpack = f"rm -rf {CODE}; mkdir -p {CODE}; tar -C {CODE} -xzf -"
        subprocess.run([*ssh, unpack], input=packed, check=True)
        write = f"cat > {CODE}/break_at.py"
        subprocess.run([*ssh, write], input=(HERE / "break_at.py").read_bytes(), check=True)
