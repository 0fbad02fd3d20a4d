# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network on a shared NIC; pod_tests.py has the tests."""

from __future__ import annotations

import pod_tests

FORGERS = (("client1", "eth0", "eth0"), ("server2", "eth0", "eth0"))


class TestPods(pod_tests.PodTests):
    forgers = FORGERS


class TestNativePods(pod_tests.NativeTests):
    forgers = FORGERS


class TestTrustedPods(pod_tests.TrustedTests):
    forgers = FORGERS
