# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node with a root directory of its own, as far as its default route goes."""

from __future__ import annotations

import builtins
import glob
import ipaddress
import json
import os
import re
import shlex
from types import SimpleNamespace

from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import apply, read
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    host as default_route_host,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import files, networkmanager
from ansible_collections.edgeops.k3s_network.tests.unit.support.recorded_ip import (
    as_recorded,
)

NAME = "k3s-default-route"
KEYFILE = f"/etc/NetworkManager/system-connections/{NAME}.nmconnection"
UNIT, WATCH, ZONE_UNIT = (f"{NAME}{what}.service" for what in ("", "-watch", "-zone"))
UNITS = "/etc/systemd/system"
WANTS = {
    UNIT: f"{UNITS}/multi-user.target.wants/{UNIT}",
    WATCH: f"{UNITS}/multi-user.target.wants/{WATCH}",
    ZONE_UNIT: f"{UNITS}/firewalld.service.wants/{ZONE_UNIT}",
}
NETDEV = f"/etc/systemd/network/10-{NAME}.netdev"
NETWORK = f"/etc/systemd/network/10-{NAME}.network"
SERVICES = ("NetworkManager.service", "systemd-networkd.service", "firewalld.service")
PEER = "198.51.100.9"
# What ip route get answers when no route leads there.
NO_ROUTE = (2, "", "RTNETLINK answers: No route to host\n")
ZONES = (
    "busctl --quiet call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1.zone"
)
PROFILES = "nmcli -t -f NAME connection show"


class Killed(BaseException):
    """What nobody catches, as nobody catches a kill."""


class Rooted:
    """Has the functions of os and its like that take a path, and looks for it below a root."""

    def __init__(self, root, module, *names):
        self._root, self._module, self._names = root, module, names

    def __getattr__(self, name):
        function = getattr(self._module, name)
        if name not in self._names:
            return function
        return lambda path, *rest, **others: function(self.at(path), *rest, **others)

    def at(self, path):
        """Return where a path of the node is."""
        return path if path.startswith(self._root) else f"{self._root}{path}"


class FakeNode:
    """Answers the commands of DefaultRouteHost; one that it does not know fails the test.

    It keeps what changes (log), and every default route of main after each change (history).
    """

    def __init__(self, root, manager="systemd", firewalld=True):
        self.root = str(root)
        self.manager = manager
        self.services = {"systemd"} | ({"firewalld.service"} if firewalld else set())
        # networkd may run beside NetworkManager without managing anything.
        self.services |= {"NetworkManager.service"} if manager == "networkmanager" else set()
        self.services |= {"systemd-networkd.service"} if manager == "networkd" else set()
        self.links, self.routes, self.rules, self.ipv6_routes = {}, [], [], []
        self.zones, self.running, self.loaded = {}, {}, {}
        self.profiles, self.actives, self.made_by_nm = {}, {}, set()
        self.log, self.asked, self.history, self.failing = [], [], [], {}
        self.kill_at, self.deaf, self.read_only = None, False, ()
        # Units that systemd is still starting, each for that many questions.
        self.activating = {}
        self.way = lambda: {"dst": PEER, "dev": "eth0"}
        for directory in ("run/systemd/system", UNITS[1:], "etc/NetworkManager/system-connections"):
            os.makedirs(f"{self.root}/{directory}")
        os.makedirs(f"{self.root}/etc/systemd/network")
        os.makedirs(f"{self.root}/proc/net")
        self._write_table()
        self.add_link("eth0", "192.0.2.11/24")
        if manager == "networkmanager":
            self.profiles["eth0"] = "/etc/NetworkManager/system-connections/eth0.nmconnection"
            self.actives["eth0"] = "eth0"
        if manager == "networkd":
            self.managed_by_networkd("eth0", "/etc/systemd/network/20-eth0.network")

    def install(self, monkeypatch):
        """Take the place of this host."""
        host, run = default_route_host, apply
        path = Rooted(self.root, os.path, "exists", "isdir")
        rooted = Rooted(self.root, os, "readlink", "rmdir")
        rooted.path = path
        opened = Rooted(self.root, builtins, "open").open
        monkeypatch.setattr(read, "os", rooted)
        for module in (host, run):
            monkeypatch.setattr(module, "os", rooted)
            monkeypatch.setattr(module, "write_file", self._write_file)
            monkeypatch.setattr(module, "remove_file", self._remove_file)
            monkeypatch.setattr(module, "make_directory", self._make_directory)
            take = SimpleNamespace(take=lambda path: files.FileCopy.take(self.at(path)))
            monkeypatch.setattr(module, "FileCopy", take)
        monkeypatch.setattr(read, "open", opened, raising=False)
        monkeypatch.setattr(read, "glob", Rooted(self.root, glob, "glob"))
        monkeypatch.setattr(host, "write_link", self._write_link)
        monkeypatch.setattr(os, "fsync", lambda _handle: None)
        monkeypatch.setattr(host, "_PATIENCE_SECONDS", 0.0)
        monkeypatch.setattr(host, "_STEP_SECONDS", 0.0)
        monkeypatch.setattr(run, "_LOCKED", f"{self.root}/etc")
        monkeypatch.setattr(
            run, "unwritable", lambda paths: [path for path in paths if path in self.read_only]
        )
        monkeypatch.setattr(run, "open", opened, raising=False)
        monkeypatch.setattr(run, "ssh_connection", lambda: None)
        monkeypatch.setattr(networkmanager, "shutil", SimpleNamespace(which=lambda name: name))
        self.put("/etc/os-release", "ID=debian\n")
        self.put("/sys/module/dummy/version", "")

    # What a test sets and looks at

    def at(self, path):
        """Return where a path of the node is."""
        return path if path.startswith(self.root) else f"{self.root}{path}"

    def put(self, path, text, mode=0o644):
        """Write a file as somebody else does."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(self.at(path), mode)

    def text(self, path):
        """Return the text of a file, None where there is none."""
        try:
            with open(self.at(path), encoding="utf-8") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def tree(self):
        """Return all directories, and all files and links with what they hold."""
        found = {}
        for directory, _names, names in os.walk(self.root):
            found[directory[len(self.root) :]] = None
            for name in names:
                path = os.path.join(directory, name)
                link = os.path.islink(path)
                found[path[len(self.root) :]] = (
                    os.readlink(path) if link else self.text(path),
                    link or os.stat(path).st_mode & 0o777,
                )
        return found

    def state(self):
        """Return all that a run may change."""
        found = self.tree()
        for name, link in self.links.items():
            # What was down and is up does nobody any harm.
            found[f"link {name}"] = sorted(map(str, link["addr_info"]))
        found["routes"] = sorted(map(str, self.routes))
        found.update({f"zone of {name}": zone for name, zone in self.zones.items()})
        found.update({f"running {unit}": commands for unit, commands in self.running.items()})
        found.update({f"profile {name}": path for name, path in self.profiles.items()})
        return found

    def lines(self):
        """Return the default routes of main as C(ip route) prints them, without flags."""
        return [
            f"{route.get('type', '')} default via {route.get('gateway')} dev {route.get('dev')} "
            f"metric {route.get('metric', 0)}".strip()
            for route in self.main()
        ]

    def main(self):
        """Return the default routes of main."""
        return [route for route in self.routes if "table" not in route]

    def add_link(self, name, *addresses, kind="", up=True):
        """Make an interface."""
        self.links[name] = {
            "ifindex": len(self.links) + 2,
            "ifname": name,
            "flags": ["UP"] if up else [],
            **({"linkinfo": {"info_kind": kind}} if kind else {}),
            "addr_info": [],
        }
        for address in addresses:
            self.add_address(name, address)

    def add_address(self, name, address, scope="global"):
        """Give an interface an address."""
        local, _slash, prefix = address.partition("/")
        entry = {"local": local, "prefixlen": int(prefix), "scope": scope}
        if entry not in self.links[name]["addr_info"]:
            self.links[name]["addr_info"].append(entry)

    def add_route(self, **route):
        """Add a default route where the kernel would."""
        self.routes.append({"dst": "default", **route})
        self.routes.sort(key=lambda one: one.get("metric", 0))
        self._write_table()

    def make_by_hand(self, metric=1000):
        """Type the guide's commands."""
        self.add_link("dummy0", "203.0.113.254/31", kind="dummy")
        self.add_route(gateway="203.0.113.255", dev="dummy0", metric=metric)

    def managed_by_networkd(self, interface, file):
        """Let networkd say that it manages an interface."""
        index = self.links[interface]["ifindex"]
        self.put(f"/run/systemd/netif/links/{index}", f"ADMIN_STATE=x\nNETWORK_FILE={file}\n")

    def reboot(self):
        """Lose what is in memory and come up again."""
        self.links = {"eth0": self.links["eth0"]}
        self.routes, self.zones, self.running, self.loaded = [], {}, {}, {}
        self.actives.pop("dummy0", None)
        self.profiles.pop(NAME, None)
        self._unlink_marker()
        self._command(["systemctl", "daemon-reload"])
        if "NetworkManager.service" in self.services and self.text(KEYFILE) is not None:
            self._command(["nmcli", "connection", "load", KEYFILE])
            self._command(["nmcli", "--wait", "30", "connection", "up", "id", NAME])
        if "systemd-networkd.service" in self.services and self.text(NETDEV) is not None:
            network = self.text(NETWORK) or ""
            name = _value(network, "Name")
            self.add_link(name, _value(network, "Address"), kind="dummy")
            self._replace(_value(network, "Gateway"), name, int(_value(network, "Metric")))
        for unit, link in WANTS.items():
            enabled = os.path.islink(self.at(link))
            if enabled and (unit != ZONE_UNIT or "firewalld.service" in self.services):
                self._start(unit)

    # Files

    def _note(self, event):
        if self.kill_at is not None and len(self.log) == self.kill_at:
            raise Killed(event)
        self.log.append(event)

    def _changed(self):
        self._write_table()
        self.history.append(self.lines())

    def _write_file(self, path, content, mode=0o600):
        self._note(f"write {path}")
        files.write_file(self.at(path), content, mode)
        self._changed()

    def _make_directory(self, path):
        files.make_directory(self.at(path))

    def _write_link(self, path, target):
        self._note(f"link {path}")
        files.write_link(self.at(path), target)
        self._changed()

    def _remove_file(self, path):
        if os.path.lexists(self.at(path)):
            self._note(f"remove {path}")
        files.remove_file(self.at(path))
        self._changed()

    def _unlink_marker(self):
        marker = self.at(f"/run/{NAME}.adopted")
        if os.path.exists(marker):
            os.unlink(marker)

    def _write_table(self):
        rows = "".join(
            f"{route.get('dev', '*')}\t00000000\t00000000\t0003\t0\t0\t{route.get('metric', 0)}"
            "\t00000000\t0\t0\t0\n"
            for route in self.main()
        )
        self.put("/proc/net/route", f"Iface\tDestination\n{rows}")

    # Commands

    def __call__(self, arguments):
        line = " ".join(arguments)
        question = self._question(line)
        if line == PROFILES and "NetworkManager.service" not in self.services:
            return 8, "", "Error: NetworkManager is not running."
        if question is not None:
            self.asked.append(line)
            if line in self.failing:
                return self.failing[line]
            printed = question()
            if line.startswith("ip "):
                as_recorded(arguments, json.loads(printed or "[]"))
            return (0, printed, "") if printed or "route get" not in line else NO_ROUTE
        self._note(line)
        if isinstance(self.failing.get(line), OSError):
            raise self.failing[line]
        if line in self.failing:
            return self.failing[line]
        error = self._command(list(arguments))
        self._changed()
        return (1, "", error) if error else (0, "", "")

    def _question(self, line):
        questions = {
            "ip -json -4 route show table all default": lambda: json.dumps(self.routes),
            "ip -json -4 route show default": lambda: json.dumps(self.main()),
            "ip -json -6 route show default": lambda: json.dumps(self.ipv6_routes),
            "ip -json -4 rule show": lambda: json.dumps(self.rules),
            "ip -json -details address show": lambda: json.dumps(list(self.links.values())),
            f"ip -json route get {PEER}": lambda: json.dumps([self.way()]) if self.way() else "",
            f"systemctl is-active {' '.join((*SERVICES, UNIT, WATCH, ZONE_UNIT))}": self._states,
        }
        if "NetworkManager.service" in self.services:
            questions[PROFILES] = lambda: "".join(f"{name}\n" for name in self.profiles)
            active = "nmcli -t -f DEVICE,NAME,FILENAME connection show --active"
            questions[active] = self._active_profiles
            questions["nmcli -t -f DEVICE,STATE device status"] = self._device_states
        return questions.get(line)

    def _states(self):
        active = self.services | set(self.running)
        states = []
        for unit in (*SERVICES, UNIT, WATCH, ZONE_UNIT):
            left = self.activating.get(unit, 0)
            if left:
                self.activating[unit] = left - 1
            states.append("activating" if left else "active" if unit in active else "inactive")
        return "".join(f"{state}\n" for state in states)

    def _active_profiles(self):
        lines = []
        for name, link in self.links.items():
            if name in self.actives:
                lines.append((name, self.actives[name], self.profiles[self.actives[name]]))
            elif link["addr_info"]:
                # What NetworkManager makes up for what others have set up.
                lines.append((name, name, f"/run/NetworkManager/system-connections/{name}"))
        return "".join(f"{':'.join(fields)}\n" for fields in lines)

    def _device_states(self):
        return "".join(
            f"{name}:{'connected' if name in self.actives else 'connected (externally)'}\n"
            for name in self.links
        )

    def _command(self, arguments):
        line = " ".join(arguments)
        for pattern, function in (
            (r"ip link delete dev (\S+)", self._delete_link),
            (
                r"/bin/sh -c ip link show dev (\S+) >/dev/null 2>&1 \|\| ip link add \1 type dummy "
                r"\|\| ip link show dev \1 >/dev/null",
                self._make_dummy,
            ),
            (
                r"/bin/sh -c ip link show up dev (\S+) \| grep -q \. \|\| "
                r"\[ ! -e (?P<path>/proc/sys/net/ipv6/conf/\1/disable_ipv6) \] "
                r"\|\| echo 1 >(?P=path)",
                lambda name, _path: self._need(name),
            ),
            (r"/bin/sh -c (ip -4 address del .+)", self._script),
            # firewalld is on D-Bus here.
            (r"/bin/sh -c until busctl status org\.fedoraproject\.FirewallD1 .+", lambda: ""),
            (r"ip link set dev (\S+) up", self._set_up),
            (r"ip -4 address replace (\S+) dev (\S+)", self._replace_address),
            (
                r"ip -4 route replace default via (\S+) dev (\S+) metric (\d+)(?: proto static)?",
                self._replace,
            ),
            (
                r"ip -4 route del(?:ete)? default via (\S+) dev (\S+) metric (\d+)",
                self._delete_route,
            ),
            (r"ip -4 address del(?:ete)? (\S+) dev (\S+)", self._delete_address),
            (rf"{ZONES} changeZoneOfInterface ss (\S+) (\S+)", self._set_zone),
            (rf"{ZONES} removeInterface ss \S+ (\S+)", self._no_zone),
            (r"systemctl daemon-reload", self._reload),
            (r"systemctl start (.+)", self._start),
            (r"systemctl stop (.+)", self._stop),
            (r"systemctl restart (.+)", self._restart),
            (rf"nmcli connection load {re.escape(KEYFILE)}", self._load_profile),
            (rf"nmcli --wait 30 connection up id {NAME}", self._profile_up),
            (rf"nmcli connection delete id {NAME}", self._delete_profile),
        ):
            match = re.fullmatch(pattern, line)
            if match:
                return function(*match.groups())
        raise AssertionError(f"unexpected: {line}")

    def _script(self, text):
        *before, rest = text.split("; ")
        for command in before:
            self._command(command.split())
        errors = [self._command(command.split()) for command in rest.split(" && ")]
        return next(filter(None, errors), "")

    # iproute2

    def _need(self, name):
        return "" if name in self.links else f"Cannot find device {name}"

    def _delete_link(self, name):
        if name not in self.links:
            return self._need(name)
        del self.links[name]
        self.routes = [route for route in self.routes if route.get("dev") != name]
        if self.actives.pop(name, None):
            # firewalld does not care which interfaces there are, but NetworkManager tells it.
            self.zones.pop(name, None)
        self.made_by_nm.discard(name)
        return ""

    def _make_dummy(self, name):
        if name not in self.links:
            self.add_link(name, kind="dummy", up=False)
        return ""

    def _set_up(self, name):
        if name in self.links:
            self.links[name]["flags"] = ["UP"]
        return self._need(name)

    def _replace_address(self, address, name):
        if name in self.links:
            self.add_address(name, address)
        return self._need(name)

    def _delete_address(self, address, name):
        local, _slash, prefix = address.partition("/")
        entries = self.links[name]["addr_info"]
        gone = {"local": local, "prefixlen": int(prefix), "scope": "global"}
        if gone not in entries:
            return "Cannot assign requested address"
        # The first address of a network takes the others with it, and the last one the routes.
        network = ipaddress.ip_interface(address).network
        mates = [one for one in entries if _interface(one).network == network]
        for one in mates if mates[0] == gone else [gone]:
            entries.remove(one)
        if not entries:
            self.routes = [route for route in self.routes if route.get("dev") != name]
        return ""

    def _replace(self, gateway, name, metric):
        if name not in self.links or "UP" not in self.links[name]["flags"]:
            return "Nexthop has invalid gateway"
        if not self.deaf:
            # The kernel tells routes of a table apart by destination and metric.
            others = [one for one in self.main() if one.get("metric", 0) != int(metric)]
            self.routes = [*others, *(one for one in self.routes if "table" in one)]
            self.add_route(gateway=gateway, dev=name, metric=int(metric))
        return ""

    def _delete_route(self, gateway, name, metric):
        route = {"dst": "default", "gateway": gateway, "dev": name, "metric": int(metric)}
        if route not in self.routes:
            return "No such process"
        self.routes.remove(route)
        return ""

    # firewalld

    def _set_zone(self, zone, name):
        if "firewalld.service" not in self.services:
            return "FirewallD is not running"
        self.zones[name] = zone
        return ""

    def _no_zone(self, name):
        self.zones.pop(name, None)
        return ""

    # systemd

    def _reload(self):
        if "systemd" not in self.services:
            return "System has not been booted with systemd"
        for unit in (UNIT, WATCH, ZONE_UNIT):
            self.loaded.pop(unit, None)
            text = self.text(f"{UNITS}/{unit}")
            if text is not None:
                self.loaded[unit] = text
        return ""

    def _start(self, names):
        for unit in names.split():
            if unit not in self.loaded and self.text(f"{UNITS}/{unit}") is not None:
                self.loaded[unit] = self.text(f"{UNITS}/{unit}")
            if unit not in self.loaded:
                return f"Unit {unit} not found."
            text = self.loaded[unit]
            paths = re.findall(r"^ConditionPathExists=\|(.*)", text, re.MULTILINE)
            met = not paths or any(os.path.lexists(self.at(path)) for path in paths)
            if unit in self.running or not met:
                continue
            # What goes on running is not played; what comes before it is.
            what = "ExecStart" if "Type=oneshot" in text else "ExecStartPre"
            for command in re.findall(f"^{what}=(.*)", text, re.MULTILINE):
                error = self._command(shlex.split(command))
                if error:
                    return f"Job for {unit} failed: {error}"
            self.running[unit] = commands_of(text)
        return ""

    def _stop(self, names):
        for unit in names.split():
            there = self.text(f"{UNITS}/{unit}") is not None
            if not there and unit not in self.loaded and unit not in self.running:
                return f"Unit {unit} not loaded."
            if unit in self.running:
                del self.running[unit]
                for command in re.findall(
                    r"^ExecStop=-(.*)", self.loaded.get(unit, ""), re.MULTILINE
                ):
                    self._command(shlex.split(command))
        return ""

    def _restart(self, names):
        for unit in names.split():
            if unit in self.running:
                self._stop(unit)
            error = self._start(unit)
            if error:
                return error
        return ""

    # NetworkManager

    def _load_profile(self):
        # It says so and succeeds where it does not take a file.
        text = self.text(KEYFILE)
        if text is not None and os.stat(self.at(KEYFILE)).st_mode & 0o077 == 0:
            self.profiles[NAME] = KEYFILE
        return ""

    def _profile_up(self):
        if NAME not in self.profiles:
            return f"Error: unknown connection '{NAME}'."
        text = self.text(KEYFILE)
        name = _value(text, "interface-name")
        if name in self.links:
            # Whatever ran on it is taken down.
            self.links[name]["addr_info"] = []
            self.routes = [route for route in self.routes if route.get("dev") != name]
            self._changed()
        else:
            self.add_link(name, kind="dummy")
            self.made_by_nm.add(name)
        self.links[name]["flags"] = ["UP"]
        address, _comma, gateway = _value(text, "address1").partition(",")
        self.add_address(name, address)
        self._replace(gateway, name, int(_value(text, "route-metric")))
        self.actives[name] = NAME
        if "firewalld.service" in self.services:
            self.zones[name] = _value(text, "zone")
        return ""

    def _delete_profile(self):
        if NAME not in self.profiles:
            return f"Error: unknown connection '{NAME}'."
        for name in [name for name, profile in self.actives.items() if profile == NAME]:
            del self.actives[name]
            self.zones.pop(name, None)
            self.routes = [route for route in self.routes if route.get("dev") != name]
            self.links[name]["addr_info"] = []
            if name in self.made_by_nm:
                self._delete_link(name)
        del self.profiles[NAME]
        if self.text(KEYFILE) is not None:
            os.unlink(self.at(KEYFILE))
        return ""


def commands_of(text):
    """Return what a unit runs when it is started."""
    return re.findall(r"^ExecStart=.*?$", (text or "").replace("\\\n", ""), re.MULTILINE)


def _interface(entry):
    return ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}")


def _value(text, key):
    match = re.search(rf"^{re.escape(key)}=(.*)", text, re.MULTILINE)
    return match.group(1) if match else ""
