# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps one machine running: puts its NICs on their bridges and starts it again on a reboot.

A process of its own for each machine, which outlives the command that created the lab. On SIGTERM
it switches the machine off.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from common import LabError, run, wait_until
from process import Cgroup

# What systemd-nspawn --keep-unit exits with when a machine reboots, and qemu.py after its example.
REBOOT = 133


def keep(directory: Path) -> int:
    """Run the machine until it is switched off."""
    plan = json.loads((directory / "plan.json").read_text())
    if plan["cgroup"]:
        Cgroup(plan["cgroup"]).enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        wait_until_free(plan["enter"], plan["ports"])
        machine = subprocess.Popen(plan["start"], cwd=directory)
        try:
            plug(machine, plan["enter"], plan["ports"])
            status = machine.wait()
        finally:
            machine.terminate()
            machine.wait()
        if status != REBOOT:
            return status


def wait_until_free(enter: list[str], ports: dict[str, str]) -> None:
    """Wait until the links of a machine that has ended are gone.

    The kernel removes them some time after the machine's last process, later the more namespaces
    end at the same time. systemd-nspawn does not start while there is a link of the same name.
    """

    def free() -> bool:
        lines = run(*enter, "ip", "-o", "link", "show").splitlines()
        # A line is "7: server1-e0@if2: <...>", without "@if2" for other links than veth.
        links = {line.split(": ")[1].partition("@")[0] for line in lines}
        return links.isdisjoint(ports)

    if not wait_until(free, seconds=120):
        raise LabError(f"links of an earlier machine are still there: {', '.join(ports)}")


def plug(machine: subprocess.Popen[bytes], enter: list[str], ports: dict[str, str]) -> None:
    """Put each link on its bridge as soon as systemd-nspawn or QEMU has made it."""
    for link, bridge in ports.items():
        while machine.poll() is None:
            try:
                run(*enter, "ip", "link", "set", link, "master", bridge, "up")
                break
            except LabError:
                time.sleep(0.03)


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1])))
