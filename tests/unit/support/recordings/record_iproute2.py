# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record the JSON that iproute2 prints for the commands that this collection runs.

Run it as root: python3 record_iproute2.py > iproute2-VERSION.json

It sets interfaces, addresses, routes and rules up in a network namespace of its own. The unit
tests parse the recordings, and compare the keys of their fakes with them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

MAC = "02:00:00:00:00:11"
PEER = "198.51.100.7"
SETUP = f"""
link set lo up
link add eth0 address {MAC} type veth peer name peer0 \
address 02:00:00:00:00:14
link set peer0 up
link set eth0 up
link add eth1 address 02:00:00:00:00:13 mtu 9000 type bridge
link add eth2 address 02:00:00:00:00:12 type bridge
link set eth2 up
address add 192.0.2.11/24 dev eth0
address add 192.0.2.21/24 dev eth0 valid_lft 3600 preferred_lft 3600
address add 169.254.7.7/16 dev eth0 scope link
address add 203.0.113.254/31 dev eth2
-6 address add 2001:db8::11/64 dev eth0 nodad
-6 address add 2001:db8::12/64 dev eth0 nodad preferred_lft 0
-6 address add 2001:db8:0:1::13/64 dev eth0 nodad valid_lft 3600 preferred_lft 3600 mngtmpaddr
link add flannel.1 address 0a:58:0a:2a:01:00 mtu 1450 type vxlan id 1 local 192.0.2.11 \
dev eth0 dstport 8472 nolearning
link set flannel.1 up
address add 10.42.1.0/32 dev flannel.1
neigh add 10.42.2.0 lladdr 0a:58:0a:2a:02:00 dev flannel.1 nud permanent
neigh add 10.42.3.0 lladdr 0a:58:0a:2a:03:00 dev flannel.1 nud stale
neigh add 10.42.4.0 dev flannel.1 nud failed
neigh add fe80::2 lladdr 0a:58:0a:2a:02:00 dev flannel.1 nud permanent
route add default via 192.0.2.1 dev eth0
route add default via 192.0.2.2 dev eth0 metric 100 proto dhcp
route add unreachable default metric 4278198272
route add default via 203.0.113.255 dev eth2 metric 1000 proto static
route add default metric 2000 nexthop via 192.0.2.3 dev eth0 nexthop via 203.0.113.255 dev eth2
route add default via 192.0.2.1 dev eth0 table 200
route add blackhole default table 201
route add 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
route add unreachable 198.51.100.128/25
-6 route add unreachable 2001:db8:ffff::/48
-6 route add default via 2001:db8::1 dev eth0 metric 100
-6 route add unreachable default metric 4278198272
rule add from 192.0.2.0/24 table 200 priority 100
rule add fwmark 0x1 iif eth0 blackhole priority 200
rule add not to 10.0.0.0/8 oif eth0 lookup main suppress_prefixlength 0 priority 300
"""
FDB = "bridge fdb append 0a:58:0a:2a:02:00 dev flannel.1 dst 192.0.2.12 self permanent"
COMMANDS = (
    "ip -json address show",
    "ip -json address show up",
    "ip -json -details address show",
    "ip -json link show",
    "ip -json -details link show type vxlan",
    "bridge -json fdb show dev flannel.1",
    "ip -json neigh show dev flannel.1",
    "ip -json -4 route show default",
    "ip -json -4 route show table all default",
    "ip -json -4 route show table all",
    "ip -json -6 route show default",
    "ip -json -6 route show table all",
    "ip -json -4 rule show",
    f"ip -json route get {PEER}",
)
BATCH = "ip -json -force -batch -"
# Of routes that lead nowhere, with exit code and standard error.
UNREACHABLE = (
    "ip -json route get 198.51.100.200",
    "ip -json route get 2001:db8:ffff::1",
)
ROUTES = f"route get {PEER}\nroute get 192.0.2.12\nroute get 127.0.0.1\nroute get 2001:db8::2\n"


def run(command: str, stdin: str = "") -> str:
    """Return what a command prints."""
    answer = subprocess.run(
        command.split(), check=False, input=stdin, stdout=subprocess.PIPE, stderr=2, text=True
    )
    if answer.returncode != 0:
        print(f"{command}: {answer.returncode}", file=sys.stderr)
    return answer.stdout


def fail(command: str) -> tuple[int, str, str]:
    """Return the exit code, output and error of a command."""
    answer = subprocess.run(command.split(), check=False, capture_output=True, text=True)
    return answer.returncode, answer.stdout, answer.stderr


def main() -> None:
    """Set the namespace up and print what is recorded."""
    if "--inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", __file__, "--inside"])
    for line in SETUP.strip().splitlines():
        run(f"ip {line}")
        if line == "link set eth0 up":
            # The kernel makes a temporary address of the prefix.
            run("sysctl -q -w net.ipv6.conf.eth0.use_tempaddr=2")
    run(FDB)
    version = re.search(r"iproute2-(?:ss)?([\w.]+)", run("ip -V"))
    answers = {command: run(command) for command in COMMANDS}
    answers[BATCH] = run(BATCH, ROUTES)
    found = {
        "version": version and version.group(1),
        "answers": answers,
        "unreachable": {command: fail(command) for command in UNREACHABLE},
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
