# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    dbus,
    files,
    repair,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.errors import (
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    IPSET,
    POLICY,
    ZONE,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.repair import (
    broken_objects,
    wait_until_forgotten,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_dbus import (
    FakeDBus,
)

NODES = (IPSET, "k3s-nodes")
PODS = (ZONE, "k3s-pods")
POLICIES = [(POLICY, "k3s-from-nodes"), (POLICY, "k3s-overlay")]
OWNED = [NODES, PODS, *POLICIES]


@pytest.fixture
def etc(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ETC", str(tmp_path))
    for name in ("ipsets/k3s-nodes", "policies/k3s-from-nodes", "zones/public"):
        path = tmp_path / f"{name}.xml"
        path.parent.mkdir()
        path.write_text("<x/>")
    return tmp_path


def test_broken_objects_are_none_if_all_files_are_whole(etc):
    # A file that is missing is created by the plan.
    assert broken_objects(OWNED) == []


@pytest.mark.parametrize("content", ["", "<x>", "\0\0\0", "<x/><y/>"])
def test_broken_objects_are_those_whose_file_is_not_xml(etc, content):
    (etc / "ipsets/k3s-nodes.xml").write_text(content)
    assert broken_objects(OWNED) == [NODES]


def test_broken_objects_of_others_are_not_named(etc):
    (etc / "zones/public.xml").write_text("")
    assert broken_objects(OWNED) == []


class Listing:
    """A firewalld that lists its objects as they were at its last reading."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self._current = None

    def forget(self):
        self._current = self._answers.pop(0)

    def permanent_keys(self):
        return self._current


def test_wait_until_forgotten_reads_until_the_keys_are_gone(monkeypatch):
    monkeypatch.setattr(repair, "_STEP", 0.0)
    client = Listing({NODES, PODS}, {NODES, PODS}, {PODS})
    assert wait_until_forgotten(client, [NODES])
    assert client.permanent_keys() == {PODS}


def test_wait_until_forgotten_gives_up(monkeypatch):
    monkeypatch.setattr(repair, "_WATCH_SECONDS", 0.0)
    assert not wait_until_forgotten(Listing({NODES}), [NODES])


class Restarted:
    """A firewalld in state FAILED that is on D-Bus some time after its service has restarted."""

    def __init__(self, state):
        self.starts = 1
        self._state = "FAILED"
        self._later = state
        self._absent = 0

    @property
    def running(self):
        self._absent -= 1
        return self._absent < 0

    def restart(self):
        self.starts += 1
        self._state = self._later
        # As often as it is asked for before it is there.
        self._absent = 3

    def handle(self, _path, _interface, method, arguments):
        assert method == "Get" and arguments[1] == "state", "nothing is reloaded"
        return self._state


@pytest.fixture
def failed(monkeypatch):
    def make(state):
        service = Restarted(state)
        monkeypatch.setitem(sys.modules, "dbus", FakeDBus(service))
        monkeypatch.setattr(dbus, "_STEP", 0.001)
        return service, dbus.Firewalld(None, None, service.restart)

    return make


def test_failed_firewalld_is_restarted_and_waited_for(failed):
    service, client = failed("RUNNING")
    client.reload()
    assert service.starts == 2
    assert not client.is_failed()


def test_firewalld_that_fails_again_is_named(failed):
    _service, client = failed("FAILED")
    with pytest.raises(FirewalldError, match="does not accept its configuration"):
        client.reload()
