# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: brings its default route to a state, as the module does, without Ansible.

Each line of its input is a run: [CHECK, PARAMETERS, STEP] in JSON. PARAMETERS is what differs from
the role's defaults. A step is before each command that changes something and before each change of
a file. The run is killed at the step of that number, if it is not 0. The line of output is what
came of it, with its steps, or null if it was killed. PYTHONPATH leads to the collection's code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import apply

PARAMS = {
    "state": "present",
    "interface": "dummy0",
    "address": "203.0.113.254/31",
    "gateway": "203.0.113.255",
    "metric": 1000,
    "backend": "auto",
    "k3s_config": True,
    "node_ip": "10.89.0.11",
    "flannel_interface": "eth0",
    "k3s": {},
}
_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink")
_READING = {"-json", "-g", "-t", "is-active"}


def run(command):
    """Run a command as AnsibleModule.run_command does."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def bring(check, parameters, stop):
    """Bring the node to a state; return what came of it."""
    steps = []

    def audit(event, details):
        if event == "subprocess.Popen" and not _READING & set(details[1]):
            steps.append(f"run {details[1]}")
        elif event in _FILE_EVENTS:
            steps.append(f"{event} {details[0]}")
        else:
            return
        if len(steps) == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    # There is no way to take it off again.
    sys.addaudithook(audit)
    try:
        result = apply.apply(run, {**PARAMS, **parameters}, check)
    except Exception as error:  # As the module does, with the error for the reader.
        result = {"failed": str(error)}
    return {**result, "steps": steps}


def main():
    """Answer each line from a process of its own."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            print(json.dumps(bring(*json.loads(line))), flush=True)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("null", flush=True)


if __name__ == "__main__":
    main()
