# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that shares the host's kernel: systemd-nspawn boots in the overlay."""

from __future__ import annotations

from pathlib import Path

from common import LabError, run
from machine import Instance
from network import Network
from spec import Machine, Nic


class Container(Instance):
    """A systemd-nspawn container."""

    def start(self, tree: Path, machine: Machine, network: Network, keys: Path) -> None:
        """Furnish the machine and switch it on; does not wait for it."""
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

    def reset(self) -> None:
        """Say that there is no power to cut: what has been written is the host's to keep."""
        raise LabError(f"{self.name} is a container; only a machine with vm: true can be reset")

    def set_carrier(self, network: Network, machine: Machine, nic: Nic, on: bool) -> None:
        """Plug the cable of a NIC in or out; a reboot plugs it in."""
        run(*network.enter, "ip", "link", "set", machine.link(nic), "up" if on else "down")
