# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: does tasks with the code of the collection, without Ansible.

serve.py < TASKS

A task is a line of JSON, and is answered by a line of JSON. Its key "task" is a name of TASKS, or
"shell"; the other keys are the arguments. Each task but "shell" is a fork of this process, which
loads the collection's code once, from PYTHONPATH. The answer is null if the fork was killed.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import Any

# Where the function of a task is. Its module is loaded at the first such task.
TASKS = {
    "firewall": ("apply_firewall", "apply"),
    "settle": ("apply_firewall", "settle"),
    "confirm_command": ("apply_firewall", "confirm_command"),
    "profiles": ("profiles", "call"),
    "route": ("apply_route", "apply"),
    "k3s": ("apply_route", "k3s"),
    "module": ("modules", "run"),
}


def shell(command: str, given: str = "", seconds: float = 120) -> dict[str, Any]:
    """Run a command as ssh would, with C(given) as its input."""
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        capture_output=True,
        text=True,
        input=given,
        timeout=seconds,
    )
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def fork(task: str, asked: dict[str, Any]) -> Any:
    """Do a task in a process of its own; return its answer, None if it was killed."""
    module, function = TASKS[task]
    do = getattr(importlib.import_module(module), function)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        answer = json.dumps(do(**asked))
        with os.fdopen(writing, "w") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    _pid, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else json.loads(answer)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        task = asked.pop("task")
        answer = shell(**asked) if task == "shell" else fork(task, asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
