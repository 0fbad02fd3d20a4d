# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built collection is the same each time, holds what users need, and runs where it is put."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_version

PROJECT = Path(__file__).resolve().parents[3]
FOR_USERS = {
    "CHANGELOG.md",
    "COPYING",
    "Containerfile",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "execution-environment.yml",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


def build(directory: Path) -> Path:
    """Build the collection and return the archive."""
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    command = [galaxy, "collection", "build", PROJECT, "--output-path", directory]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = directory.glob("edgeops-k3s_network-*.tar.gz")
    return path


def contents(path: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and the content of each file of an archive."""
    with tarfile.open(path) as archive:
        return {
            member.name: (member.mode, archive.extractfile(member).read())
            for member in archive
            if member.isfile()
        }


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return build(tmp_path_factory.mktemp("artifact"))


def test_artifact_holds_only_what_users_need(artifact):
    names = set(contents(artifact))
    assert {name.partition("/")[0] for name in names} <= FOR_USERS
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    for needed in ("playbooks/site.yml", "plugins/modules/firewalld_state.py", "COPYING"):
        assert needed in names


def test_artifact_is_the_same_when_it_is_built_again(artifact, tmp_path):
    assert contents(build(tmp_path)) == contents(artifact)


def test_artifact_runs_in_an_environment_that_has_nothing_else(
    artifact, playbook, tmp_path, monkeypatch
):
    environment, collections = tmp_path / "venv", tmp_path / "collections"
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(collections))
    venv.create(environment, with_pip=True)
    programs = environment / "bin"
    for command in (
        [programs / "pip", "install", "--quiet", f"ansible-core=={ansible_version}"],
        [programs / "ansible-galaxy", "collection", "install", artifact, "-p", collections],
    ):
        subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    run = playbook("site", "-vv")
    assert run.returncode == 0, run.output
    assert "Connectivity ok" in run.output
    # Said by -vv, of each file of tasks.
    assert f"{collections}/ansible_collections/edgeops/k3s_network/roles/" in run.output
    assert f"{PROJECT}/.build/ansible_collections" not in run.output
