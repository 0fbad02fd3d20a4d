# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the code of the collection on a node and runs it there without Ansible: on_node/serve.py."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible import module_utils

CODE = "/var/tmp/k3s-code"
COMMAND = f"env PYTHONPATH={CODE} python3 {CODE}/serve.py"
_PLUGINS = "ansible_collections/edgeops/k3s_network/plugins"
_TREES = (f"{_PLUGINS}/module_utils", f"{_PLUGINS}/modules")
# What modules need of Ansible.
_ANSIBLE = ("ansible/__init__.py", "ansible/_vendor", "ansible/release.py", "ansible/module_utils")
_ON_NODE = Path(__file__).parent / "on_node"


class NoAnswerError(Exception):
    """A node has ended its connection, or has not answered in time."""


@functools.cache
def _packed() -> bytes:
    """Return an archive of the collection's code and of what runs it on a node."""
    tar = ["tar", "-hcz", "--exclude=__pycache__", "-C", os.environ["ANSIBLE_COLLECTIONS_PATH"]]
    ansible = Path(module_utils.__file__).parents[2]
    names = sorted(path.name for path in _ON_NODE.glob("*.py"))
    return subprocess.run(
        [*tar, *_TREES, "-C", str(ansible), *_ANSIBLE, "-C", str(_ON_NODE), *names],
        check=True,
        capture_output=True,
    ).stdout


@functools.cache
def install(*ssh: str) -> None:
    """Put the code on a node, which a command of ssh reaches; once in a run of the tests."""
    unpack = f"rm -rf {CODE}; mkdir -p {CODE}; tar -C {CODE} -xzf -"
    subprocess.run([*ssh, unpack], input=_packed(), check=True)


class TaskServer:
    """serve.py on a node: one SSH connection and one Python, which cost more than most tasks."""

    def __init__(self, ssh: Sequence[str]) -> None:
        install(*ssh)
        self._process = subprocess.Popen(
            [*ssh, f"exec {COMMAND}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, task: str, patience: float, **arguments: Any) -> Any:
        """Have a task done within some seconds and return its answer. Raises NoAnswerError."""
        line, question = "", json.dumps({"task": task, **arguments})
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{question}\n")
            self._process.stdin.flush()
            # Nothing of an earlier answer is left in the buffer.
            if select.select([self._process.stdout], [], [], patience)[0]:
                line = self._process.stdout.readline()
        if not line:
            raise NoAnswerError(f"no answer to {question[:200]}")
        return json.loads(line)

    def end(self) -> None:
        """End it and its connection."""
        self._process.kill()
        self._process.communicate()
