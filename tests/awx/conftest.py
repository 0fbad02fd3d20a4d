# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fake AWX, and the playbook awx run against it with the real modules of awx.awx.

The modules are looked for in K3S_AWX_COLLECTIONS, a path of collections that has awx.awx.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Protocol

import pytest
from fake_awx import FakeAwx

ROOT = Path(__file__).resolve().parents[2]


class Play(Protocol):
    """Runs the playbook with extra variables, and returns what it printed."""

    def __call__(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]: ...


@contextmanager
def serving(awx: FakeAwx) -> Iterator[FakeAwx]:
    with awx:
        thread = threading.Thread(target=awx.serve_forever)
        thread.start()
        try:
            yield awx
        finally:
            awx.shutdown()
            thread.join()


@pytest.fixture
def awx() -> Iterator[FakeAwx]:
    """An AWX on which the playbook has not run."""
    with serving(FakeAwx()) as server:
        yield server


@pytest.fixture(scope="session")
def first_run() -> FakeAwx:
    """An AWX as the first run of the playbook leaves it."""
    with serving(FakeAwx()) as server:
        done = playing(server)()
        assert done.returncode == 0, done.stdout + done.stderr
        return server


@pytest.fixture
def configured(awx: FakeAwx, first_run: FakeAwx) -> FakeAwx:
    """An AWX on which the playbook has run once."""
    awx.rows, awx.surveys = copy.deepcopy((first_run.rows, first_run.surveys))
    return awx


def playing(awx: FakeAwx, **others: str) -> Play:
    """Return what runs the playbook against an AWX; others are environment variables."""

    def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{ROOT / '.build'}:{os.environ['K3S_AWX_COLLECTIONS']}"
        around = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": path,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "true",
            "CONTROLLER_HOST": f"http://127.0.0.1:{awx.server_address[1]}",
            "CONTROLLER_OAUTH_TOKEN": "token",
            **others,
        }
        given = {"project": "net", "inventory": "cluster", **variables}
        extra = [f"k3s_awx_{name}='{value}'" for name, value in given.items() if value]
        playbook = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "edgeops.k3s_network.awx",
        ]
        return subprocess.run(
            [*playbook, *options, *(word for one in extra for word in ("-e", one))],
            check=False,
            env=around,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def play(awx: FakeAwx) -> Play:
    return playing(awx)


@pytest.fixture
def succeed(play: Play) -> Callable[..., int]:
    """Run the playbook, which must succeed, and return how many tasks changed something."""

    def run(*options: str, **variables: str) -> int:
        done = play(*options, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"changed=(\d+)", done.stdout)
        assert found, done.stdout
        return int(found[1])

    return run


@pytest.fixture
def refuse(play: Play) -> Callable[..., str]:
    """Run the playbook, which must fail, and return what it printed."""

    def run(*options: str, **variables: str) -> str:
        done = play(*options, **variables)
        assert done.returncode != 0, done.stdout
        return " ".join((done.stdout + done.stderr).split())

    return run
