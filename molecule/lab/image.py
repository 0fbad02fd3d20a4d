# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OS trees: built from a distribution's packages and kept, or named by the user."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from common import LabError, cache_dir, locked

SUITES = ("bullseye", "bookworm", "trixie")

PACKAGES = (
    # what a node has
    "dbus firewalld iproute2 ipset iptables iputils-ping kmod netbase network-manager nftables "
    "openssh-server procps python3 python3-firewall sudo systemd-sysv udev "
    # what a test looks with
    "netcat-openbsd nmap tcpdump"
).split()

RECIPE = (
    "--mode=root",
    "--variant=minbase",
    f"--include={','.join(PACKAGES)}",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    # Each machine gets these of its own.
    '--customize-hook=rm -f "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/machine-id '
    '"$1"/var/lib/dbus/machine-id "$1"/etc/ssh/ssh_host_*',
)

# Any of the paths will do; a link counts, because an absolute one resolves only inside the tree.
REQUIRED = {
    "systemd": ("usr/lib/systemd/systemd", "lib/systemd/systemd"),
    "sshd": ("usr/sbin/sshd", "usr/bin/sshd"),
    "NetworkManager": ("usr/sbin/NetworkManager", "usr/bin/NetworkManager"),
    "nmcli": ("usr/bin/nmcli",),
    "firewalld": ("usr/sbin/firewalld", "usr/bin/firewalld"),
    "python3": ("usr/bin/python3",),
    "ip (iproute2)": ("usr/sbin/ip", "sbin/ip", "usr/bin/ip"),
}


def lacks(tree: Path) -> list[str]:
    """The names of what a tree must hold to become a machine and does not."""
    return [
        name
        for name, paths in REQUIRED.items()
        if not any(os.path.lexists(tree / path) for path in paths)
    ]


def tree_for(suite: str) -> Path:
    """The tree that K3S_LAB_ROOT names, or else the suite's, built where it is not kept yet."""
    named = os.environ.get("K3S_LAB_ROOT")
    if not named:
        return build(suite)
    tree = Path(named).absolute()
    if not tree.is_dir():
        raise LabError(f"K3S_LAB_ROOT={named}: no such directory")
    missing = lacks(tree)
    if missing:
        raise LabError(f"K3S_LAB_ROOT={named} lacks {', '.join(missing)}")
    return tree


def build(suite: str) -> Path:
    """Build a suite's tree, or return the one that was kept."""
    if suite not in SUITES:
        raise LabError(f"unknown suite {suite!r}; known are {', '.join(SUITES)}")
    images = cache_dir() / "images"
    recipe = hashlib.sha256(json.dumps(RECIPE).encode()).hexdigest()[:12]
    tree = images / f"{suite}-{recipe}"
    with locked(images / f"{suite}.lock"):
        if tree.is_dir():
            return tree
        partial = images / f".{suite}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        log = images / f"{suite}.log"
        start = time.monotonic()
        print(f"building {suite}, see {log}", flush=True)
        with log.open("w") as output:
            done = subprocess.run(
                # Dies with us: mmdebstrap's mounts are in a mount namespace of its own.
                ["setpriv", "--pdeathsig", "TERM", "mmdebstrap", *RECIPE, suite, str(partial)],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        missing = [] if done.returncode else lacks(partial)
        if done.returncode or missing:
            shutil.rmtree(partial, ignore_errors=True)
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            reason = f"the tree lacks {', '.join(missing)}" if missing else tail
            raise LabError(f"building {suite} failed: {reason}")
        partial.rename(tree)
        _forget_older(images, suite, tree)
        print(f"built {suite} in {time.monotonic() - start:.0f} s", flush=True)
    return tree


def _forget_older(images: Path, suite: str, newest: Path) -> None:
    """Remove a suite's trees of earlier recipes, except those a running lab stands on."""
    mounts = Path("/proc/self/mounts").read_text()
    for tree in images.glob(f"{suite}-*"):
        if tree != newest and f"lowerdir={tree}," not in mounts:
            shutil.rmtree(tree)
