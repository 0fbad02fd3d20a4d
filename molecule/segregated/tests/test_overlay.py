# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network with a NIC for each network; pod_tests.py has the tests."""

from __future__ import annotations

import pod_tests


class Segregated:
    """What the tests need to know of the topology."""

    external = "eth1"
    topology = {  # noqa: RUF012
        "k3s_topology_mode": "segregated",
        "k3s_topology_cluster_interface": "eth0",
        "k3s_topology_external_interface": "eth1",
    }
    forgers = (
        ("client1", "eth0", "eth1"),
        ("client2", "eth1", "eth0"),
        ("server2", "eth0", "eth0"),
        ("server2", "eth1", "eth1"),
    )


class TestPods(Segregated, pod_tests.PodTests):
    pass


class TestNativePods(Segregated, pod_tests.NativeTests):
    pass


class TestTrustedPods(Segregated, pod_tests.TrustedTests):
    pass
