# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.connect import run
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.iptables import (
    Iptables,
    IptablesError,
)

RULES = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.9/32 -j DROP\nCOMMIT\n"
FLUSHED = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
LOST = "*filter\n-I INPUT 1 -s 192.0.2.9/32 -j DROP\nCOMMIT\n"


class Programs:
    """A directory with the programs of a host, which print files and keep what they are told."""

    def __init__(self, directory) -> None:
        self._directory = directory
        self.iptables = Iptables(run)

    def add(self, name, script):
        path = self._directory / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def save(self, name, text):
        """Let iptables-save or ip6tables-save print a text."""
        (self._directory / f"{name}.txt").write_text(text, encoding="utf-8")
        self.add(name, f"/bin/cat {self._directory}/{name}.txt")

    def restore(self, name):
        self.add(name, f"echo $@ > {self._directory}/{name}.txt; /bin/cat >> $0.txt")

    def told(self, name):
        """Return the arguments and the input of a program, empty where it was not run."""
        path = self._directory / f"{name}.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    programs = Programs(tmp_path)
    programs.restore("iptables-restore")
    programs.restore("ip6tables-restore")
    return programs


def test_what_both_print_is_kept_by_their_names(host):
    host.save("iptables-save", RULES)
    host.save("ip6tables-save", FLUSHED)
    assert host.iptables.saved() == {"iptables-save": RULES, "ip6tables-save": FLUSHED}


def test_a_host_without_iptables_has_nothing_to_keep(host):
    assert host.iptables.saved() == {}


@pytest.mark.parametrize("script", ["exit 1", "echo; exit 0", "echo '*filter'; exit 3"])
def test_a_family_without_rules_or_support_has_nothing_to_keep(host, script):
    host.save("iptables-save", RULES)
    host.add("ip6tables-save", script)
    assert host.iptables.saved() == {"iptables-save": RULES}


def test_what_is_missing_comes_back_and_what_is_there_is_not_flushed(host):
    host.save("iptables-save", FLUSHED)
    host.save("ip6tables-save", RULES)
    host.iptables.restore({"iptables-save": RULES, "ip6tables-save": RULES})
    assert host.told("iptables-restore") == f"--wait=10 --noflush\n{LOST}"
    assert host.told("ip6tables-restore") == ""


def test_all_comes_back_where_nothing_is_there_any_more(host):
    host.add("iptables-save", "exit 1")
    host.iptables.restore({"iptables-save": RULES})
    assert host.told("iptables-restore") == f"--wait=10 --noflush\n{LOST}"


def test_without_rules_to_bring_back_nothing_is_run():
    def refuse(*_arguments, **_more):
        raise AssertionError("nothing is to be run")

    Iptables(refuse).restore({})


@pytest.mark.parametrize("where", ["", " >&2"])
def test_what_iptables_refuses_is_told_with_the_command(host, tmp_path, where):
    host.save("iptables-save", FLUSHED)
    host.add("iptables-restore", f"echo iptables-restore: line 2 failed{where}; exit 1")
    with pytest.raises(IptablesError) as error:
        host.iptables.restore({"iptables-save": RULES})
    command = f"{tmp_path}/iptables-restore --wait=10 --noflush"
    assert str(error.value) == f"{command}: iptables-restore: line 2 failed"
