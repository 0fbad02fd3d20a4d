# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-builder makes the context of an execution environment that holds the collection."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import tarfile

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
ARTIFACT = f"{GALAXY['namespace']}-{GALAXY['name']}-{GALAXY['version']}.tar.gz"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Build the artifact and the context, as a user does by the definition's first lines."""
    folder = tmp_path_factory.mktemp("ee")
    build = ["ansible-galaxy", "collection", "build", "--output-path", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    shutil.copy(ROOT / "execution-environment.yml", folder)
    create = ["ansible-builder", "create", "--output-filename", "Containerfile"]
    subprocess.run(create, check=True, capture_output=True, cwd=folder)
    return folder / "context"


def test_the_context_holds_the_collection_of_this_version(context: pathlib.Path) -> None:
    with tarfile.open(context / "_build" / "collections" / ARTIFACT) as artifact:
        names = artifact.getnames()
    assert "meta/execution-environment.yml" in names
    assert "execution-environment.yml" in names
    assert "playbooks/site.yml" in names


def test_the_collection_is_installed_from_that_file(context: pathlib.Path) -> None:
    wanted = yaml.safe_load((context / "_build" / "requirements.yml").read_text())
    assert wanted == {"collections": [{"name": f"collections/{ARTIFACT}", "type": "file"}]}
    assert "ansible-galaxy collection install" in (context / "Containerfile").read_text()


def test_the_base_image_may_be_another(context: pathlib.Path) -> None:
    """For sites without the internet: --build-arg EE_BASE_IMAGE."""
    text = (context / "Containerfile").read_text()
    assert "ARG EE_BASE_IMAGE=" in text
    assert "FROM $EE_BASE_IMAGE" in text


def test_the_collection_asks_for_no_packages() -> None:
    meta = yaml.safe_load((ROOT / "meta/execution-environment.yml").read_text(encoding="utf-8"))
    assert meta == {"version": 1, "dependencies": {}}
