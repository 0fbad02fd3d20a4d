# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that shares the host's kernel: systemd-nspawn boots in the overlay."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from common import LabError, run, wait_until
from furnish import furnish
from machine import Instance, mounted, unmount
from network import Network
from process import Cgroup, systemd_is_init
from spec import Machine, Nic

TREE = "tree"
IMAGE = "disk.ext4"
IMAGE_SIZE = 1024**3  # of which the host stores what has been written
# From the kernel's include/uapi/linux/ext4.h: end the file system without flushing its journal.
EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_NOLOGFLUSH = 2


class Container(Instance):
    """A systemd-nspawn container."""

    def start(self, tree: Path, machine: Machine, network: Network, keys: Path) -> None:
        """Furnish the machine and switch it on; does not wait for it."""
        if machine.disk:
            self._make_disk(tree)
            furnish(self.root, tree, machine, keys)
        else:
            self.prepare(tree, machine, keys)
        command = [
            # systemd 258 and newer boot only on cgroup v2; older versions accept it.
            *("env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"),
            *("systemd-nspawn", "--boot", "--keep-unit", "--register=no", "--kill-signal=SIGKILL"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            f"--directory={self.root}",
            f"--machine={self.unit.replace('_', '-')}",
            f"--hostname={machine.name}",
            *(f"--network-veth-extra={machine.link(nic)}:{nic.name}" for nic in machine.nics),
        ]
        self.keep(command, machine, network)

    def _make_disk(self, tree: Path) -> None:
        """Mount the overlay with its own layers on an ext4 file system with default options."""
        self.root.mkdir(parents=True)
        self.disk.mkdir()
        # Other machines' namespaces have copies of these mounts, which must not outlive them.
        run("mount", "--bind", self.directory, self.directory)
        run("mount", "--make-shared", self.directory)
        (self.directory / TREE).write_text(str(tree))
        image = self.directory / IMAGE
        with image.open("wb") as handle:
            handle.truncate(IMAGE_SIZE)
        run("mkfs.ext4", "-q", "-F", image)
        self._mount_disk()

    def _mount_disk(self) -> None:
        run("mount", "-o", "loop", self.directory / IMAGE, self.disk)
        for layer in ("upper", "work"):
            (self.disk / layer).mkdir(exist_ok=True)
        self.mount_overlay(Path((self.directory / TREE).read_text()), self.disk)

    def reset(self) -> None:
        """Cut the power and give it back: what was not synced is lost. Does not wait for it."""
        if not mounted(self.disk):
            raise LabError(
                f"{self.name} has no disk of its own; only a machine with disk: true or vm: true "
                "can be reset"
            )
        shut_down(self.disk)
        self.stop()
        if not systemd_is_init():
            Cgroup(self.cgroup).remove()
        for place in (self.root, self.disk):
            unmount(place)
        # A machine that starts at this moment has copies of the mounts, with which the file system
        # that was shut down lives on: it would be mounted again as it is.
        if not wait_until(self._is_detached, seconds=30):
            raise LabError(f"the disk of {self.name} is still mounted in another namespace")
        # Replays the journal.
        self._mount_disk()
        self.start_keeper()

    def _is_detached(self) -> bool:
        return not run("losetup", "--associated", self.directory / IMAGE).strip()

    def set_carrier(self, network: Network, machine: Machine, nic: Nic, on: bool) -> None:
        """Plug the cable of a NIC in or out; a reboot plugs it in."""
        run(*network.enter, "ip", "link", "set", machine.link(nic), "up" if on else "down")


def shut_down(mount: Path) -> None:
    """End an ext4 file system at once: nothing reaches its disk any more."""
    handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH))
    finally:
        os.close(handle)
