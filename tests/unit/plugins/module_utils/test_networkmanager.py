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
from hypothesis import example, given
from hypothesis import strategies as st

UUID = "0c1f7e5a-0001-4000-8000-000000000001"
DEVICE = "nmcli -g GENERAL.CON-UUID device show eth0"
FILES = "nmcli -t -f UUID,FILENAME connection show"
ACTIVE = "nmcli -t -f DEVICE,NAME,FILENAME connection show --active"
STATES = "nmcli -t -f DEVICE,STATE device status"
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
    assert not manager.knows("eth0")
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


@pytest.mark.parametrize(
    ("code", "out", "known"),
    [
        (0, "eth0\nk3s-default-route\n", True),
        (0, "eth0\nk3s-default-route-2\n", False),
        (0, "", False),
        (8, "NetworkManager is not running", False),
    ],
)
def test_a_profile_is_known_by_its_whole_name_where_networkmanager_runs(script, code, out, known):
    manager = script(("nmcli -t -f NAME connection show", code, out))
    assert manager.knows("k3s-default-route") is known


def test_the_active_profiles_are_told_by_interface_with_name_and_file(script):
    out = (
        "eth0:Wired connection 1:/run/NetworkManager/system-connections/Wired connection 1\n"
        "dummy0:k3s-default-route:/etc/NetworkManager/system-connections/k3s.nmconnection\n"
    )
    assert script((STATES, 0, "eth0:connected\n"), (ACTIVE, 0, out)).active_profiles() == {
        "eth0": (
            "Wired connection 1",
            "/run/NetworkManager/system-connections/Wired connection 1",
        ),
        "dummy0": (
            "k3s-default-route",
            "/etc/NetworkManager/system-connections/k3s.nmconnection",
        ),
    }


def test_without_active_profiles_there_are_none(script):
    assert script((STATES, 0, ""), (ACTIVE, 0, "")).active_profiles() == {}


def test_a_profile_that_it_made_up_for_what_others_have_set_up_is_left_out(script):
    states = "eth0:connected\ndummy0:connected (externally)\n"
    out = "eth0:a:/etc/a\ndummy0:dummy0:/run/NetworkManager/system-connections/dummy0\n"
    assert list(script((STATES, 0, states), (ACTIVE, 0, out)).active_profiles()) == ["eth0"]


def test_a_networkmanager_that_does_not_tell_its_active_profiles_is_an_error(script):
    manager = script((STATES, 0, ""), (ACTIVE, 8, "NetworkManager is not running"))
    with pytest.raises(NetworkManagerError, match="--active: NetworkManager is not running"):
        manager.active_profiles()


def test_a_profile_without_an_interface_or_file_is_no_error(script):
    found = script((STATES, 0, ""), (ACTIVE, 0, ":vpn:\neth0:a:/etc/a\n")).active_profiles()
    assert found["eth0"] == ("a", "/etc/a")


FIELDS = st.text("ab:\\ /.", min_size=1, max_size=8)


@given(FIELDS, FIELDS)
@example(name="a:b", path="/etc/a:b")
@example(name="a\\", path="/etc/a")
def test_colons_and_backslashes_in_names_and_files_are_read_as_nmcli_writes_them(name, path):
    fields = [field.replace("\\", "\\\\").replace(":", "\\:") for field in (name, path)]
    with ScriptedCommands(
        (STATES, 0, ""), (ACTIVE, 0, f"eth0:{':'.join(fields)}\neth1:b:/etc/b\n")
    ) as commands:
        found = NetworkManager(commands, "nmcli").active_profiles()
    assert found == {"eth0": (name, path), "eth1": ("b", "/etc/b")}


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
