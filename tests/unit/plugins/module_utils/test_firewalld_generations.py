# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole module on the recorded firewalld of each generation, over a fake D-Bus."""

from __future__ import annotations

import os
import sys

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _firewalld_write
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewall_wanted import (
    firewall_wanted,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    Firewalld,
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_apply import ensure
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_judge import Terms
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.factories import (
    node,
    row,
    segregated,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.fake_daemon import (
    IPSET,
    POLICY,
    VERSIONS,
    ZONE,
    FirewalldDaemon,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.fake_firewalld import (
    CountingStore,
    FakeGuard,
)

ROWS = [row(6443), row(10250), row(10000, 30000), row(443, source=["external"])]
MODES = ["shared", "plain", "segregated", "segregated plain"]


class NoNetworkManager:
    """A host whose interfaces firewalld binds by itself."""

    def manages(self, _interface):
        return False

    def profile(self, _interface):
        return None

    def files(self, _interface, _profile=None):
        return []

    def load_profile(self, _path):
        pass


class NoIptables:
    """A host without rules of iptables."""

    def saved(self):
        return {}

    def restore(self, tables):
        assert not tables


class Host:
    """A host with a firewalld, and the state that the collection keeps on it."""

    def __init__(self, version, monkeypatch):
        self.daemon = FirewalldDaemon(version)
        monkeypatch.setitem(sys.modules, "dbus", self.daemon.dbus())
        self.store = CountingStore()

    def prepare(self, what):
        def client():
            return Firewalld(NoNetworkManager(), NoIptables())

        return ensure(client, self.store, FakeGuard(), what, Terms())


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(_firewalld_write, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(_firewalld_write, "_SETTLE_STEP", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


def new_host(version, monkeypatch):
    host = Host(version, monkeypatch)
    host.daemon.save(ZONE, "work", interfaces=["eth1"], services=["ssh"])
    host.daemon.reboot()
    return host


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def host(version, monkeypatch):
    return new_host(version, monkeypatch)


def wanted(mode):
    server = segregated() if "segregated" in mode else node()
    nodes = [server, node("a0", "agent", "192.0.2.20")]
    cluster = topology(nodes, ROWS, restrict_sources="plain" not in mode)
    return firewall_wanted(cluster, "server1")


@pytest.mark.parametrize("mode", MODES)
def test_second_run_changes_nothing(host, mode):
    assert host.prepare(wanted(mode))["changed"]
    writes = list(host.daemon.writes)
    again = host.prepare(wanted(mode))
    assert not again["changed"]
    assert host.daemon.writes == writes


@pytest.mark.parametrize("mode", MODES)
def test_reboot_changes_nothing(host, mode):
    host.prepare(wanted(mode))
    host.daemon.reboot()
    assert not host.prepare(wanted(mode))["changed"]


@pytest.mark.parametrize("second", [*MODES, None])
@pytest.mark.parametrize("first", MODES)
def test_absent_restores_the_host(host, first, second):
    before = host.daemon.snapshot()
    host.prepare(wanted(first))
    if second:
        host.prepare(wanted(second))
    host.prepare(None)
    assert host.daemon.snapshot() == before


def test_third_interface_admits_no_clients(host):
    host.prepare(wanted("segregated"))
    policy = host.daemon.runtime(POLICY)["k3s-from-clients"]
    assert "public" not in policy["ingress_zones"]
    assert host.daemon.runtime(ZONE)["public"].get("ports", []) == []


def test_stock_policies_that_are_disabled_do_not_matter(host):
    host.prepare(wanted("segregated"))
    assert set(host.daemon.runtime(IPSET)) >= {"k3s-nodes"}


@pytest.mark.parametrize(
    ("since", "kind", "name", "key", "value"),
    [
        ((2, 0), ZONE, "k3s-pods", "ingress_priority", 10),
        ((2, 0), ZONE, "k3s-pods", "egress_priority", -5),
        ((2, 4), POLICY, "k3s-from-nodes", "disable", True),
        ((0, 9), ZONE, "k3s-pods", "masquerade", True),
    ],
)
def test_setting_that_someone_changed_is_reset(host, since, kind, name, key, value):
    if host.daemon.version < since:
        pytest.skip(f"this firewalld does not know {key}")
    host.prepare(wanted("shared"))
    before = host.daemon.snapshot()
    host.daemon.save(kind, name, **{key: value})
    host.daemon.reboot()
    assert host.prepare(wanted("shared"))["changed"]
    assert host.daemon.snapshot() == before


def test_kept_ipsets_do_not_fail_removal_without_flush(host):
    host.daemon.properties["FlushAllOnReload"] = "no"
    host.prepare(wanted("shared"))
    host.prepare(None)
    assert not [name for name in host.daemon.permanent(IPSET) if name.startswith("k3s-")]
    assert not host.prepare(None)["changed"]


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("mode", ["shared", "segregated"])
def test_call_that_fails_leaves_the_host_as_it_was(version, monkeypatch, mode, applied):
    whole = new_host(version, monkeypatch)
    whole.prepare(wanted(mode))
    for number in range(1, len(whole.daemon.writes) + 1):
        host = new_host(version, monkeypatch)
        before = host.daemon.snapshot()
        host.daemon.fail_at, host.daemon.applied = number, applied
        with pytest.raises(FirewalldError):
            host.prepare(wanted(mode))
        assert host.daemon.snapshot() == before, whole.daemon.writes[number - 1]
