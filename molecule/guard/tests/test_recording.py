# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit tests' recording of firewalld is what this machine's firewalld answers."""

from __future__ import annotations

import json
import subprocess

import pytest
import record_firewalld
from module_run import EPHEMERAL, HERE, Node

RECORDINGS = HERE.parents[1] / "tests" / "unit" / "plugins" / "module_utils" / "recordings"
# The file is given to Python on its standard input, and starts itself anew, so it has to be kept.
RECORD = "f=$(mktemp) && cat > $f && timeout 240 python3 -B $f; r=$?; rm -f $f; exit $r"


@pytest.mark.also_on("bullseye", "trixie")
def test_firewalld_answers_as_recorded():
    node = Node("agent1")
    version = node.run("firewall-cmd --version").strip()
    before = node.snapshot()
    played = subprocess.run(
        ["ssh", "-F", str(EPHEMERAL / "ssh_config"), "agent1", RECORD],
        input=(HERE / "record_firewalld.py").read_text(),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    # It plays on a firewalld of its own.
    assert node.snapshot() == before
    path = RECORDINGS / f"firewalld-{version}.json"
    assert path.exists(), f"no recording of firewalld {version}; save what this run printed there"
    found = record_firewalld.differences(json.loads(path.read_text()), json.loads(played))
    assert not found, "\n".join(found)
