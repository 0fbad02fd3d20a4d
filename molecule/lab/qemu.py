# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs QEMU with the arguments given; its exit status tells a reboot from all other ends.

QEMU ends on a reboot, too (-no-reboot), to be started anew: it would keep what it has translated
of the processor's code, look each write near that up in it, and take minutes for the second boot.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys

from keeper import REBOOT


def main(arguments: list[str]) -> int:
    """Run QEMU and listen to why it ends; on SIGTERM it is the one to be ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ours, theirs = socket.socketpair()
    command = [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-no-reboot", *arguments),
        *("-chardev", f"socket,id=events,fd={theirs.fileno()}"),
        *("-mon", "chardev=events,mode=control"),
    ]
    machine = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        rebooted = reboots(ours)
        status = machine.wait()
    finally:
        machine.kill()
        machine.wait()
    return REBOOT if rebooted else status


def reboots(monitor: socket.socket) -> bool:
    """Wait for QEMU's end; whether the machine is to come back."""
    reason = ""
    # QEMU may have failed at once, or been killed in the middle of a message.
    with contextlib.suppress(OSError, ValueError), monitor, monitor.makefile("rw") as stream:
        stream.write('{"execute": "qmp_capabilities"}\n')
        stream.flush()
        for message in map(json.loads, stream):
            if message.get("event") == "SHUTDOWN":
                reason = message["data"]["reason"]
    return reason.endswith("-reset")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
