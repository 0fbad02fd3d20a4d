# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewalld of the unit tests answers as the recorded ones."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import (
    NAME,
    PATH,
    RECORDINGS,
    VERSIONS,
    FirewalldDaemon,
    Killed,
    recording,
)

MANAGED = "networkmanager-zones.json"
RECORDER = Path(__file__).parents[5] / "molecule" / "guard" / "record_firewalld.py"


@pytest.fixture(scope="module")
def recorder():
    spec = importlib.util.spec_from_file_location("record_firewalld", RECORDER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Played:
    """The daemon as the recorder takes it."""

    def __init__(self, version):
        self._daemon = FirewalldDaemon(version)
        self.dbus = self._daemon.dbus()
        self.connection = self.dbus.SystemBus()

    def reset(self):
        self._daemon.reset()

    def restart(self):
        self._daemon.reboot()


@pytest.mark.parametrize("version", VERSIONS)
def test_daemon_answers_as_recorded(recorder, version, monkeypatch):
    daemon = Played(version)
    monkeypatch.setitem(sys.modules, "dbus", daemon.dbus)
    differences = recorder.differences(recording(version), recorder.transcript(daemon))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("version", VERSIONS)
def test_daemon_binds_managed_interfaces_as_recorded(version):
    daemon = FirewalldDaemon(version, profiles={"eth1": ""})
    actions = {
        "profile": lambda zone: daemon.network_manager_binds("eth1", zone),
        "running": lambda zone: call(daemon, "changeZoneOfInterface", zone, "eth1"),
        "reload": lambda _zone: daemon.handle(PATH, NAME, "reload", []),
        "restart": lambda _zone: daemon.reboot(),
    }
    for number, step in enumerate(json.loads((RECORDINGS / MANAGED).read_text())):
        actions[step["do"]](step.get("to", ""))
        assert call(daemon, "getZoneOfInterface", "eth1") == step["zone"], (number, step)


def call(daemon, method, *arguments):
    zones = daemon.dbus().SystemBus().get_object(NAME, PATH, introspect=False)
    return getattr(zones, method)(*arguments, dbus_interface=f"{NAME}.zone")


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("kill", [False, True])
def test_nth_write_fails_before_or_after_it_took_effect(applied, kill):
    daemon = FirewalldDaemon()
    daemon.fail_at, daemon.applied, daemon.kill = 2, applied, kill
    call(daemon, "addInterface", "work", "eth0")
    with pytest.raises(Killed if kill else daemon.dbus().exceptions.DBusException):
        call(daemon, "addInterface", "home", "eth1")
    call(daemon, "addInterface", "work", "eth2")
    assert call(daemon, "getZoneOfInterface", "eth1") == ("home" if applied else "")
    assert daemon.writes == [
        f"addInterface {one}" for one in ("work eth0", "home eth1", "work eth2")
    ]


def test_object_of_a_daemon_that_started_again_is_gone():
    daemon = FirewalldDaemon()
    bus = daemon.dbus().SystemBus()
    zones = bus.get_object(bus.get_name_owner(NAME), PATH, introspect=False)
    daemon.reboot()
    with pytest.raises(daemon.dbus().exceptions.DBusException, match="was not provided"):
        zones.getZones(dbus_interface=f"{NAME}.zone")
