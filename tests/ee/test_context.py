# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-builder makes the context of an execution environment that holds the collection."""

from __future__ import annotations

import os
import pathlib
import re
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


@pytest.fixture(scope="module")
def containerfile(context: pathlib.Path) -> str:
    return (context / "Containerfile").read_text()


def arguments(containerfile: str) -> dict[str, str]:
    """Return the build arguments with their defaults."""
    return dict(re.findall(r'^ARG (\w+)="(.*)"$', containerfile, re.MULTILINE))


def test_documented_build_arguments_have_an_effect(containerfile: str) -> None:
    page = (ROOT / "docs/docsite/rst/awx.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^``([A-Z_]+)`` ", page, re.MULTILINE)
    assert {"EE_BASE_IMAGE", "PYCMD", "PYPKG", "PKGMGR", "ANSIBLE_INSTALL_REFS"} <= set(documented)
    for name in documented:
        if not name.startswith("CONTROLLER_"):
            assert name in arguments(containerfile)
            assert f"${name}" in containerfile


def test_base_image_of_enterprise_linux_9_gets_a_newer_python(containerfile: str) -> None:
    """PYPKG is what is installed, and PYCMD is used for each step."""
    assert "RUN $PKGMGR install $PYPKG -y" in containerfile
    assert "RUN /output/scripts/pip_install $PYCMD" in containerfile
    assert re.findall(r"RUN (.*)-m pip install", containerfile) == ["$PYCMD "] * 3


def test_ansible_core_is_the_range_that_is_tested(containerfile: str) -> None:
    cores = sorted(tuple(map(int, path.stem.split("."))) for path in ROOT.glob("tests/cores/*.txt"))
    (oldest, *_others, newest) = cores
    expected = f"ansible-core>={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"
    assert arguments(containerfile)["ANSIBLE_INSTALL_REFS"] == f"{expected} ansible-runner"


def test_base_image_is_maintained_and_named_in_full(containerfile: str) -> None:
    """CentOS Stream 10 is maintained until 2030. Podman asks for the registry of a short name."""
    assert arguments(containerfile)["EE_BASE_IMAGE"] == "quay.io/centos/centos:stream10"


def test_ansible_builder_needs_a_network_whatever_the_base_image(context: pathlib.Path) -> None:
    """The documentation says so, and names the Containerfile instead."""
    text = (context / "Containerfile").read_text()
    assert "pip install --no-cache-dir bindep" in text
    assert "pip install --no-cache-dir 'dumb-init" in text
    assert "$PKGMGR install -y" in (context / "_build/scripts/install-from-bindep").read_text()


def test_containerfile_installs_the_collection_without_a_network(
    context: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").splitlines()
    steps = [line for line in lines if line and not line.startswith("#")]
    commands = [step.removeprefix("RUN ") for step in steps if step.startswith("RUN ")]
    assert not re.search(r"dnf|pip|https?:", " ".join(steps))
    (copied,) = (step.split()[1:] for step in steps if step.startswith("COPY "))
    assert pathlib.PurePath(ARTIFACT).match(copied[0])
    collection = tmp_path / "collection"
    collection.mkdir()
    shutil.copy(context / "_build" / "collections" / ARTIFACT, collection)
    script = " && ".join(commands).replace("/tmp/collection", str(collection))
    script = script.replace("/usr/share/ansible", str(tmp_path))
    # A network namespace of its own has no network.
    alone = ["unshare", "--map-root-user", "--net", "bash", "-ec", script]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(alone, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "collections/ansible_collections/edgeops/k3s_network/plugins").is_dir()
    assert not collection.exists()


def test_the_collection_asks_for_no_packages() -> None:
    meta = yaml.safe_load((ROOT / "meta/execution-environment.yml").read_text(encoding="utf-8"))
    assert meta == {"version": 1, "dependencies": {}}
