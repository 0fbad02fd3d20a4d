# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import networkmanager
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManager,
    NetworkManagerError,
    Profile,
    with_zone,
    zone_in,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.recordings import (
    record_nmcli,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.scripted import (
    ScriptedCommands,
)
from hypothesis import example, given
from hypothesis import strategies as st

UUID = record_nmcli.UUID
PLAIN = "env LC_ALL=C.UTF-8 LANGUAGE= nmcli"
DEVICE = f"{PLAIN} -g GENERAL.STATE,GENERAL.CON-UUID device show eth0"
ACTIVE = "nmcli -t -f DEVICE,NAME,FILENAME connection show --active"
STATES = "nmcli -t -f DEVICE,STATE device status"
CONNECTED = f"100 (connected)\n{UUID}\n"
RECORDINGS = sorted(Path(record_nmcli.__file__).parent.glob("nmcli-*.json"))
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-eth0"
KEYFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"


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


def test_profiles_are_listed_by_name(script):
    manager = script(("nmcli -t -f NAME connection show", 0, "eth0\nWired connection 1\n"))
    assert manager.profiles() == ["eth0", "Wired connection 1"]


def test_a_networkmanager_that_does_not_run_has_no_list_of_profiles(script):
    manager = script(("nmcli -t -f NAME connection show", 8, "NetworkManager is not running"))
    assert manager.profiles() is None


def test_without_nmcli_nothing_is_managed_and_nothing_is_run(monkeypatch):
    monkeypatch.setattr(networkmanager.shutil, "which", lambda _name: None)
    manager = NetworkManager(ScriptedCommands())
    assert manager.profiles() is None
    assert not manager.manages("eth0")
    assert not manager.knows("eth0")
    assert manager.profile("eth0") is None


def test_an_interface_with_an_active_profile_is_managed_and_asked_for_once(script):
    manager = script((DEVICE, 0, CONNECTED))
    assert manager.manages("eth0")
    assert manager.manages("eth0")


@pytest.mark.parametrize(("code", "out"), [(0, "30 (disconnected)\n\n"), (10, "Device not found")])
def test_an_interface_without_a_profile_is_not_managed(script, code, out):
    assert not script((DEVICE, code, out)).manages("eth0")


def test_the_zone_is_that_of_the_profile(script):
    manager = script(
        (DEVICE, 0, CONNECTED),
        (f"nmcli -g connection.zone connection show {UUID}", 0, "internal\n"),
    )
    assert manager.zone("eth0") == "internal"


def test_a_command_that_fails_is_named_with_what_it_said(script):
    manager = script(("nmcli connection up id x", 4, "no such connection\n"))
    with pytest.raises(NetworkManagerError) as error:
        manager.run("connection", "up", "id", "x")
    assert str(error.value) == "nmcli connection up id x: no such connection"


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


# Those of nmcli 1.30 to 1.58.
EXTERNALLY = ("connecting (externally)", "connected (externally)", "deactivating (externally)")


@pytest.mark.parametrize("state", EXTERNALLY)
def test_a_profile_that_it_made_up_for_what_others_have_set_up_is_left_out(script, state):
    states = f"eth0:connected\ndummy0:{state}\n"
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


# What a real NetworkManager answered and wrote; see recordings/record_nmcli.py


class Recorded:
    """Answers as the NetworkManager of a recording did, with its files below another root."""

    def __init__(self, root, commands):
        self._root = str(root)
        self._commands = commands

    def below(self, text):
        for directory in ("/etc/NetworkManager/", "/run/NetworkManager/", "/usr/lib/NetworkM"):
            text = text.replace(directory, self._root + directory)
        return text

    def __call__(self, command):
        assert self._commands, f"unexpected command: {command}"
        recorded = self._commands.pop(0)
        assert list(command) == [self.below(one) for one in recorded["command"]]
        for path, text in recorded["files"].items():
            path = self.below(path)
            if text is None:
                os.unlink(path)
            elif not os.path.exists(path) or self.below(text) != Path(path).read_text():
                record_nmcli.write(path, self.below(text))
        code, out, err = recorded["answer"]
        return code, self.below(out), self.below(err)


@pytest.fixture(params=RECORDINGS, ids=[path.stem for path in RECORDINGS])
def play(request, tmp_path, monkeypatch):
    """Return a function that plays a scenario with a recorded NetworkManager."""
    recording = json.loads(request.param.read_text())
    for name in ("_ETC", "_RUN", "_LIB"):
        monkeypatch.setattr(networkmanager, name, f"{tmp_path}{getattr(networkmanager, name)}")
        os.makedirs(getattr(networkmanager, name))

    def play_scenario(name):
        directory, actions = record_nmcli.SCENARIOS[name]
        runner = Recorded(tmp_path, recording[name])
        played = record_nmcli.Play(NetworkManager(runner, "nmcli"), directory)
        record_nmcli.write(played.path, record_nmcli.TEXT)
        for action in actions:
            played.act(action)
        assert not runner._commands
        return played

    return play_scenario


def files_below(directory):
    return sorted(str(path) for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("scenario", ["etc", "run", "lib"])
def test_restore_leaves_the_original_file_only(play, tmp_path, scenario):
    played = play(scenario)
    assert files_below(tmp_path) == [played.path]
    assert Path(played.path).read_text() == record_nmcli.TEXT
    assert stat.S_IMODE(os.stat(played.path).st_mode) == 0o600


def test_restore_keeps_a_change_by_the_user(play, tmp_path):
    played = play("etc changed by the user")
    assert files_below(tmp_path) == [played.path]
    assert Path(played.path).read_text() == record_nmcli.TEXT + record_nmcli.BY_USER


def test_restore_keeps_a_copy_that_the_user_changed(play, tmp_path):
    played = play("run changed by the user")
    assert files_below(tmp_path) == [played.copy]
    assert Path(played.copy).read_text() == record_nmcli.TEXT + record_nmcli.BY_USER


def test_restore_does_not_bring_back_a_removed_file(play, tmp_path):
    """NetworkManager keeps the profile in memory: without a file it would end the connection."""
    played = play("etc removed by the user")
    assert [path for path in files_below(tmp_path) if "/run/" not in path] == []
    assert played.results[-1] is None


def test_restore_keeps_a_profile_generated_anew(play, tmp_path):
    played = play("run generated anew")
    assert files_below(tmp_path) == [played.path]
    assert Path(played.path).read_text() == record_nmcli.TEXT + record_nmcli.BY_USER


def test_files_are_known_before_the_change_existing_ones_first(play):
    played = play("run")
    before, after = played.results[0], played.results[2]
    assert before[0] == played.path
    assert played.copy in before
    assert after[0] == played.copy
    assert played.path in after


def test_unsaved_changes_are_refused(play, tmp_path):
    played = play("etc unsaved")
    assert "has changes that are not saved" in played.results[1]
    assert Path(played.path).read_text() == record_nmcli.TEXT


def test_file_that_networkmanager_can_not_read_is_left_as_it_was(play, tmp_path):
    played = play("etc broken")
    assert "does not read" in played.results[1]
    assert Path(played.path).read_text() == "broken [[\n"
    assert files_below(tmp_path) == [played.path]


def test_file_in_the_way_of_a_copy_is_refused(play):
    played = play("run with a file in the way")
    assert f"{played.copy} exists" in played.results[1]
    assert Path(played.copy).read_text() == "# something else\n"


def test_externally_connected_bridge_is_not_managed(play):
    assert play("external").results == [[True, False, False]]


@pytest.mark.parametrize("state", EXTERNALLY)
def test_interface_in_any_external_state_is_not_managed(script, state):
    assert not script((DEVICE, 0, f"70 ({state})\n{UUID}\n")).manages("eth0")


# What can't be asked on a machine of the lab


@pytest.mark.parametrize("path", ["", "/etc/network/interfaces"])
def test_profile_without_a_file_of_its_own_is_refused(script, path):
    files = f"{PLAIN} -t -f UUID,FILENAME connection show"
    manager = script((DEVICE, 0, CONNECTED), (files, 0, f"{UUID}:{path}\n"))
    with pytest.raises(NetworkManagerError, match=path or "memory"):
        manager.profile("eth0")


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (IFCFG, b"DEVICE=eth0\nONBOOT=yes", b"DEVICE=eth0\nONBOOT=yes\nZONE=k3s-cluster\n"),
        (IFCFG, b"ZONE='public'\nDEVICE=eth0\n", b"ZONE=k3s-cluster\nDEVICE=eth0\n"),
        (IFCFG, b"ZONE=a\n#ZONE=b\n export ZONE=c\n", b"ZONE=k3s-cluster\n#ZONE=b\n"),
        (IFCFG, b"IPV4_ZONE=a\n", b"IPV4_ZONE=a\nZONE=k3s-cluster\n"),
        (KEYFILE, b"[ipv4]\nzone=x\n", b"[ipv4]\nzone=x\n[connection]\nzone=k3s-cluster\n"),
        (KEYFILE, b"# x\n[connection]\n id = y", b"# x\n[connection]\nzone=k3s-cluster\n id = y\n"),
        (
            KEYFILE,
            b"[connection]\nzone = a\nzone=b\n[x]\n",
            b"[connection]\nzone=k3s-cluster\n[x]\n",
        ),
        (KEYFILE, b"[connection]\r\nid=y\r\n", b"[connection]\r\nzone=k3s-cluster\r\nid=y\r\n"),
        (KEYFILE, b" [connection] \n#zone=a\n", b" [connection] \nzone=k3s-cluster\n#zone=a\n"),
    ],
)
def test_zone_of_a_profile_file_is_set(path, before, after):
    assert with_zone(before, "k3s-cluster", path) == after


@given(
    st.lists(
        st.sampled_from(
            ["[connection]", "[ipv4]", "zone=a", " zone = b", "#zone=c", "ZONE=d", "id=x", ""]
        )
    ),
    st.sampled_from(["", "a", "k3s-cluster"]),
    st.sampled_from([KEYFILE, IFCFG]),
)
def test_zone_that_was_set_is_read_and_can_be_set_back(lines, zone, path):
    content = "\n".join([*lines, ""]).encode()
    changed = with_zone(content, zone, path)
    assert zone_in(changed, path) == zone
    assert with_zone(changed, zone, path) == changed
    if not zone_in(content, path) and b"[connection]" in content:
        assert with_zone(changed, "", path) == content


def test_profile_survives_json():
    file = networkmanager.FileCopy("/etc/x", b"\xff", 0o640, (1, 2))
    profile = Profile(UUID, "/etc/link", file, "digest")
    assert Profile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
