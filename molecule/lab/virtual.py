# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with a kernel of its own: QEMU boots from a disk made of the overlay."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from accelerator import accelerator
from common import LabError, run
from image import INITRAMFS, KERNEL
from machine import LAYERS, Instance
from network import Network
from spec import Machine, Nic

QEMU = Path(__file__).with_name("qemu.py")
DISK = "disk.img"
DISK_SIZE = 3 * 1024**3  # of which the host stores what has been written
# Short where QEMU runs, in the machine's directory: a socket's path has 107 characters at most.
MONITOR = "monitor.sock"

PROCESSORS = {
    "kvm": ("-accel", "kvm", "-smp", "2", "-cpu", "max"),
    # Two wait for each other where the host is busy, and took a third more of its time to boot.
    # Libraries use AVX where it is; emulated, that makes the boot a tenth longer.
    "tcg": ("-accel", "tcg", "-smp", "1", "-cpu", "Westmere,+rdrand"),
}

APPEND = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off quiet panic=-1 "
    # Emulated, a boot takes half as long again with these: QEMU finds again what it has translated
    # where a library has the same address in each process.
    "norandmaps apparmor=0 audit=0 selinux=0"
)


class VirtualMachine(Instance):
    """A QEMU virtual machine."""

    def start(self, tree: Path, machine: Machine, network: Network, keys: Path) -> None:
        """Furnish the machine and switch it on; does not wait for it."""
        processors = PROCESSORS[accelerator(tree)]
        self.prepare(tree, machine, keys)
        self._make_disk()
        # The tree may give way to one of another recipe, but this machine will boot again.
        for file in (KERNEL, INITRAMFS):
            shutil.copyfile(tree / file, self.directory / file)
        command = [
            *(sys.executable, "-B", str(QEMU), "-name", f"guest={self.unit}"),
            *("-M", "q35", *processors, "-m", "1024"),
            *("-nodefaults", "-display", "none", "-serial", "stdio"),
            *("-qmp", f"unix:{MONITOR},server=on,wait=off"),
            *("-kernel", KERNEL, "-initrd", INITRAMFS, "-append", APPEND),
            *("-drive", f"file={DISK},if=virtio,format=raw,cache=writeback"),
        ]
        for nic in machine.nics:
            tap = f"tap,id={nic.name},ifname={machine.link(nic)},script=no,downscript=no"
            # No romfile: there is nothing to boot from the network.
            card = f"virtio-net-pci,netdev={nic.name},mac={mac(nic)},romfile="
            command += ["-netdev", tap, "-device", card]
        self.keep(command, machine, network)

    def _make_disk(self) -> None:
        disk = self.directory / DISK
        with disk.open("wb") as handle:
            handle.truncate(DISK_SIZE)
        # Dies with us, or it would keep the overlay busy.
        run(
            *("setpriv", "--pdeathsig", "KILL"),
            *("mkfs.ext4", "-q", "-F", "-d", self.root, disk),
        )
        self.unmount()
        for layer in LAYERS:
            shutil.rmtree(self.directory / layer)

    def reset(self) -> None:
        """Cut the power and give it back; does not wait for the machine."""
        self._order("system_reset")

    def set_carrier(self, _network: Network, _machine: Machine, nic: Nic, on: bool) -> None:
        """Plug the cable of a NIC in or out; a reboot plugs it in."""
        self._order("set_link", name=nic.name, up=on)

    def _order(self, command: str, **arguments: Any) -> None:
        """Have QEMU do something, see its manual about QMP."""
        orders = ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments})
        with contextlib.ExitStack() as stack:
            directory = os.open(self.directory, os.O_PATH)
            stack.callback(os.close, directory)
            monitor = stack.enter_context(socket.socket(socket.AF_UNIX))
            monitor.settimeout(10)
            try:
                monitor.connect(f"/proc/self/fd/{directory}/{MONITOR}")
                stream = stack.enter_context(monitor.makefile("rw"))
                for order in orders:
                    stream.write(f"{json.dumps(order)}\n")
                    stream.flush()
                    self._check(next(filter(is_answer, map(json.loads, stream)), None))
            except OSError as error:
                raise LabError(f"{self.name}: no answer from QEMU: {error}") from None

    def _check(self, answer: dict[str, Any] | None) -> None:
        if answer is None:
            raise LabError(f"{self.name}: QEMU has ended")
        if "error" in answer:
            raise LabError(f"{self.name}: QEMU refuses: {answer['error']['desc']}")


def is_answer(message: dict[str, Any]) -> bool:
    """Whether QEMU answers an order; it also greets, and tells what happens to the machine."""
    return "return" in message or "error" in message


def mac(nic: Nic) -> str:
    """A hardware address, as unique as the address."""
    return "52:54:00:" + ":".join(f"{int(part):02x}" for part in nic.address.split(".")[1:])
