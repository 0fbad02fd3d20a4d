# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network namespace: bridges that forward to nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from common import run
from process import end_all

# Each is a /24 in which the lab itself has .1, the address that it looks from.
# "other" is for a NIC that neither network of the cluster uses.
BRIDGES = {"cluster": "10.89.0", "external": "10.89.1", "other": "10.89.2"}
# Not /run/netns: the first `ip netns add` on a computer mounts that directory over itself, and the
# namespaces in it could not be removed any more.
DIRECTORY = Path("/run/k3s-network-lab")

SETUP = """
set -e
echo 0 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/ipv6 ]; then echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; fi
ip link set lo up
add() {
  ip link add "$1" type bridge forward_delay 0
  ip address add "$2" dev "$1"
  ip link set "$1" up
}
"""


class Network:
    """The namespace of one lab."""

    def __init__(self, lab: str) -> None:
        self.name = f"k3s-lab-{lab}"
        self.path = DIRECTORY / self.name
        self.enter = ["nsenter", f"--net={self.path}"]

    def create(self) -> None:
        """Make the namespace and its bridges."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        run("unshare", f"--net={self.path}", "true")
        bridges = (f"add {name} {net}.1/24" for name, net in BRIDGES.items())
        run(*self.enter, "sh", stdin=SETUP + "\n".join(bridges))

    def delete(self) -> None:
        """End what runs in the namespace (an SSH proxy, say) and remove it."""
        if not self.path.exists():
            return
        inode = self.path.stat()
        # A killed create may leave the bare file, which is no namespace yet.
        if os.path.ismount(self.path):
            end_all(lambda: _inside(inode))
            run("umount", self.path)
        self.path.unlink()


def _inside(namespace: os.stat_result) -> set[int]:
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                there = (process / "ns/net").stat()
            except OSError:
                continue
            if (there.st_dev, there.st_ino) == (namespace.st_dev, namespace.st_ino):
                found.add(int(process.name))
    return found
