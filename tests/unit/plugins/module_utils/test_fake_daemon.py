# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewalld of the unit tests answers as the recorded ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.fake_daemon import (
    VERSIONS,
    FirewalldDaemon,
    recording,
)

RECORDER = Path(__file__).parents[4] / "molecule" / "guard" / "record_firewalld.py"


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
