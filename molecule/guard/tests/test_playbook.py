# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook prepare reports of the firewall module, and how it confirms a change."""

from __future__ import annotations

import time

import pytest
from module_run import ABSENT, Node
from ssh_rule import ELSEWHERE, REFUSAL, ssh_by_rule

NODE = "server1"
FIREWALL = ("prepare", "--tags", "firewall", "--limit", NODE)
SSH_ROW = {
    "name": "ssh",
    "port": 22,
    "protocol": "tcp",
    "source": ["external"],
    "destination": ["server", "agent"],
}
# Nobody here has it, and nothing on the node tells so.
MAC = "02:00:5e:00:53:01"


@pytest.fixture
def node():
    """Return a node whose SSH is admitted by nothing but a rule of this collection."""
    found = Node(NODE)
    with ssh_by_rule(found):
        yield found


def test_playbook_that_would_block_ssh_is_refused(node, playbook):
    before = node.snapshot()
    run = playbook(*FIREWALL, k3s_topology_extra_ports=[])
    assert run.returncode != 0, run.output
    text = " ".join(run.output.split())
    for words in REFUSAL:
        assert words in text
    assert node.snapshot() == before


def test_change_that_locks_the_controller_out_is_rolled_back(node, playbook):
    # A rule of the user's that may admit the controller, for all that the node can tell.
    rule = f'rule source mac="{MAC}" service name="ssh" accept'
    for where in ("", "--permanent"):
        node.run(f"firewall-cmd -q {where} --zone=public --add-rich-rule='{rule}'")
    before = node.snapshot()
    started = time.monotonic()
    run = playbook(
        *FIREWALL,
        k3s_topology_extra_ports=[SSH_ROW],
        k3s_topology_external_sources=[ELSEWHERE],
        k3s_firewall_confirm_timeout=4,
    )
    assert run.returncode != 0
    text = " ".join(run.output.split())
    assert "could not be confirmed over a new connection" in text
    assert "The node has rolled it back by itself and answers again" in text
    assert time.monotonic() - started > 4
    assert node.snapshot() == before


def test_stopped_firewalld_is_configured_and_reported(playbook):
    node = Node(NODE)
    node.apply(ABSENT)
    node.run("systemctl stop firewalld")
    try:
        run = playbook(*FIREWALL)
        assert run.returncode == 0, run.output
        assert run.changed(NODE) == 1
        text = " ".join(run.output.split())
        assert "becomes active when it starts (systemctl enable --now firewalld)" in text
    finally:
        node.run("systemctl start firewalld")
        node.apply(ABSENT)
