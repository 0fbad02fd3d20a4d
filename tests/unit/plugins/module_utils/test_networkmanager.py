# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import stat

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _networkmanager
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    NetworkManagerError,
    Profile,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.scripted import (
    ScriptedCommands,
)

UUID = "0c1f7e5a-0001-4000-8000-000000000001"
DEVICE = "nmcli -g GENERAL.CON-UUID device show eth0"
FILES = "nmcli -t -f UUID,FILENAME connection show"
TEXT = "[connection]\nid=eth0\n# by hand\n\n[ipv4]\nmethod=auto\n"
WRITTEN = "[connection]\nid=eth0\n# by hand\ntimestamp=17\nzone=k3s-cluster\n[ipv4]\nmethod=auto\n"


@pytest.fixture
def script():
    """Return a maker of a NetworkManager with a script, which must have run to its end."""
    made = []

    def make(*lines):
        commands = ScriptedCommands(*lines)
        made.append(commands)
        return NetworkManager(commands, "nmcli")

    yield make
    for commands in made:
        commands.__exit__(None, None, None)


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "eth0.nmconnection"
    path.write_text(WRITTEN, encoding="utf-8")
    return Profile(str(path), TEXT)


def test_profiles_are_listed_by_name(script):
    manager = script(("nmcli -t -f NAME connection show", 0, "eth0\nWired connection 1\n"))
    assert manager.profiles() == ["eth0", "Wired connection 1"]


def test_a_networkmanager_that_does_not_run_has_no_list_of_profiles(script):
    manager = script(("nmcli -t -f NAME connection show", 8, "NetworkManager is not running"))
    assert manager.profiles() is None


def test_without_nmcli_nothing_is_managed_and_nothing_is_run(monkeypatch):
    monkeypatch.setattr(_networkmanager.shutil, "which", lambda _name: None)
    manager = NetworkManager(ScriptedCommands())
    assert manager.profiles() is None
    assert not manager.manages("eth0")
    assert manager.connection_name("eth0") == ""
    assert manager.profile("eth0") is None


def test_an_interface_with_an_active_profile_is_managed_and_asked_for_once(script):
    manager = script((DEVICE, 0, f"{UUID}\n"))
    assert manager.manages("eth0")
    assert manager.manages("eth0")


@pytest.mark.parametrize(("code", "out"), [(0, "\n"), (10, "Device not found")])
def test_an_interface_without_a_profile_is_not_managed(script, code, out):
    assert not script((DEVICE, code, out)).manages("eth0")


def test_the_zone_is_that_of_the_profile(script):
    manager = script(
        (DEVICE, 0, UUID), (f"nmcli -g connection.zone connection show {UUID}", 0, "internal\n")
    )
    assert manager.zone("eth0") == "internal"


def test_the_zone_is_written_into_the_profile(script):
    command = f"nmcli connection modify {UUID} connection.zone k3s-cluster"
    script((DEVICE, 0, UUID), (command, 0, "")).set_zone("eth0", "k3s-cluster")


def test_a_command_that_fails_is_named_with_what_it_said(script):
    manager = script(("nmcli connection up id x", 4, "no such connection\n"))
    with pytest.raises(NetworkManagerError) as error:
        manager.run("connection", "up", "id", "x")
    assert str(error.value) == "nmcli connection up id x: no such connection"


def test_the_profile_is_the_file_with_its_text(script, monkeypatch):
    path = "/etc/NetworkManager/system-connections/eth0:1.nmconnection"
    escaped = path.replace(":", "\\:")
    files = {path: TEXT}
    monkeypatch.setattr(
        _networkmanager, "open", lambda name, **_how: io.StringIO(files[name]), raising=False
    )
    manager = script((DEVICE, 0, UUID), (FILES, 0, f"other:/etc/x\n{UUID}:{escaped}\n"))
    assert manager.profile("eth0") == Profile(path, TEXT)


@pytest.mark.parametrize("path", ["", "/run/NetworkManager/system-connections/eth0.nmconnection"])
def test_a_profile_without_a_file_under_etc_is_none(script, path):
    assert script((DEVICE, 0, UUID), (FILES, 0, f"{UUID}:{path}\n")).profile("eth0") is None


def test_the_name_of_the_active_profile(script):
    command = "nmcli -g GENERAL.CONNECTION device show dummy0"
    assert script((command, 0, "mine\n")).connection_name("dummy0") == "mine"


def test_settings_come_in_the_order_of_their_keys(script):
    manager = script(("nmcli -g a,b,c connection show id mine", 0, "1\n\n3\n"))
    assert manager.settings("mine", ["a", "b", "c"]) == ["1", "", "3"]


# Giving a file back


def test_a_file_that_only_got_a_zone_is_given_back_and_loaded(script, profile):
    script((f"nmcli connection load {profile.path}", 0, "")).restore(profile)
    with open(profile.path, encoding="utf-8") as stream:
        assert stream.read() == TEXT
    assert os.listdir(os.path.dirname(profile.path)) == ["eth0.nmconnection"]
    # A profile may hold secrets, and NetworkManager ignores one that others can read.
    assert stat.S_IMODE(os.stat(profile.path).st_mode) == 0o600


def test_a_file_that_somebody_changed_stays_as_it_is(script, profile):
    changed = WRITTEN.replace("method=auto", "method=manual")
    with open(profile.path, "w", encoding="utf-8") as stream:
        stream.write(changed)
    script().restore(profile)
    with open(profile.path, encoding="utf-8") as stream:
        assert stream.read() == changed


def test_a_file_that_somebody_removed_stays_away(script, profile):
    os.unlink(profile.path)
    script().restore(profile)
    assert not os.path.exists(profile.path)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (TEXT, True),
        (WRITTEN, True),
        (TEXT.replace("\n\n", "\n"), True),
        (TEXT.replace("id=eth0", "id=eth1"), False),
        (TEXT + "dns=192.0.2.53\n", False),
    ],
)
def test_only_zone_and_timestamp_may_differ(text, same):
    assert Profile("path", TEXT).same_but_for_zone(text) is same
