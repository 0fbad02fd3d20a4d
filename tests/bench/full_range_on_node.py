# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listens on a range of ports of a node, or probes one, without Ansible.

Beside this file are the collection's module_utils, by their full names.
"""

from __future__ import annotations

import json
import sys
from collections import Counter

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    listener,
    targets,
    workers,
)

TOKEN = "0123456789abcdef0123456789abcdef"
NAME = "server1"


def main() -> None:
    """Do what the arguments say and print what came of it."""
    what, address, first, last = sys.argv[1:5]
    ports = range(int(first), int(last) + 1)
    if what == "listen":
        endpoints = [(address, "tcp", port) for port in ports]
        started = listener.start(endpoints, TOKEN, NAME, 600)
        print(json.dumps(started.processes))
        return
    target = targets.Target(NAME, address, "tcp", ((ports[0], ports[-1]),))
    outcomes = workers.probe([target], TOKEN, 3)
    observed = Counter(outcome.observed for outcome in outcomes)
    print(json.dumps(observed))


if __name__ == "__main__":
    main()
