# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node of the scenarios of the default route, and what K3s would find on it."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from task_server import TaskServer, install

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]).name
SUITE = os.environ["K3S_LAB_SUITE"]
LAB = Path(__file__).parents[1] / "lab" / "lab.py"
NAME = "node1"
NIC = "eth0"
GATEWAY = "10.89.0.1"
BACKEND = {"route": "networkmanager", "route-networkd": "networkd", "route-systemd": "systemd"}
# firewall-cmd takes such a machine seconds to start.
ZONE_OF = (
    "busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1.zone getZoneOfInterface s"
)
# One connection for all: a new one takes such a machine seconds.
SSH = (
    *("ssh", "-F", str(EPHEMERAL / "ssh_config")),
    *("-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ServerAliveCountMax=2"),
    *("-o", f"ControlPath={tempfile.mkdtemp()}/%h"),
)
OURS = {"dst": "default", "gateway": "203.0.113.255", "dev": "dummy0", "metric": 1000}
MADE_BY_HAND = """
ip link add dummy0 type dummy || ip link show dummy0
ip link set dummy0 up
ip addr add 203.0.113.254/31 dev dummy0
ip route add default via 203.0.113.255 dev dummy0 metric 1000
"""
# Without the collection, so that a mistake of its own is not hidden.
CLEAN = """
exec 2>/dev/null
left() {
  ls -d /etc/rancher /var/lib/rancher /run/k3s-default-route.adopted
  find /etc/systemd /etc/NetworkManager -name '*k3s-default-route*'
  ip -o link show type dummy
  ip -4 route show default
}
[ -n "$(left)" ] || exit 0
systemctl stop k3s-default-route-watch k3s-default-route-zone
nmcli connection delete k3s-default-route >/dev/null
rm -rf /etc/rancher /var/lib/rancher /run/k3s-default-route.adopted
find /etc/systemd /etc/NetworkManager -name '*k3s-default-route*' -delete
rmdir /etc/systemd/system/firewalld.service.wants
systemctl daemon-reload
systemctl stop k3s-default-route
networkctl reload
for link in $(ip -o link show type dummy | cut -d: -f2); do ip link delete "$link"; done
while ip route del default; do :; done
while ip route del unreachable default; do :; done
true
"""
# All that a run may leave, but for journals, caches and the state of the daemons.
SNAPSHOT = """
cd /etc
find . -path ./firewalld -prune -o -type d -print -o -type f -print -o -type l -printf '%p %l\\n' |
  grep -v -e '/\\.updated$' -e ^./ld.so.cache | sort
find NetworkManager network systemd rancher -type f -exec sha256sum {} + 2>/dev/null | sort
ip -o -color=never address show | sed 's/ valid_lft.*//'
ip -color=never route show table all
ip -color=never rule show
systemctl list-units --all --plain --no-legend 'k3s-*'
busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \\
  org.fedoraproject.FirewallD1.zone getActiveZones
nmcli -t -f NAME,DEVICE,STATE connection show 2>/dev/null
ls -A /var/lib/k3s-network /run/k3s* /etc/rancher 2>/dev/null
exit 0
"""


class Node:
    """The node, reached by ssh and by what the lab can do to a machine."""

    backend = BACKEND[SCENARIO]

    def __init__(self):
        self._server = None

    def run(self, command, check=True, timeout=300):
        """Run a shell script on the node and return what it printed."""
        done = subprocess.run(
            [*SSH, NAME, "sh"],
            check=False,
            input=command,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
        return done.stdout

    def zone(self, interface):
        """Return the zone of an interface in the running firewalld, empty for none."""
        return self.run(f"{ZONE_OF} {interface}").split('"')[1]

    def install(self):
        """Put the collection's code on the node, which may lose its power later."""
        install(*SSH, NAME)
        self.run("sync")

    def ask(self, task, **arguments):
        """Have a task of on_node/serve.py done and return its answer.

        Such a machine takes a second and more to start Python with the collection's code.
        """
        if self._server is None:
            self.install()
            self._server = TaskServer([*SSH, NAME])
        return self._server.ask(task, 300, **arguments)

    def close(self):
        """End what goes on running on the node."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def json(self, command):
        """Run a command of iproute2 that prints JSON; what it leaves out it prints as {}."""
        return [one for one in json.loads(self.run(command) or "[]") if one]

    def default_routes(self):
        """Return the IPv4 default routes of the table main, without flags and protocol."""
        keys = ("type", "dst", "gateway", "dev", "metric")
        return [
            {key: route[key] for key in keys if key in route}
            for route in self.json("ip -json -4 route show default")
        ]

    def way(self, address="10.43.0.1"):
        """Return the interface that packets to an address leave by, empty for none."""
        out = self.run(f"ip -json route get {address} || true")
        return json.loads(out)[0].get("dev", "") if out.strip() else ""

    def detected(self):
        """Return the interface and address that K3s finds, worked out apart from the collection.

        The first default route of /proc/net/route whose interface is up and has a global unicast
        address.
        """
        table = self.run("cat /proc/net/route").splitlines()[1:]
        links = {link["ifname"]: link for link in self.json("ip -json -4 address show")}
        for row in map(str.split, table):
            link = links.get(row[0], {})
            if row[1] == "00000000" and "UP" in link.get("flags", []):
                for found in link["addr_info"]:
                    address = ipaddress.ip_address(found["local"])
                    if not (address.is_link_local or address.is_loopback or address.is_multicast):
                        return row[0], found["local"]
        return None

    def snapshot(self):
        """Return all that a run may leave."""
        return self.run(SNAPSHOT).splitlines()

    def wait_for(self, condition, seconds=120):
        """Wait until a shell condition holds on the node, which may be away meanwhile."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                return self.run(condition, timeout=30)
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.5)

    def wait_for_console(self, text, seconds=120):
        """Wait until the node has written a text to its console, while it can't be reached."""
        log = (EPHEMERAL / "ssh_config").resolve().parent / "machines" / NAME / "console.log"
        end = time.monotonic() + seconds
        while text not in log.read_text(errors="replace"):
            assert time.monotonic() < end, f"the console never has: {text}"
            time.sleep(0.1)

    def reboot(self):
        """Reboot from inside, and wait until the node has booted."""
        self._away(lambda: self.run("systemctl reboot", check=False))

    def power_cycle(self):
        """Cut the power and give it back, and wait until the node has booted."""
        self._away(lambda: self.lab("reset"))

    def _away(self, leave):
        boot = self.run("cat /proc/sys/kernel/random/boot_id").strip()
        self.close()
        leave()
        subprocess.run([*SSH, "-O", "exit", NAME], check=False, capture_output=True)
        self.wait_for(f"[ $(cat /proc/sys/kernel/random/boot_id) != {boot} ]", 900)
        self.run("systemctl is-system-running --wait || true; systemctl is-active firewalld")

    def lab(self, command, *arguments):
        """Run a command of the lab on the node."""
        lab = f"{SCENARIO}-{SUITE}"
        subprocess.run(
            [sys.executable, "-B", str(LAB), command, "--name", lab, NAME, *arguments], check=True
        )
