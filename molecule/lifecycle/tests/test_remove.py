# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook remove restores the hosts. The scenario guard does so with other settings."""

from __future__ import annotations

from pathlib import Path

NODES = ("server1", "server2", "agent1")
SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()


def test_remove_restores_all_hosts(machine, playbook):
    run = playbook("remove")
    assert run.returncode == 0, run.output
    for name in NODES:
        before = machine(name).run("cat /var/tmp/before").splitlines()
        assert machine(name).run(SNAPSHOT).splitlines() == before
    again = playbook("remove")
    assert again.returncode == 0, again.output
    assert [again.changed(name) for name in NODES] == [0, 0, 0]
