# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    AddedPorts,
    PreviousBinding,
    Record,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.record_store import (
    RecordStore,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import (
    IPSET,
    ZONE,
)

RECORD = Record(
    bindings={"eth0": PreviousBinding("internal", "work")},
    ports={"public": AddedPorts(["6443/tcp"], ["80/tcp"], {"services": ["ssh"]})},
    objects=frozenset({(ZONE, "k3s-pods"), (IPSET, "k3s-nodes")}),
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "k3s-network" / "firewalld.json")


def test_record_survives(path):
    RecordStore(path).save(RECORD)
    assert RecordStore(path).load() == RECORD


def test_record_without_a_file_is_empty(path):
    assert RecordStore(path).load() == Record()


def test_empty_record_leaves_neither_file_nor_directory(path):
    store = RecordStore(path)
    store.save(RECORD)
    store.save(Record())
    store.save(Record())
    assert not os.path.exists(os.path.dirname(path))


def test_record_is_replaced_and_leaves_no_other_file(path):
    store = RecordStore(path)
    store.save(RECORD)
    store.save(Record(bindings={"eth1": PreviousBinding("", "")}))
    assert os.listdir(os.path.dirname(path)) == ["firewalld.json"]
    assert set(store.load().bindings) == {"eth1"}


def test_record_that_cannot_be_written_leaves_the_old_one(path, monkeypatch):
    store = RecordStore(path)
    store.save(RECORD)
    monkeypatch.setattr(os, "replace", lambda *_paths: _no_space())
    with pytest.raises(OSError):
        store.save(Record(bindings={"eth1": PreviousBinding("", "")}))
    assert os.listdir(os.path.dirname(path)) == ["firewalld.json"]
    assert store.load() == RECORD


def _no_space():
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"bindings": {"eth0": {}}, "ports": {}}',
            '{"bindings": 1}',
        ),
        '{"bindings": {}, "ports": {"public": {"added": [], "unknown": 1}}}',
    ],
)
def test_corrupt_record_counts_as_lost_and_is_kept(path, text):
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    store = RecordStore(path)
    assert store.load() == Record()
    assert store.problem
    store.save(RECORD)
    assert RecordStore(path).load() == RECORD
    with open(f"{path}.unreadable", encoding="utf-8") as stream:
        assert stream.read() == text
