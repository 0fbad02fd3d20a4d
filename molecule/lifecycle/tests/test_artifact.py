# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built collection holds what users need, and runs from where it was installed."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
FOR_USERS = {
    "CHANGELOG.md",
    "COPYING",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    directory = tmp_path_factory.mktemp("artifact")
    build = ["ansible-galaxy", "collection", "build", str(PROJECT), "--output-path", str(directory)]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = directory.glob("edgeops-k3s_network-*.tar.gz")
    return path


def test_artifact_holds_only_what_users_need(artifact):
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    assert {name.partition("/")[0] for name in names} <= FOR_USERS
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    for needed in ("playbooks/site.yml", "plugins/modules/firewalld_state.py", "COPYING"):
        assert needed in names


def test_artifact_runs_where_it_was_installed(artifact, playbook, tmp_path, monkeypatch):
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    install = ["ansible-galaxy", "collection", "install", str(artifact), "-p", str(tmp_path)]
    subprocess.run(install, check=True, capture_output=True)
    run = playbook("prepare", "--check", "--diff")
    assert run.returncode == 0, run.output
    assert str(PROJECT) not in run.output
