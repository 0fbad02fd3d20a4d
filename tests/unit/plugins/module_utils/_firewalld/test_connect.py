# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import connect
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.connect import (
    default_zone,
    open_firewalld,
    run,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.errors import (
    FirewalldError,
    NotRunningError,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.scripted import (
    ScriptedCommands,
)

ACTIVE = "systemctl is-active firewalld.service"
ENABLED = "systemctl is-enabled firewalld.service"


class Host:
    """A host whose firewalld answers on D-Bus from some second on; no second really passes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers_from = float("inf")

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def firewalld(self, _network_manager, _iptables, _restart):
        if self.now < self.answers_from:
            raise NotRunningError("firewalld is not running")
        return "running"


@pytest.fixture
def host(monkeypatch):
    host = Host()
    monkeypatch.setattr(connect, "time", host)
    monkeypatch.setattr(connect, "Firewalld", host.firewalld)
    monkeypatch.setattr(
        connect,
        "OfflineFirewalld",
        lambda _network_manager, trouble: SimpleNamespace(trouble=trouble),
    )
    return host


def test_a_firewalld_that_answers_is_taken_without_asking_systemd(host):
    host.answers_from = 0
    with ScriptedCommands() as commands:
        assert open_firewalld(commands) == "running"


@pytest.mark.parametrize("state", ["inactive", "failed", "unknown", ""])
@pytest.mark.parametrize("enabled", ["enabled", "disabled", ""])
def test_of_one_that_does_not_run_the_permanent_configuration_is_taken(host, state, enabled):
    with ScriptedCommands((ACTIVE, 0, f"{state}\n"), (ENABLED, 0, f"{enabled}\n")) as commands:
        assert open_firewalld(commands).trouble == ""
    assert host.now == 0


def test_one_that_is_masked_would_never_start(host):
    with ScriptedCommands((ACTIVE, 0, "inactive\n"), (ENABLED, 0, "masked\n")) as commands:
        trouble = open_firewalld(commands).trouble
    assert "firewalld is masked" in trouble
    assert "systemctl unmask firewalld" in trouble


@pytest.mark.parametrize("state", ["activating", "reloading", "deactivating", "active"])
def test_one_that_is_being_started_is_waited_for(host, state):
    host.answers_from = 3
    assert open_firewalld(lambda _arguments: (0, f"{state}\n", "")) == "running"
    assert host.now == pytest.approx(3, abs=0.3)


def test_one_that_is_being_stopped_is_waited_for(host):
    def run_command(arguments):
        if "is-enabled" in arguments:
            return 0, "enabled\n", ""
        return 0, "deactivating\n" if host.now < 2 else "inactive\n", ""

    assert open_firewalld(run_command).trouble == ""
    assert host.now == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("state", ["activating", "active"])
def test_one_that_never_answers_is_an_error_after_a_minute(host, state):
    with pytest.raises(FirewalldError, match=f"firewalld is {state} but does not answer") as error:
        open_firewalld(lambda _arguments: (0, f"{state}\n", ""))
    assert "systemctl status firewalld dbus" in str(error.value)
    assert not isinstance(error.value, NotRunningError)
    assert host.now == pytest.approx(60, abs=0.5)


def test_an_error_of_another_kind_is_not_waited_out(host, monkeypatch):
    def refuse(*_arguments):
        raise FirewalldError("connect to firewalld: no D-Bus")

    monkeypatch.setattr(connect, "Firewalld", refuse)
    with ScriptedCommands() as commands, pytest.raises(FirewalldError, match="no D-Bus"):
        open_firewalld(commands)


def test_a_command_is_run_with_its_input_and_all_that_comes_of_it_is_returned():
    assert run(["sh", "-c", "cat; echo trouble >&2; exit 3"], data="rules\n") == (
        3,
        "rules\n",
        "trouble\n",
    )


def test_a_command_may_print_what_is_no_text():
    assert run(["printf", r"a\377b"]) == (0, "a\N{REPLACEMENT CHARACTER}b", "")


class Reader:
    """A firewalld whose default zone has a target."""

    def __init__(self, _network_manager, _iptables):
        pass

    def default_zone(self):
        return "trusted"

    def runtime_settings(self, key):
        return {("zone", "trusted"): {"target": "ACCEPT"}}[key]


def test_default_zone_is_read_with_its_target(monkeypatch):
    monkeypatch.setattr(connect, "FirewalldReader", Reader)
    assert default_zone(ScriptedCommands()) == ("trusted", "ACCEPT")


@pytest.mark.parametrize("error", [NotRunningError, FirewalldError, ImportError])
def test_default_zone_is_empty_without_a_firewalld(monkeypatch, error):
    def fail(_network_manager, _iptables):
        raise error("no")

    monkeypatch.setattr(connect, "FirewalldReader", fail)
    assert default_zone(ScriptedCommands()) == ("", "")
