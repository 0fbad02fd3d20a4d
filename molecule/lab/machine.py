# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One running machine: an overlay over the OS tree, in which systemd-nspawn boots."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from common import LabError, run, wait_until
from furnish import furnish
from network import Network
from process import record, recorded, send, systemd_is_init
from spec import Machine

TERMINAL_CODES = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x1b\x07]*(\x1b\\|\x07)|[^\[\]])|\r")
KEEPER = Path(__file__).with_name("keeper.py")


class Instance:
    """A machine of a lab, known by the directory it lives in; all but start needs no more."""

    def __init__(self, lab: str, directory: Path) -> None:
        self.unit = f"k3s-lab-{lab}-{directory.name}"
        self.cgroup = f"k3s-lab-{lab}/{directory.name}"
        self.directory = directory
        self.root = directory / "root"
        self.log = directory / "console.log"
        self.record = directory / "keeper.pid"

    def start(self, tree: Path, machine: Machine, network: Network, keys: Path) -> None:
        """Furnish the machine and switch it on; does not wait for it."""
        for part in ("upper", "work", "root"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={tree},upperdir={self.directory}/upper,workdir={self.directory}/work"
        run("mount", "-t", "overlay", "-o", layers, self.unit, self.root)
        furnish(self.root, tree, machine, keys)
        start = [
            *("setpriv", "--pdeathsig", "TERM"),
            *network.enter,
            *("systemd-nspawn", "--boot", "--keep-unit", "--register=no", "--kill-signal=SIGKILL"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            f"--directory={self.root}",
            f"--machine={self.unit.replace('_', '-')}",
            f"--hostname={machine.name}",
            *(f"--network-veth-extra={machine.link(nic)}:{nic.name}" for nic in machine.nics),
        ]
        plan = {
            "start": start,
            "enter": network.enter,
            "ports": {machine.link(nic): nic.bridge for nic in machine.nics},
            "cgroup": None if systemd_is_init() else self.cgroup,
        }
        (self.directory / "plan.json").write_text(json.dumps(plan, indent=2))
        self._start_keeper([sys.executable, "-B", str(KEEPER), str(self.directory)])

    def _start_keeper(self, argv: list[str]) -> None:
        if systemd_is_init():
            # There the cgroups are systemd's: it has to hand one over, and ends what is in it.
            run(
                *("systemd-run", "--quiet", "--collect", f"--unit={self.unit}"),
                *("-p", "Delegate=yes", "-p", "KillMode=mixed", "-p", "TimeoutStopSec=10"),
                *("-p", f"StandardOutput=append:{self.log}"),
                *("-p", f"StandardError=append:{self.log}"),
                *argv,
            )
            return
        with self.log.open("a") as log:
            keeper = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        record(self.record, keeper.pid)

    def runs(self) -> bool:
        """Whether the machine is switched on."""
        if systemd_is_init():
            state = subprocess.run(
                ["systemctl", "is-active", "--quiet", f"{self.unit}.service"], check=False
            )
            return state.returncode == 0
        return recorded(self.record) is not None

    def stop(self) -> None:
        """Switch the machine off, the hard way."""
        if systemd_is_init():
            # Fails where the machine was never started, or has been switched off from inside.
            subprocess.run(
                ["systemctl", "stop", f"{self.unit}.service"], check=False, capture_output=True
            )
            return
        keeper = recorded(self.record)
        if keeper:
            send(keeper, signal.SIGTERM, self.runs)
            wait_until(lambda: not self.runs(), seconds=5)

    def unmount(self) -> None:
        """Take the overlay away; a second call finds nothing to do."""

        def unmounted() -> bool:
            if os.path.ismount(self.root):
                subprocess.run(["umount", str(self.root)], check=False, capture_output=True)
            return not os.path.ismount(self.root)

        # The kernel lets go of what a killed process held a moment after its end.
        if not wait_until(unmounted, seconds=5):
            raise LabError(f"{self.root} is still in use")

    def console(self) -> str:
        """The end of what the machine said while it booted."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return "(never started)"
        lines = [line for line in TERMINAL_CODES.sub("", text).splitlines() if line.strip()]
        return "\n".join(lines[-20:])
