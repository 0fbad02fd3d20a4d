# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import python
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.python import Interpreter

OLD = Interpreter("/usr/libexec/platform-python", (3, 6), True)
BARE = Interpreter("/usr/bin/python3.9", (3, 9), False)
GOOD = Interpreter("/usr/bin/python3.11", (3, 11), True)


@pytest.fixture
def host(monkeypatch):
    """Return a function that says which interpreters a host has, and what was respawned."""
    respawned = []
    monkeypatch.setattr(python.importlib.util, "find_spec", lambda _library: None)
    monkeypatch.setattr(python, "has_respawned", lambda: False)
    monkeypatch.setattr(
        python, "probe_interpreters_for_module", lambda paths, _library: next(iter(paths), None)
    )
    monkeypatch.setattr(python, "respawn_module", respawned.append)

    def has(*found):
        monkeypatch.setattr(python, "interpreters", lambda _library: list(found))
        return respawned

    return has


def test_library_of_this_python_needs_no_other():
    assert python.need_library("json", "a package") == ""


def test_respawn_takes_only_a_python_that_is_new_enough(host):
    respawned = host(OLD, BARE, GOOD)
    python.need_library("dbus", "python3-dbus")
    assert respawned == ["/usr/bin/python3.11"]


def test_bindings_of_an_old_python_only_are_named(host):
    respawned = host(OLD, BARE)
    text = python.need_library("dbus", "python3-dbus")
    assert respawned == []
    assert text.startswith("No Python of at least 3.9 on this host has the module dbus (")
    assert "/usr/libexec/platform-python is Python 3.6 with it" in text
    assert "/usr/bin/python3.9 is Python 3.9 without it" in text
    assert "as Enterprise Linux 8" in text
    assert "Install" not in text


def test_bindings_that_are_missing_name_their_package(host):
    host(BARE)
    text = python.need_library("dbus", "python3-dbus")
    assert text.endswith("Install python3-dbus, or firewalld itself if it is missing.")
    host()
    assert "dbus. Install python3-dbus" in python.need_library("dbus", "python3-dbus")


def test_interpreters_are_read_once_each(tmp_path):
    for name in ("python3", "python3.99", "python3.99-config"):
        (tmp_path / name).symlink_to(sys.executable)
    other = tmp_path / "python3.6"
    other.write_text("#!/bin/sh\necho 3.6 True\n")
    other.chmod(0o755)
    broken = tmp_path / "python3.7"
    broken.write_text("#!/bin/sh\necho Segmentation fault\n")
    broken.chmod(0o755)
    paths = (str(tmp_path / "python3"), str(tmp_path / "absent"))
    found = python.interpreters("json", paths, f"{tmp_path}/python3.[0-9]*")
    assert found == [
        Interpreter(str(tmp_path / "python3"), sys.version_info[:2], True),
        Interpreter(str(other), (3, 6), True),
    ]
    assert python.interpreters("no_such_library", paths, "")[0].has_library is False
