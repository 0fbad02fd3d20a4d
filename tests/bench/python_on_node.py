# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python that Ansible runs modules by on a node; it notes what each took beside itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

start = time.monotonic()
process = subprocess.Popen(["/usr/bin/python3", *sys.argv[1:]])
# The kernel gives the greatest resident size of the process and of those that it waited for, and so
# of the one that does the work, where a module starts again under another Python.
_pid, status, usage = os.wait4(process.pid, 0)
took = {"seconds": time.monotonic() - start, "mib": usage.ru_maxrss / 1024}
with open(f"{__file__}.log", "a", encoding="utf-8") as log:
    log.write(f"{json.dumps(took)}\n")
sys.exit(os.waitstatus_to_exitcode(status))
