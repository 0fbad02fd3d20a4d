# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of the documentation do on real machines what the pages say.

The hosts of the examples have the names of the lab's machines, which are found by the lab's
ssh_config, as a user's own hosts are by theirs. Everything runs from the installed artifact.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import examples
import pytest
import yaml

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = Path(__file__).resolve().parents[3]
PAGES = [PROJECT / "README.md", *sorted(PROJECT.glob("docs/docsite/rst/*.rst"))]
# They show the first run, so their machines are as they were before any.
FIRST_RUN = {"README.md", "before_k3s.rst", "members.rst", "segregated.rst", "shared.rst"}
# Installs the artifact of this tree, also where it is installed already.
INSTALL = re.compile(r"^(ansible-galaxy collection install)(?= )")
GALAXY = re.compile(r" edgeops\.k3s_network\b")
# Targets that run labs of their own: here only that make knows how.
MAKE = re.compile(r"^make ")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    directory = tmp_path_factory.mktemp("artifact")
    build = ["ansible-galaxy", "collection", "build", str(PROJECT), "--output-path", str(directory)]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = directory.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def environment(artifact, tmp_path_factory):
    """Return the environment of a user who has installed the collection."""
    ssh = f"-F {EPHEMERAL / 'ssh_config'} -o ControlMaster=auto -o ControlPersist=60s"
    made = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path_factory.mktemp("collections")),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_SSH_ARGS": ssh,
        # One for each lab: their machines have the same names.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str((EPHEMERAL / "ssh_config").resolve().parent / "cp"),
    }
    # What molecule gives its own runs of Ansible.
    made.pop("ANSIBLE_CONFIG", None)
    install = ["ansible-galaxy", "collection", "install", str(artifact)]
    subprocess.run(install, check=True, capture_output=True, env=made)
    return made


@pytest.fixture(scope="module", autouse=True)
def prepared_afterwards():
    yield
    inventory = str(EPHEMERAL / "inventory")
    prepare = ["ansible-playbook", "-i", inventory, "edgeops.k3s_network.prepare"]
    subprocess.run(prepare, check=True, capture_output=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_page(page, environment, artifact, playbook, tmp_path):
    steps = examples.examples(page)
    if not any(isinstance(step, examples.Command) for step in steps):
        assert not steps
        return
    begin = playbook("remove" if page.name in FIRST_RUN else "prepare")
    assert begin.returncode == 0, begin.output
    directory = tmp_path / "page"
    directory.mkdir()
    # The file that a controller without access to Galaxy has been given.
    (directory / artifact.name).symlink_to(artifact)
    files = {step.name: step for step in reversed(steps) if isinstance(step, examples.File)}
    for step in steps:
        if isinstance(step, examples.File):
            write(directory, step)
            continue
        # A page may show a command first, and the files that it takes afterwards.
        for name in set(files).intersection(step.line.split()):
            if not (directory / name).exists():
                write(directory, files[name])
        run(step, directory, environment, artifact)


def write(directory: Path, file: examples.File) -> None:
    """Write a file that is valid."""
    assert yaml.safe_load(file.text), file.name
    path = directory / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.text)


def run(
    command: examples.Command, directory: Path, environment: dict[str, str], artifact: Path
) -> None:
    """Run a command, which must succeed and print what the page shows."""
    line = command.line
    if INSTALL.match(line):
        line = GALAXY.sub(f" {artifact}", INSTALL.sub(r"\1 --force", line))
    line = MAKE.sub(f"make --directory={PROJECT} --dry-run ", line)
    done = subprocess.run(
        ["bash", "-c", line],
        check=False,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command.line}\n{done.stdout}"
    missing = examples.missing(done.stdout, command.output)
    assert not missing, f"{command.line}\ndoes not print '{missing}' there:\n{done.stdout}"
