# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One running machine, whatever it runs in: its directory, its overlay and its keeper."""

from __future__ import annotations

import json
import re
import shutil
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
LAYERS = ("upper", "work", "root")


class Instance:
    """A machine of a lab, known by the directory it lives in, which is all it takes to end it."""

    def __init__(self, lab: str, directory: Path) -> None:
        self.unit = f"k3s-lab-{lab}-{directory.name}"
        self.cgroup = f"k3s-lab-{lab}/{directory.name}"
        self.name = directory.name
        self.directory = directory
        self.root = directory / "root"
        self.log = directory / "console.log"
        self.record = directory / "keeper.pid"
        self.disk = directory / "disk"

    def prepare(self, tree: Path, machine: Machine, keys: Path) -> None:
        """Mount an overlay over the tree and write into it what makes this machine of it."""
        for layer in LAYERS:
            (self.directory / layer).mkdir(parents=True, exist_ok=True)
        self.mount_overlay(tree, self.directory)
        furnish(self.root, tree, machine, keys)

    def mount_overlay(self, tree: Path, place: Path) -> None:
        """Mount the overlay whose own layers are in a place."""
        layers = f"lowerdir={tree},upperdir={place}/upper,workdir={place}/work"
        run("mount", "-t", "overlay", "-o", layers, self.unit, self.root)

    def keep(self, command: list[str], machine: Machine, network: Network) -> None:
        """Have a keeper run the command that is the machine; does not wait for it."""
        plan = {
            "start": ["setpriv", "--pdeathsig", "TERM", *network.enter, *command],
            "enter": network.enter,
            "ports": {machine.link(nic): nic.bridge for nic in machine.nics},
            "cgroup": None if systemd_is_init() else self.cgroup,
        }
        (self.directory / "plan.json").write_text(json.dumps(plan, indent=2))
        self.start_keeper()

    def start_keeper(self) -> None:
        """Switch the machine on as it was set up; does not wait for it."""
        argv = [sys.executable, "-B", str(KEEPER), str(self.directory)]
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
            wait_until(lambda: not self.runs(), seconds=60)

    def unmount(self) -> None:
        """Unmount the overlay and what a disk needs; a second call finds nothing to do."""
        for place in (self.root, self.disk, self.directory):
            unmount(place)

    def forget(self) -> None:
        """Remove what is there of the machine, its log aside."""
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self.log:
                path.unlink()

    def console(self) -> str:
        """The end of what the machine said while it booted."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return "(never started)"
        lines = [line for line in TERMINAL_CODES.sub("", text).splitlines() if line.strip()]
        return "\n".join(lines[-20:])


def mounted(place: Path) -> bool:
    """Whether something is mounted there."""
    # os.path.ismount denies it if the file system has been shut down.
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return str(place) in {line.split()[1] for line in mounts}


def unmount(place: Path) -> None:
    """Unmount what is mounted at a place, if anything is."""

    def unmounted() -> bool:
        if mounted(place):
            subprocess.run(["umount", str(place)], check=False, capture_output=True)
        return not mounted(place)

    # The kernel lets go of what a killed process held a moment after its end.
    if not wait_until(unmounted, seconds=60):
        raise LabError(f"{place} is still in use")
