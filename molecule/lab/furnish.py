# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab adds to an OS tree, Debian's or Enterprise Linux's, to make a machine of it."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from common import run
from spec import MANAGERS, Machine, Nic

# Slow, useless without a network, or (clocks) dangerous in a container with the host's kernel.
HINDERING_UNITS = (
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer logrotate.timer "
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer dnf-makecache.timer dnf-automatic.timer "
    "systemd-timesyncd.service chronyd.service ntpd.service auditd.service kdump.service "
    "console-getty.service systemd-firstboot.service cloud-init.service cloud-init-local.service "
    "cloud-config.service cloud-final.service selinux-autorelabel-mark.service"
).split()

# What a kernel of its own brings up beside that, and no test needs: emulated, a boot with these
# takes a tenth longer. The user's manager would start with each machine's first login.
HINDERING_UNITS_OF_A_BOOT = (
    "dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount "
    "sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount "
    "modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service "
    "modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service "
    "kmod-static-nodes.service systemd-binfmt.service systemd-pstore.service "
    "systemd-random-seed.service systemd-udev-load-credentials.service "
    "systemd-update-utmp.service systemd-update-utmp-runlevel.service "
    "systemd-ask-password-console.path systemd-ask-password-wall.path "
    "getty@tty1.service serial-getty@ttyS0.service remote-fs.target timers.target user@.service"
).split()

IFUPDOWN_UNITS = ["networking.service", "ifupdown-pre.service"]
NETWORKD_UNITS = ["systemd-networkd.service", "systemd-networkd.socket"]
NETWORKMANAGER_UNITS = ["NetworkManager.service"]

WANTED_UNITS = ("ssh.service", "sshd.service", "firewalld.service")

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 200
MaxSessions 200
"""

# Tests start firewalld more often in ten seconds than systemd lets a service start.
START_LIMIT = """\
[Unit]
StartLimitIntervalSec=0
"""

INTERFACES = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback
"""


def furnish(root: Path, lower: Path, machine: Machine, keys: Path) -> None:
    """Write into a machine's overlay what makes it reachable and tells it from the others."""
    write(root, "etc/hostname", f"{machine.name}\n")
    write(root, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n")
    # Empty would mean a first boot, with all presets applied.
    write(root, "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    # Says that what packages want done after an update (ldconfig, say) has been done.
    for part in ("etc", "var"):
        write(root, f"{part}/.updated", "")
    # The disks of the machine that a named tree came from are not here.
    write(root, "etc/fstab", "")

    write(root, "etc/ssh/ssh_host_ed25519_key", (keys / "host").read_text(), 0o600)
    write(root, "etc/ssh/ssh_host_ed25519_key.pub", (keys / "host.pub").read_text())
    # The first value wins, and old releases know no sshd_config.d.
    original = (lower / "etc/ssh/sshd_config").read_text()
    write(root, "etc/ssh/sshd_config", SSHD + original, 0o600)
    ssh = root / "root" / ".ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    write(ssh, "authorized_keys", (keys / "client.pub").read_text(), 0o600)

    write(root, "etc/systemd/system/firewalld.service.d/lab.conf", START_LIMIT)
    masked = HINDERING_UNITS + configure_network(root, lower, machine)
    if machine.vm:
        masked += HINDERING_UNITS_OF_A_BOOT
    for unit in masked:
        link(root, f"etc/systemd/system/{unit}", "/dev/null")
    link(root, "etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
    wants = "etc/systemd/system/multi-user.target.wants"
    for unit in (*WANTED_UNITS, MANAGERS[machine.network]):
        for directory in ("usr/lib/systemd/system", "lib/systemd/system"):
            if (lower / directory / unit).is_file():
                link(root, f"{wants}/{unit}", f"/{directory}/{unit}")
                break


def configure_network(root: Path, lower: Path, machine: Machine) -> list[str]:
    """Give the NICs their addresses; returns the units of those who would interfere."""
    if machine.network == "networkd":
        for nic in machine.nics:
            write(root, f"etc/systemd/network/10-lab-{nic.name}.network", networkd_file(nic))
        return NETWORKMANAGER_UNITS + IFUPDOWN_UNITS
    if machine.network == "ifupdown":
        stanzas = "".join(f"\n{stanza(nic)}" for nic in machine.nics)
        write(root, "etc/network/interfaces", INTERFACES + stanzas)
        return NETWORKMANAGER_UNITS + NETWORKD_UNITS
    # Debian's rule makes NetworkManager leave the NICs of a container alone.
    link(root, "etc/udev/rules.d/85-nm-unmanaged.rules", "/dev/null")
    version = networkmanager_version(lower)
    for nic in machine.nics:
        path = f"etc/NetworkManager/system-connections/lab-{nic.name}.nmconnection"
        write(root, path, keyfile(nic, version), 0o600)
    return NETWORKD_UNITS + IFUPDOWN_UNITS


def networkd_file(nic: Nic) -> str:
    """A NIC's file for systemd-networkd."""
    gateway = f"Gateway={nic.gateway}\n" if nic.gateway else ""
    return (
        f"[Match]\nName={nic.name}\n\n"
        f"[Network]\nAddress={nic.cidr}\n{gateway}LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )


def stanza(nic: Nic) -> str:
    """A NIC's lines for ifupdown."""
    gateway = f"    gateway {nic.gateway}\n" if nic.gateway else ""
    return f"auto {nic.name}\niface {nic.name} inet static\n    address {nic.cidr}\n{gateway}"


def networkmanager_version(tree: Path) -> tuple[int, ...]:
    """The version of a tree's NetworkManager."""
    answer = run("chroot", tree, "NetworkManager", "--version")
    return tuple(int(number) for number in re.findall(r"\d+", answer)[:2])


def keyfile(nic: Nic, version: tuple[int, ...]) -> str:
    """A profile as that version of NetworkManager itself writes it."""
    # Old versions write what is empty, too; new ones write the gateway by itself.
    old, new = version < (1, 36), version >= (1, 52)
    routed = bool(nic.gateway)
    lines = (
        ("[connection]", True),
        (f"id=lab-{nic.name}", True),
        (f"uuid={uuid.uuid4()}", True),
        ("type=ethernet", True),
        (f"interface-name={nic.name}", True),
        ("permissions=", old),
        ("", True),
        ("[ethernet]", True),
        ("mac-address-blacklist=", old),
        ("", True),
        ("[ipv4]", True),
        (f"address1={nic.cidr},{nic.gateway}", routed and not new),
        (f"address1={nic.cidr}", new or not routed),
        ("dns-search=", old),
        (f"gateway={nic.gateway}", routed and new),
        ("method=manual", True),
        ("", True),
        ("[ipv6]", True),
        (f"addr-gen-mode={'default' if version >= (1, 40) else 'stable-privacy'}", True),
        ("dns-search=", old),
        ("method=disabled", True),
        ("", True),
        ("[proxy]", True),
    )
    return "".join(f"{line}\n" for line, written in lines if written)


def write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Write a file in place of whatever the tree has there, never through a link."""
    target = _place(root, path)
    target.touch(mode)
    target.chmod(mode)
    target.write_text(text)


def link(root: Path, path: str, to: str) -> None:
    """Make a link in place of whatever the tree has there."""
    _place(root, path).symlink_to(to)


def _place(root: Path, path: str) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    return target
