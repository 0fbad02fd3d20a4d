# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power is cut right after a confirmed change of the firewall: the new state is on disk.

The scenario guard-interrupted does so at more moments, on a file system of its own instead of a
machine.
"""

from __future__ import annotations

import subprocess

import pytest
from node import EPHEMERAL, NAME

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
def firewall(node, playbook):
    """Bring the node's firewall to a state; a user's own port for SSH is open in all of them."""
    node.run(SET_UP)

    def run(name):
        done = playbook(name, "--tags", "firewall")
        assert done.returncode == 0, done.output

    yield run
    node.run(TEAR_DOWN)


def test_power_cut_after_confirmed_prepare_keeps_it(node, firewall):
    firewall("prepare")
    prepared = node.run(FILES)
    firewall("remove")
    assert node.run(FILES) != prepared
    node.run("sync")
    firewall("prepare")
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
