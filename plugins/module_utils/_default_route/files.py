# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that make the dummy default route last, for each backend. Pure functions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

NAME = "k3s-default-route"
"""What every file, profile and unit of the route is called."""
NETWORKMANAGER = "networkmanager"
NETWORKD = "networkd"
SYSTEMD = "systemd"
BACKENDS = (NETWORKMANAGER, NETWORKD, SYSTEMD)

# A zone of firewalld's own that admits nothing: what arrives on a dummy was never sent to us.
ZONE = "drop"
# The last of all metrics. With it ours loses to any other default route.
LAST_METRIC = 4294967295

_UNITS = "/etc/systemd/system"
KEYFILE = f"/etc/NetworkManager/system-connections/{NAME}.nmconnection"
NETDEV = f"/etc/systemd/network/10-{NAME}.netdev"
NETWORK = f"/etc/systemd/network/10-{NAME}.network"
UNIT = f"{NAME}.service"
WATCH = f"{NAME}-watch.service"
ZONE_UNIT = f"{NAME}-zone.service"
_LINKS = {
    UNIT: f"{_UNITS}/multi-user.target.wants/{UNIT}",
    WATCH: f"{_UNITS}/multi-user.target.wants/{WATCH}",
    ZONE_UNIT: f"{_UNITS}/firewalld.service.wants/{ZONE_UNIT}",
}
# Where one of these is, the route is there from the next boot on; they are written last and
# removed first, so that a power loss leaves either all that counts or nothing.
COMMITS = {NETWORKMANAGER: KEYFILE, NETWORKD: NETDEV, SYSTEMD: _LINKS[UNIT]}
PATHS = (
    *COMMITS.values(),
    NETWORK,
    *(f"{_UNITS}/{unit}" for unit in _LINKS),
    *(link for unit, link in _LINKS.items() if unit != UNIT),
)
"""All files that any backend has, in the order in which they are removed."""
BESIDE = {f"{_UNITS}/{unit}" for unit in (WATCH, ZONE_UNIT)}
"""Those of what looks after the route, which goes on while they change."""
ADOPTED = f"/run/{NAME}.adopted"
"""Says, until the next boot, that the interface was made by hand and is not ours to remove."""

# Of conditions with "|", one has to hold.
_IF_THERE_IS_ONE = "\n".join(f"ConditionPathExists=|{path}" for path in COMMITS.values())
_MADE_BY = "# Made by edgeops.k3s_network, role k3s_default_route: K3s needs a default route."
# What the files of any backend say, once they are read again.
_INTERFACE = re.compile(
    r"^(?:interface-name=|Name=|ExecStop=-?ip link delete dev )(\S+)$", re.MULTILINE
)
_ADDRESS = re.compile(r"^address1=([^,\s]+)|^Address=(\S+)|address replace (\S+)", re.MULTILINE)
_GATEWAY = re.compile(r"route replace default via (\S+) dev")
_METRIC = re.compile(r"swap (\d+) ")


@dataclass(frozen=True)
class File:
    """A file of ours; C(text) of a symbolic link is where it leads to."""

    path: str
    text: str
    mode: int = 0o644
    link: bool = False


@dataclass(frozen=True)
class Wanted:
    """The dummy route: C(address) in CIDR form, C(metric) as in C(ip route)."""

    interface: str
    address: str
    gateway: str
    metric: int

    def route(self) -> str:
        """Return the route as C(ip route) takes and prints it."""
        return f"default via {self.gateway} dev {self.interface} metric {self.metric}"


def files(backend: str, wanted: Wanted) -> tuple[File, ...]:
    """Return the files of a backend in the order in which they are written."""
    common = (
        *_enabled(WATCH, _watch_unit(wanted)),
        *_enabled(ZONE_UNIT, _zone_unit(wanted)),
    )
    if backend == NETWORKMANAGER:
        return (*common, File(KEYFILE, _keyfile(wanted), 0o600))
    if backend == NETWORKD:
        return (*common, File(NETWORK, _network(wanted)), File(NETDEV, _netdev(wanted)))
    return (*common, *_enabled(UNIT, _unit(wanted)))


def file_of(path: str, text: str) -> File:
    """Return a file of ours as it was found."""
    return File(path, text, 0o600 if path == KEYFILE else 0o644, is_link(path))


def is_link(path: str) -> bool:
    """Tell whether a path of ours is a symbolic link, which enables a unit."""
    return path in _LINKS.values()


def commands(wanted: Wanted) -> list[list[str]]:
    """Return the commands that make interface and route, whatever of it is there already.

    None of them takes away what is there, so that a route made by hand is adopted without a gap.
    """
    interface = wanted.interface
    make = f"ip link add {interface} type dummy"
    there = f"ip link show dev {interface} >/dev/null"
    up = f"ip link show up dev {interface}"
    no_ipv6 = f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"
    return [
        # Loading the driver makes a dummy0 by itself.
        ["/bin/sh", "-c", f"{there} 2>&1 || {make} || {there}"],
        # Not where it is up already: what it has of IPv6 is somebody else's.
        ["/bin/sh", "-c", f"{up} | grep -q . || [ ! -e {no_ipv6} ] || echo 1 >{no_ipv6}"],
        ["ip", "link", "set", "dev", interface, "up"],
        ["ip", "-4", "address", "replace", wanted.address, "dev", interface],
        ["ip", "-4", "route", "replace", *wanted.route().split()],
    ]


def interfaces(texts: Mapping[str, str]) -> set[str]:
    """Return the dummy interfaces that files of ours, by path, make; normally one."""
    return {name for text in texts.values() for name in _INTERFACE.findall(text)}


def values(texts: Mapping[str, str]) -> Optional[Wanted]:
    """Return what files of ours, by path, were made from; None where they don't tell it all."""
    text = "\n".join(texts.values())
    interface = _INTERFACE.search(text)
    address = _ADDRESS.search(text)
    gateway = _GATEWAY.search(text)
    metric = _METRIC.search(text)
    if not (interface and address and gateway and metric):
        return None
    return Wanted(
        interface.group(1),
        address.group(1) or address.group(2) or address.group(3),
        gateway.group(1),
        int(metric.group(1)),
    )


def _enabled(unit: str, text: str) -> tuple[File, File]:
    return (
        File(f"{_UNITS}/{unit}", text),
        File(_LINKS[unit], f"{_UNITS}/{unit}", link=True),
    )


def _keyfile(wanted: Wanted) -> str:
    return f"""\
{_MADE_BY}
[connection]
id={NAME}
uuid={uuid.uuid5(uuid.NAMESPACE_DNS, NAME)}
type=dummy
interface-name={wanted.interface}
zone={ZONE}

[dummy]

[ipv4]
method=manual
address1={wanted.address},{wanted.gateway}
route-metric={wanted.metric}

[ipv6]
method=disabled
"""


def _netdev(wanted: Wanted) -> str:
    return f"""\
{_MADE_BY}
[NetDev]
Name={wanted.interface}
Kind=dummy
"""


def _network(wanted: Wanted) -> str:
    return f"""\
{_MADE_BY}
[Match]
Name={wanted.interface}

[Link]
RequiredForOnline=no

[Network]
# What is there already stays, so that networkd takes the interface over without a gap.
KeepConfiguration=static
LinkLocalAddressing=no
IPv6AcceptRA=no
Address={wanted.address}

[Route]
Gateway={wanted.gateway}
Metric={wanted.metric}
"""


def _unit(wanted: Wanted) -> str:
    starts = "\n".join(f"ExecStart={_quoted(command)}" for command in commands(wanted))
    return f"""\
{_MADE_BY}
[Unit]
Description=Default route by a dummy interface, for K3s (edgeops.k3s_network)
After=network-pre.target
Before=network-online.target k3s.service k3s-agent.service

[Service]
Type=oneshot
RemainAfterExit=yes
{starts}
ExecStop=-ip link delete dev {wanted.interface}

[Install]
WantedBy=multi-user.target
"""


def _watch_unit(wanted: Wanted) -> str:
    route = f"default via {wanted.gateway} dev {wanted.interface}"
    # NetworkManager adds 20000 to the metric of a NIC behind which it does not reach the internet,
    # and networkd gives 1024 to what DHCP brings: ours would win. The kernel tells of links going
    # down, but not of the routes that go with them.
    return f"""\
{_MADE_BY}
[Unit]
Description=Let a real default route win over the dummy of K3s (edgeops.k3s_network)
{_IF_THERE_IS_ONE}

[Service]
Restart=always
RestartSec=2
ExecStart=/bin/sh -c ' \\
  real() {{ ip -o -4 route show default | grep -vF " dev {wanted.interface} " | \\
    grep -q "^default .*dev "; }}; \\
  ours() {{ ip -4 route show default dev {wanted.interface} | grep -qw "metric $$1"; }}; \\
  swap() {{ ip -4 route replace {route} metric $$2 proto static && \\
    ip -4 route del {route} metric $$1; }}; \\
  ( {{ sleep 1; echo; }} & exec ip monitor link route ) | while read -r event; do \\
    if real; then ! ours {wanted.metric} || swap {wanted.metric} {LAST_METRIC}; \\
    else ! ours {LAST_METRIC} || swap {LAST_METRIC} {wanted.metric}; fi; \\
  done'

[Install]
WantedBy=multi-user.target
"""


def _zone_unit(wanted: Wanted) -> str:
    # Not firewall-cmd, which takes a good part of a second to start, at each boot.
    zones = (
        "busctl --quiet call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
        "org.fedoraproject.FirewallD1.zone"
    )
    bind = f"{zones} changeZoneOfInterface ss {ZONE} {wanted.interface}"
    # Since 2.5, firewalld is started before D-Bus, and answers later.
    wait = "until busctl status org.fedoraproject.FirewallD1 >/dev/null 2>&1; do sleep 0.2; done"
    # A reload forgets what is in the running configuration alone where FlushAllOnReload is set (the
    # default), and systemd is not told of a reload by firewall-cmd. There may be one until busctl
    # says that it listens.
    return f"""\
{_MADE_BY}
[Unit]
Description=Keep the dummy interface of K3s in a zone that admits nothing (edgeops.k3s_network)
{_IF_THERE_IS_ONE}
BindsTo=firewalld.service
After=firewalld.service

[Service]
Restart=always
RestartSec=2
ExecStartPre=/bin/sh -c '{wait}'
ExecStartPre={bind}
ExecStart=/bin/sh -c ' \\
  busctl monitor 2>&1 \\
    --match type=signal,interface=org.fedoraproject.FirewallD1,member=Reloaded | \\
  while read -r line; do \\
    case "$$line" in "Monitoring bus "*|*Member=Reloaded*) {bind} ;; esac; \\
  done'
ExecStop=-{zones} removeInterface ss {ZONE} {wanted.interface}

[Install]
WantedBy=firewalld.service
"""


def _quoted(command: list[str]) -> str:
    return " ".join(f"'{word}'" if " " in word else word for word in command)
