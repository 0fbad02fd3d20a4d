# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether virtual machines may use the processor itself (KVM) or have it emulated (TCG)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from common import LabError, cache_dir, locked
from image import KERNEL

KNOWN = ("kvm", "tcg")
PATIENCE = 20


def accelerator(tree: Path) -> str:
    """The one that K3S_LAB_ACCEL names, or else KVM where it has been seen to boot a kernel."""
    named = os.environ.get("K3S_LAB_ACCEL")
    if named and named not in KNOWN:
        raise LabError(f"K3S_LAB_ACCEL={named}: may be {' or '.join(KNOWN)}")
    return named or _found(tree)


def _found(tree: Path) -> str:
    """What has been found out since the host's boot, by now at the latest."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note = cache_dir() / "accelerator"
    with locked(note.with_suffix(".lock")):
        known = note.read_text().split() if note.exists() else []
        if len(known) != 2 or known[0] != boot or known[1] not in KNOWN:
            known = [boot, "kvm" if kvm_boots(tree / KERNEL) else "tcg"]
            note.write_text(f"{boot} {known[1]}\n")
        return known[1]


def kvm_boots(kernel: Path) -> bool:
    """Whether a kernel gets as far as to miss its root, which ends it.

    There are hosts that have /dev/kvm, but on which QEMU aborts or the machine hangs.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    probe = [
        *("setpriv", "--pdeathsig", "KILL", "prlimit", "--core=0"),
        *("qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "max", "-m", "256"),
        *("-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(kernel), "-append", "console=ttyS0 quiet panic=-1"),
    ]
    try:
        done = subprocess.run(
            probe,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and b"Kernel panic" in done.stdout
