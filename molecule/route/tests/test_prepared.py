# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power is cut right after a confirmed run of the playbook: the new state is on disk.

The scenario guard-interrupted does so to the firewall at more moments, on a file system of its own
instead of a machine.
"""

from __future__ import annotations

import subprocess

import pytest
from node import EPHEMERAL, NAME
from result import assert_the_guides_result

USERS_PORT = 2222
FILES = """
cd /etc && find firewalld NetworkManager/system-connections -type f ! -name '*.old' \\
  -exec sha256sum {} + | sort -k 2
"""
SET_UP = f"""
set -e
sed -i '1i Port 22\\nPort {USERS_PORT}' /etc/ssh/sshd_config
systemctl restart ssh
firewall-cmd -q --permanent --zone=public --add-port={USERS_PORT}/tcp
firewall-cmd -q --zone=public --add-port={USERS_PORT}/tcp
"""
TEAR_DOWN = f"""
sed -i '/^Port /d' /etc/ssh/sshd_config
systemctl restart ssh
for where in '' --permanent; do
  firewall-cmd -q $where --zone=public --remove-port={USERS_PORT}/tcp
done
rm -f /etc/firewalld/zones/public.xml*
"""


@pytest.fixture
def users_port(node):
    """Open a port of the user's own for SSH in all states."""
    node.run(SET_UP)
    yield
    node.run(TEAR_DOWN)


def test_prepared_node_boots_as_it_was_after_a_power_cut(node, bare, users_port, playbook):
    def play(name, *arguments):
        done = playbook(name, *arguments)
        assert done.returncode == 0, done.output
        return done

    if "k3s-" in node.run(FILES):
        play("remove", "--tags", "firewall")
    node.run("sync")
    play("prepare")
    # Reading them writes nothing to the disk.
    prepared = node.run(FILES)
    assert "k3s-from-nodes.xml" in prepared
    node.power_cycle()
    assert node.run(FILES) == prepared
    assert node.run("firewall-cmd --state 2>&1; true").strip() == "running"
    assert "k3s-from-nodes" in node.run("firewall-cmd --get-policies")
    ssh = ["ssh", "-F", str(EPHEMERAL / "ssh_config"), "-o", "ControlPath=none"]
    done = subprocess.run(
        [*ssh, "-p", str(USERS_PORT), NAME, "true"], check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert node.run("ls -A /var/lib/k3s-network").split() == ["firewalld.json"]
    assert_the_guides_result(node)
    assert play("prepare").changed(NAME) == 0
