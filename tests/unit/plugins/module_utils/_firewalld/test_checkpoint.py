# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.checkpoint import (
    Checkpoint,
    CheckpointStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    IPSET,
    POLICY,
    ZONE,
    AddedPorts,
    PreviousBinding,
    Record,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.reload import Others
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    Profile,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._rollback.checkpoint import (
    confirm_command,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.killed import (
    killed_at_each_step,
)
from hypothesis import given
from hypothesis import strategies as st

IDENTITY = "00c0ffee00c0ffee"

TEXTS = st.text(max_size=6)
LISTS = st.lists(TEXTS, max_size=3)
PORTS = st.lists(st.sampled_from(["80/tcp", "1-9/udp"]), max_size=2)
SETTINGS = st.dictionaries(
    TEXTS,
    TEXTS | st.booleans() | st.integers() | LISTS | st.lists(LISTS, max_size=2),
    max_size=3,
)
OBJECTS = st.dictionaries(
    st.tuples(st.sampled_from([IPSET, ZONE, POLICY]), TEXTS), SETTINGS, max_size=3
)
PROFILES = st.builds(Profile, TEXTS, TEXTS, st.builds(FileCopy, TEXTS, st.binary(max_size=9)))
FORMERS = st.builds(PreviousBinding, TEXTS, TEXTS, st.none() | PROFILES)
RECORDS = st.builds(
    Record,
    bindings=st.dictionaries(TEXTS, FORMERS, max_size=2),
    ports=st.dictionaries(
        TEXTS, st.builds(AddedPorts, PORTS, PORTS, st.none() | SETTINGS), max_size=2
    ),
)
OTHERS = st.builds(
    Others,
    objects=OBJECTS,
    interfaces=st.dictionaries(TEXTS, TEXTS, max_size=2),
    direct=st.fixed_dictionaries(
        {
            "chains": st.lists(LISTS, max_size=2),
            "rules": st.lists(st.lists(TEXTS | st.integers() | LISTS, max_size=5), max_size=2),
            "passthroughs": st.lists(st.lists(TEXTS | LISTS, max_size=2), max_size=2),
        }
    ),
    tables=st.dictionaries(TEXTS, st.text(), max_size=2),
)
FILES = st.lists(
    st.builds(
        FileCopy,
        path=TEXTS,
        content=st.none() | st.binary(max_size=9),
        mode=st.integers(0, 0o7777),
        owner=st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
        xattrs=st.dictionaries(TEXTS, st.binary(max_size=9), max_size=2),
    ),
    max_size=3,
).map(tuple)
CHECKPOINTS = st.builds(
    Checkpoint,
    identity=TEXTS,
    permanent=OBJECTS,
    runtime=OBJECTS,
    record=RECORDS,
    later=RECORDS,
    others=OTHERS,
    files=FILES,
)

PROFILE = Profile("uuid", "/etc/eth0", FileCopy("/etc/eth0", b"zone="))
CHECKPOINT = Checkpoint(
    identity=IDENTITY,
    permanent={(ZONE, "k3s-cluster"): {"services": ["ssh"]}},
    runtime={(IPSET, "k3s-nodes"): {"type": "hash:ip", "family": "inet", "entries": []}},
    record=Record(),
    later=Record(bindings={"eth0": PreviousBinding("", "public", PROFILE)}),
    others=Others(interfaces={"eth0": "public"}),
    files=(FileCopy("/etc/firewalld/zones/public.xml", b"\xff\0", 0o644),),
)


FILE = CHECKPOINT.files[0].to_dict()


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path / "k3s-network"))


@pytest.fixture
def waiting(store):
    """A store whose change awaits its confirmation."""
    store.save(CHECKPOINT)
    store.wait_until(IDENTITY, 60.0)
    return store


# What is kept


@given(CHECKPOINTS)
def test_a_checkpoint_survives_json(checkpoint):
    assert Checkpoint.from_dict(json.loads(json.dumps(checkpoint.to_dict()))) == checkpoint


def test_a_change_is_open_from_save_to_close(store):
    assert not os.path.exists(store.path)
    assert store.load() is None
    store.save(CHECKPOINT)
    assert os.path.exists(store.path)
    assert store.load() == CHECKPOINT
    store.close()
    assert not os.path.exists(store.path)
    assert store.load() is None


def test_what_is_kept_is_for_nobody_else_to_read(waiting):
    assert stat.S_IMODE(os.stat(waiting.directory).st_mode) == 0o700
    for name in os.listdir(waiting.directory):
        assert stat.S_IMODE(os.stat(os.path.join(waiting.directory, name)).st_mode) == 0o600


def test_a_change_is_open_with_a_whole_checkpoint_or_not_at_all(store):
    opened = []
    for step in killed_at_each_step(lambda: store.save(CHECKPOINT), store.close):
        opened.append(os.path.exists(store.path))
        assert store.load() == (CHECKPOINT if os.path.exists(store.path) else None), step
    assert opened
    assert os.path.exists(store.path)
    store.close()
    store.leave()
    assert not os.path.exists(store.directory)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "\udc80",
        "[]",
        "null",
        "{}",
        json.dumps({**CHECKPOINT.to_dict(), "files": [{}]}),
        json.dumps({**CHECKPOINT.to_dict(), "record": {"bindings": [], "ports": {}}}),
        json.dumps({**CHECKPOINT.to_dict(), "permanent": [["zone", "public"]]}),
        json.dumps({**CHECKPOINT.to_dict(), "record": None}),
        json.dumps({**CHECKPOINT.to_dict(), "identity": 7}),
        json.dumps({**CHECKPOINT.to_dict(), "runtime": [["zone", ["public"], {}]]}),
        json.dumps({**CHECKPOINT.to_dict(), "runtime": [["zone", "public", "x"]]}),
        json.dumps({**CHECKPOINT.to_dict(), "files": [{**FILE, "path": 7}]}),
        json.dumps({**CHECKPOINT.to_dict(), "files": [{**FILE, "mode": "0644"}]}),
        json.dumps({**CHECKPOINT.to_dict(), "files": [{**FILE, "content": "no base64"}]}),
    ],
)
def test_a_checkpoint_that_can_not_be_read_is_an_error_of_its_value(store, text):
    os.makedirs(store.directory)
    path = os.path.join(store.directory, "checkpoint.json")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
    with pytest.raises(ValueError):
        store.load()


def test_leaving_takes_what_a_change_has_left_and_the_directory(store):
    for identity in ("one", "two", "three"):
        os.makedirs(store.directory, exist_ok=True)
        store.wait_until(identity, 1.0)
    store.expire("one")
    subprocess.run(["sh", "-c", "mv awaiting-two confirmed-two"], cwd=store.directory, check=True)
    assert len(os.listdir(store.directory)) == 3
    store.leave()
    assert not os.path.exists(store.directory)
    store.leave()


def test_leaving_keeps_the_record(waiting):
    record = os.path.join(waiting.directory, "firewalld.json")
    with open(record, "w", encoding="utf-8"):
        pass
    waiting.close()
    waiting.leave()
    assert os.listdir(waiting.directory) == ["firewalld.json"]


# The confirmation


def confirm(store, identity=IDENTITY, **how):
    """Start the controller's command as Ansible does."""
    command = confirm_command(identity, store.directory)
    return subprocess.Popen(["sh", "-c", command], stderr=subprocess.PIPE, **how)


def finished(process):
    process.communicate(timeout=60)
    return process.returncode


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


def test_nothing_is_waited_for_before_all_is_done(store):
    store.save(CHECKPOINT)
    assert store.deadline(IDENTITY) is None
    assert not store.was_done(IDENTITY)
    assert not store.is_confirmed(IDENTITY)
    # Who confirms by then has the identity from somewhere else.
    assert finished(confirm(store)) != 0


def test_the_deadline_is_kept_as_it_was_said(store):
    os.makedirs(store.directory)
    store.wait_until(IDENTITY, 12345.678901234567)
    assert store.deadline(IDENTITY) == 12345.678901234567
    assert store.deadline("another") is None


def test_a_change_that_awaits_confirmation_was_done_whatever_comes_of_it(waiting):
    assert waiting.was_done(IDENTITY)
    assert not waiting.was_done("another")
    waiting.expire(IDENTITY)
    assert waiting.was_done(IDENTITY)
    assert waiting.deadline(IDENTITY) is None
    assert not waiting.is_confirmed(IDENTITY)


def test_confirming_succeeds_as_soon_as_the_node_has_cleaned_up(waiting):
    process = confirm(waiting)
    until(lambda: waiting.is_confirmed(IDENTITY))
    assert waiting.was_done(IDENTITY)
    assert waiting.deadline(IDENTITY) is None
    time.sleep(0.1)
    assert process.poll() is None
    waiting.close()
    waiting.leave()
    assert finished(process) == 0


def test_confirming_succeeds_though_the_node_takes_its_time_to_clean_up(waiting, tmp_path):
    # Without it, the command would wait for seconds.
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert finished(confirm(waiting, env=environment)) == 0
    assert waiting.is_confirmed(IDENTITY)


def test_a_change_that_has_expired_can_not_be_confirmed(waiting):
    assert waiting.expire(IDENTITY) is True
    process = confirm(waiting)
    _out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"awaiting-" in said
    assert not waiting.is_confirmed(IDENTITY)
    # Whoever asks once more, after being killed in between, gets the same answer.
    assert waiting.expire(IDENTITY) is True


def test_a_change_is_not_confirmed_with_the_identity_of_another(waiting):
    assert finished(confirm(waiting, "another")) == 1
    assert waiting.deadline(IDENTITY) == 60.0


def test_either_the_controller_or_the_node_decides(waiting, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _handle: None)

    def attempt(number):
        identity = f"attempt{number}"
        waiting.wait_until(identity, 0.0)
        process = confirm(waiting, identity)
        # It takes a shell some milliseconds to come to the point.
        time.sleep(number % 20 * 0.0003)
        expired = waiting.expire(identity)
        assert waiting.expire(identity) is expired
        assert waiting.is_confirmed(identity) != expired
        if not expired:
            os.unlink(os.path.join(waiting.directory, f"confirmed-{identity}"))
        return expired, finished(process)

    with ThreadPoolExecutor(4) as pool:
        outcomes = set(pool.map(attempt, range(120)))
    assert outcomes <= {(True, 1), (False, 0)}
