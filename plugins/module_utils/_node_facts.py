# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what the preflight evaluates of a node. Changes nothing."""

from __future__ import annotations

import glob
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._firewalld import connect
from ._firewalld.files import CONFIGURATION, strict_forward_ports
from ._host import held_ports, iproute, packet_filter
from ._host.commands import RunCommand
from ._host.files import unwritable
from ._host.kernel_driver import driver_package
from ._host.units import SHOW, parse_units

DRIVERS = ("br_netfilter", "overlay", "vxlan")
UNITS = (
    "firewalld.service",
    "ip6tables.service",
    "iptables.service",
    "k3s-agent.service",
    "k3s.service",
    "netfilter-persistent.service",
    "NetworkManager.service",
    "nftables.service",
    "nm-cloud-setup.timer",
    "ufw.service",
)
_NFTABLES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
_UFW = "/etc/ufw/ufw.conf"
# Where prepare, remove and K3s write.
_WRITTEN = (
    "/etc/firewalld",
    "/etc/systemd/system",
    "/etc/NetworkManager",
    "/etc/rancher/k3s",
    "/var/lib/k3s-network",
)
_NM_FILES = ("/etc/NetworkManager", "/run/NetworkManager", "/usr/lib/NetworkManager")

Read = Callable[[str], str]
Run = Callable[[Sequence[str]], str]


def run(argv: Sequence[str]) -> str:
    """Return what a command printed, nothing where it is missing."""
    try:
        return subprocess.run(argv, check=False, capture_output=True, text=True).stdout
    except OSError:
        return ""


def gather(
    read_file: Read = packet_filter.read_text,
    run_command: Run = run,
    ask: iproute.Ask = iproute.ask,
    run_program: RunCommand = connect.run,
) -> dict[str, Any]:
    """Return the facts of this host."""
    release = os.uname().release
    filters = packet_filter.read(run_program, read_file)
    default_zone, target = connect.default_zone(run_program)
    missing = missing_drivers(release, read_file, os.path.exists)
    return {
        "clock": clock(),
        "hostname": socket.gethostname(),
        "machine_id": read_file("/etc/machine-id").strip(),
        # Asked for a family, it leaves out the hardware's address.
        "interfaces": parse_links(ask(("ip", "-json", "address", "show"), "")),
        "routes": [
            route
            for family in ("-4", "-6")
            for route in parse_routes(
                ask(("ip", "-json", family, "route", "show", "table", "all"), "")
            )
        ],
        "units": parse_units(run_command([*SHOW, *UNITS])),
        "strict_forward_ports": strict_forward_ports(read_file(CONFIGURATION)),
        "default_zone": default_zone,
        "default_zone_target": target,
        "packet_filters": filters["chains"],
        "packet_filters_unknown": filters["unknown"],
        "ufw_enabled": ufw_enabled(read_file(_UFW)),
        "flushes_ruleset": any(flushes(read_file(path)) for path in _NFTABLES),
        "networkmanager_spares_cni": spares_cni("\n".join(map(read_file, _nm_files()))),
        "missing_drivers": missing,
        "driver_package": driver_package(read_file("/etc/os-release"), release, missing or DRIVERS),
        "rp_filter": read_file("/proc/sys/net/ipv4/conf/all/rp_filter").strip(),
        "held": [
            {"protocol": protocol, "port": port, "addresses": sorted(addresses)}
            for (protocol, port), addresses in sorted(held_ports.read().items())
        ],
        "read_only": unwritable(_WRITTEN),
    }


def clock() -> float:
    """Return the host's time in seconds since 1970."""
    return time.time()


def parse_links(links: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return MTU, MAC and addresses of each interface but the loopback."""
    found = {}
    for link in links:
        if link.get("ifname", "lo") == "lo":
            continue
        addresses = [
            one
            for one in link.get("addr_info", [])
            if one.get("local") and one.get("scope") != "link"
        ]
        found[link["ifname"]] = {
            "mtu": link.get("mtu", 0),
            "mac": link.get("address", ""),
            "addresses": [one["local"] for one in addresses],
            "dynamic": [one["local"] for one in addresses if one.get("dynamic")],
        }
    return found


def parse_routes(routes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return where unicast packets are led, the default route left out.

    C(connected) is whether the kernel made the route for an address of the interface.
    """
    return [
        {
            "destination": route["dst"],
            "interface": route.get("dev", ""),
            "connected": route.get("protocol") == "kernel" and "table" not in route,
        }
        for route in routes
        if route.get("dst", "default") != "default"
        and route.get("type", "unicast") not in ("local", "broadcast", "multicast", "anycast")
    ]


def flushes(text: str) -> bool:
    """Tell whether a file of nft takes away the rules of everybody."""
    return re.search(r"^\s*flush\s+ruleset\b", text, re.MULTILINE) is not None


def ufw_enabled(text: str) -> bool:
    """Tell whether ufw loads its rules. Its unit is active on Ubuntu even if it does not."""
    found = re.findall(r"^\s*ENABLED\s*=\s*[\"']?(\w+)", text, re.MULTILINE)
    return bool(found) and found[-1].lower() == "yes"


def spares_cni(text: str) -> bool:
    """Tell whether files of NetworkManager keep it from the interfaces of Flannel and of pods."""
    lines = re.findall(r"^\s*unmanaged-devices\s*[+]?=(.*)", text, re.MULTILINE)
    return all(any(name in line for line in lines) for name in ("cni", "flannel", "veth"))


def missing_drivers(release: str, read_file: Read, exists: Callable[[str], bool]) -> list[str]:
    """Return drivers that the running kernel neither has nor could load.

    Nothing is said of a kernel whose list of modules is not there, as in a container.
    """
    directory = f"/lib/modules/{release}"
    known = read_file(f"{directory}/modules.dep") + read_file(f"{directory}/modules.builtin")
    if not known:
        return []
    return [
        name for name in DRIVERS if f"/{name}.ko" not in known and not exists(f"/sys/module/{name}")
    ]


def _nm_files() -> list[str]:
    found = [f"{_NM_FILES[0]}/NetworkManager.conf"]
    for directory in _NM_FILES:
        found += sorted(glob.glob(f"{directory}/conf.d/*.conf"))
    return found
