# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a node: brings its default route to a state, as the module does, without Ansible.

run_route.py [--stop STEP] [PARAMETERS]
run_route.py --serve

PARAMETERS is JSON with what differs from the role's defaults. A step is before each command that
changes something and before each change of a file. At the step of that number the process says so
and waits for the power to go. Otherwise it prints what came of the run, with its steps. It reads
runs from its input with --serve, and the code of the collection from PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _default_route_run

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
}
_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink")
_READING = {"-json", "-g", "-t", "is-active"}


def run(command):
    """Run a command as AnsibleModule.run_command does."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def bring(parameters, check=False, stop=0):
    """Bring the node to a state; return what came of it as JSON."""
    steps = []

    def audit(event, details):
        if event == "subprocess.Popen" and not _READING & set(details[1]):
            steps.append(f"run {details[1]}")
        elif event in _FILE_EVENTS:
            steps.append(f"{event} {details[0]}")
        else:
            return
        if len(steps) == stop:
            print(f"stopped at {steps[-1]}", flush=True)
            time.sleep(3600)

    # There is no way to take it off again.
    sys.addaudithook(audit)
    try:
        result = _default_route_run.bring_to_state(run, {**PARAMS, **parameters}, check)
    except Exception as error:  # As the module does, with the error for the reader.
        result = {"failed": str(error)}
    return json.dumps({**result, "steps": steps})


def serve():
    """Answer each line, which is [CHECK, PARAMETERS] in JSON, from a process of its own."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            check, parameters = json.loads(line)
            print(bring(parameters, check), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stop", type=int, default=0)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("parameters", nargs="?", default="{}")
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    else:
        print(bring(json.loads(arguments.parameters), stop=arguments.stop))


if __name__ == "__main__":
    main()
