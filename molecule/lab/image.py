# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OS trees: built from a distribution's packages and kept, or named by the user.

Virtual machines have trees of their own, which hold a kernel too; so have machines with services,
which hold servers too. These are copies of the suite's plain tree with more packages: a third of
the work of another bootstrap.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from common import LabError, cache_dir, locked
from spec import PLAIN, SERVICES, VM

SUITES = ("bullseye", "bookworm", "trixie", "sid")

PACKAGES = (
    # what a node has
    "dbus firewalld iproute2 ipset iptables iputils-ping kmod netbase network-manager nftables "
    "openssh-server procps python3 python3-firewall sudo systemd-sysv udev "
    # what a test looks with
    "netcat-openbsd nmap tcpdump"
).split()
# Servers that hold ports of a node's where there is no K3s, and what makes a certificate for them.
SERVICE_PACKAGES = (
    "etcd-server libnginx-mod-stream nginx-light openssl redis-server "
    # the release's own: the index of bullseye's security archive is ahead of its files
    "tgt/{suite}"
).split()
SERVICE_UNITS = "etcd nginx redis-server tgt".split()


def _recipe(*options: str) -> tuple[str, ...]:
    return (
        "--mode=root",
        *options,
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        # Each machine gets these of its own.
        '--customize-hook=rm -f "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/machine-id '
        '"$1"/var/lib/dbus/machine-id "$1"/etc/ssh/ssh_host_*',
    )


RECIPE = _recipe("--variant=minbase", f"--include={','.join(PACKAGES)}")

# What begins with a copy of the suite's plain tree.
DERIVED = _recipe("--variant=custom", '--setup-hook=cp -a {plain}/. "$1"')

SERVICES_RECIPE = (
    *DERIVED,
    f"--include={','.join(SERVICE_PACKAGES)}",
    # Whoever wants them configures them first.
    f'--customize-hook=chroot "$1" systemctl disable {" ".join(SERVICE_UNITS)}',
)

VM_RECIPE = (
    *DERIVED,
    # The kernel is the release's own: the index of the security archive may be ahead of its files.
    "--include=linux-image-cloud-amd64/{suite},ifupdown",
    # sid's default, dracut, ignores the settings below.
    "--include=initramfs-tools",
    # With all modules and a better compression the initramfs would take minutes to unpack where the
    # processor is emulated. Written before the package that reads it is there.
    '--setup-hook=cd "$1"; mkdir -p etc/initramfs-tools/conf.d '
    "usr/share/initramfs-tools/modules.d; "
    "printf 'MODULES=list\\nCOMPRESS=gzip\\n' >etc/initramfs-tools/conf.d/lab; "
    "printf 'virtio_pci\\nvirtio_blk\\next4\\n' >usr/share/initramfs-tools/modules.d/lab",
)
KERNEL, INITRAMFS = "vmlinuz", "initrd.img"

# The index of sid expires after a week, and a mirror may lag behind.
SUITE_OPTIONS = {"sid": ('--aptopt=Acquire::Check-Valid-Until "false"',)}

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
SERVICES_REQUIRED = REQUIRED | {
    "etcd": ("usr/bin/etcd",),
    "nginx": ("usr/sbin/nginx",),
    "redis-server": ("usr/bin/redis-server",),
    "tgtd": ("usr/sbin/tgtd",),
}
VM_REQUIRED = REQUIRED | {
    "a kernel": (KERNEL,),
    "an initramfs": (INITRAMFS,),
    "ifup": ("usr/sbin/ifup", "sbin/ifup"),
}

FLAVOURS: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    # what a tree's name begins with, its recipe, and what it must hold
    PLAIN: ("", RECIPE, REQUIRED),
    SERVICES: ("services-", SERVICES_RECIPE, SERVICES_REQUIRED),
    VM: ("vm-", VM_RECIPE, VM_REQUIRED),
}


def lacks(tree: Path, required: dict[str, tuple[str, ...]]) -> list[str]:
    """The names of what a tree must hold to become a machine and does not."""
    return [
        name
        for name, paths in required.items()
        if not any(os.path.lexists(tree / path) for path in paths)
    ]


def tree_for(suite: str, flavour: str) -> Path:
    """The suite's tree, built where it is not kept yet; for containers K3S_LAB_ROOT may name it."""
    named = os.environ.get("K3S_LAB_ROOT")
    if flavour == VM or not named:
        return build(suite, flavour)
    tree = Path(named).absolute()
    if not tree.is_dir():
        raise LabError(f"K3S_LAB_ROOT={named}: no such directory")
    _prefix, _recipe, required = FLAVOURS[flavour]
    missing = lacks(tree, required)
    if missing:
        raise LabError(f"K3S_LAB_ROOT={named} lacks {', '.join(missing)}")
    return tree


def build(suite: str, flavour: str) -> Path:
    """Build a suite's tree, or return the one that was kept."""
    if suite not in SUITES:
        raise LabError(f"unknown suite {suite!r}; known are {', '.join(SUITES)}")
    prefix, options, required = FLAVOURS[flavour]
    name = f"{prefix}{suite}"
    options = (*options, *SUITE_OPTIONS.get(suite, ()))
    plain = "" if flavour == PLAIN else shlex.quote(str(build(suite, PLAIN)))
    recipe = [option.replace("{suite}", suite).replace("{plain}", plain) for option in options]
    images = cache_dir() / "images"
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    tree = images / f"{name}-{digest}"
    with locked(images / f"{name}.lock"):
        if tree.is_dir():
            return tree
        partial = images / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        log = images / f"{name}.log"
        start = time.monotonic()
        print(f"building {name}, see {log}", flush=True)
        with log.open("w") as output:
            done = subprocess.run(
                # Dies with us: mmdebstrap's mounts are in a mount namespace of its own.
                ["setpriv", "--pdeathsig", "TERM", "mmdebstrap", *recipe, suite, str(partial)],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        missing = [] if done.returncode else lacks(partial, required)
        if done.returncode or missing:
            shutil.rmtree(partial, ignore_errors=True)
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            reason = f"the tree lacks {', '.join(missing)}" if missing else tail
            raise LabError(f"building {name} failed: {reason}")
        partial.rename(tree)
        _forget_older(images, name, tree)
        print(f"built {name} in {time.monotonic() - start:.0f} s", flush=True)
    return tree


def _forget_older(images: Path, flavour: str, newest: Path) -> None:
    """Remove a flavour's trees of earlier recipes, except those a running lab stands on."""
    mounts = Path("/proc/self/mounts").read_text()
    for tree in images.glob(f"{flavour}-*"):
        if tree != newest and f"lowerdir={tree}," not in mounts:
            shutil.rmtree(tree)
