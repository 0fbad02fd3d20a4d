# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import (
    _firewalld,
    _firewalld_repair,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    IPSET,
    POLICY,
    ZONE,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_repair import (
    broken_objects,
    wait_until_forgotten,
)

NODES = (IPSET, "k3s-nodes")
PODS = (ZONE, "k3s-pods")
POLICIES = [(POLICY, "k3s-from-nodes"), (POLICY, "k3s-overlay")]
OWNED = [NODES, PODS, *POLICIES]


@pytest.fixture
def etc(tmp_path, monkeypatch):
    monkeypatch.setattr(_firewalld, "ETC", str(tmp_path))
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


def test_wait_until_forgotten_asks_until_the_keys_are_gone(monkeypatch):
    monkeypatch.setattr(_firewalld_repair, "_STEP", 0.0)
    answers = [{NODES, PODS}, {NODES, PODS}, {PODS}]
    assert wait_until_forgotten(lambda: answers.pop(0), [NODES])
    assert answers == []


def test_wait_until_forgotten_gives_up(monkeypatch):
    monkeypatch.setattr(_firewalld_repair, "_WATCH_SECONDS", 0.0)
    assert not wait_until_forgotten(lambda: {NODES}, [NODES])
