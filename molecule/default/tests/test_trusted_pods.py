# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that the user trusts, by a binding of the user's own."""

from __future__ import annotations

import pod_paths
import pytest
import topology
from prepared import prepare, succeed

POD_NETWORK = "10.42.0.0/16"
TWO = ("server1", "agent1")
# A user may trust the pod network by its addresses, as the K3s documentation says, or its bridge.
BINDINGS = {"server1": f"source={POD_NETWORK}", "agent1": "interface=cni0"}


@pytest.fixture
def bound(machine, playbook):
    """Prepare nodes on which the user has bound the pod network or its bridge to trusted."""
    limit = ("--limit", ",".join(TWO))
    succeed(playbook("remove", *limit, **topology.VARIABLES))
    command = "firewall-cmd -q --permanent --zone=trusted"
    for name, binding in BINDINGS.items():
        machine(name).run(f"{command} --add-{binding} && firewall-cmd -q --reload")
    yield limit
    for name, binding in BINDINGS.items():
        machine(name).run(f"{command} --remove-{binding} && firewall-cmd -q --reload")
    prepare(playbook)


def holds(machine):
    """Whether zone trusted holds what the user bound, in both configurations."""
    return {
        (name, options): machine(name).host.run(
            f"firewall-cmd {options} --zone=trusted --query-{binding}"
        ).rc == 0
        for name, binding in BINDINGS.items()
        for options in ("", "--permanent")
    }  # fmt: skip


def test_users_binding_stays_and_every_path_is_open(machine, playbook, bound):
    prepare(playbook, *bound)
    again = prepare(playbook, *bound)
    assert [again.changed(name) for name in TWO] == [0, 0]
    assert set(holds(machine).values()) == {True}
    with pod_paths.cluster(machine, TWO, topology.EXTERNAL, trusting=True) as cluster:
        assert pod_paths.deviations(cluster, pod_paths.expected(cluster)) == {}
    succeed(playbook("remove", *bound, **topology.VARIABLES))
    assert set(holds(machine).values()) == {True}
