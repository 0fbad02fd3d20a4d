# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set up packet filters, and record what nft and iptables-save print.

Run it as root with molecule/k3s_rules.py in the same directory, on a machine that may be changed:

    python3 record_packet_filters.py > packet-filters-VERSION.json

Each scenario has a network namespace of its own, except those of firewalld, which are in the
machine's. If ufw is installed, its rules are recorded, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

LISTING = "nft -a list ruleset"
COMMANDS = (
    "nft -j list ruleset",
    "iptables-nft-save",
    "ip6tables-nft-save",
    "iptables-legacy-save",
    "ip6tables-legacy-save",
)
FILES = ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")

NFT_DROP = """
table inet guard {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    ct state invalid drop
    iif lo accept
    tcp dport 22 accept
    icmp type echo-request accept
  }
  chain forward { type filter hook forward priority 0; policy drop; }
  chain output { type filter hook output priority 0; policy accept; }
}
"""
# Admits the cluster: nodes of 192.0.2.0/24, pods, and clients of the API.
NFT_ADMITS = """
table inet guard {
  set nodes { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
  chain input {
    type filter hook input priority -5; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iifname { "lo", "cni0" } accept
    ip saddr @nodes jump cluster
    tcp dport { 22, 80, 443, 6443 } accept
    log prefix "dropped " limit rate 5/minute
  }
  chain cluster {
    meta l4proto { tcp, udp } accept
    icmp type echo-request accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ip saddr 10.42.0.0/16 accept
    ip daddr 10.42.0.0/16 accept
  }
}
"""
# What the expressions of nft look like.
NFT_FORMS = """
table inet forms {
  set blocked { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 } }
  set timed { type ipv4_addr; flags timeout; elements = { 203.0.113.9 timeout 1h } }
  set pairs { type ipv4_addr . inet_service; elements = { 192.0.2.12 . 6443 } }
  map ports { type inet_service : verdict; elements = { 22 : accept, 6443 : jump api } }
  chain api {
    ip saddr != 192.0.2.0/24 return
    counter reject with tcp reset
  }
  chain by_nic {
    tcp dport vmap @ports
    iifname vmap { "eth0" : jump cluster, "eth9" : drop }
    goto last
  }
  chain cluster {
    ip saddr . tcp dport @pairs accept
    ip saddr 192.0.2.11-192.0.2.13 tcp dport 2379-2380 accept
    tcp dport != 10250 meta mark 0x2 drop
    meta mark 0x1 drop
    ip6 saddr 2001:db8::/32 accept
    limit rate over 10/second burst 5 packets drop
  }
  chain last { drop; }
  chain input {
    type filter hook input priority 0; policy accept;
    ip saddr @blocked drop
    ip saddr @timed counter drop comment "timed"
    iifname "eth*" jump by_nic
  }
  chain prerouting {
    type filter hook prerouting priority -200; policy accept;
    fib saddr . iif oif missing drop
    fib daddr type local accept
    iifname "cni0" ct state new drop
    meta nfproto ipv6 drop
  }
}
table netdev early {
  chain ingress {
    type filter hook ingress device "eth0" priority -500; policy accept;
    ip saddr 203.0.113.0/24 drop
    udp dport 8472 drop
  }
}
table bridge pods {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ether type ip6 drop
  }
}
table ip filter2 {
  chain input { type filter hook input priority 10; policy accept; tcp dport 10250 reject; }
}
"""
# A table of nft that has the name of one of iptables-nft, which cannot print it.
NFT_IN_FILTER = """
table ip filter {
  set peers { type ipv4_addr; elements = { 192.0.2.12 } }
  chain INPUT {
    type filter hook input priority 0; policy drop;
    ip saddr @peers accept
  }
}
"""
# As the images of a cloud provider come.
IPTABLES_REJECT = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
# The forms of matches, and jumps that return.
IPTABLES_FORMS = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:CLUSTER - [0:0]
:NOT-LOCAL - [0:0]
-A INPUT -i eth0 -j NOT-LOCAL
-A INPUT -s 192.0.2.0/24 -g CLUSTER
-A INPUT ! -i lo -d 127.0.0.0/8 -j DROP
-A INPUT -s 203.0.113.0/24,198.51.100.7/32 -m comment --comment "two -j words" -j DROP
-A INPUT -p tcp -m multiport --dports 2379:2380,6443 -j DROP
-A INPUT -m mark --mark 0x1 -j DROP
-A INPUT -i eth+ -p udp --dport 8472 -j DROP
-A CLUSTER -p tcp --dport 10250 -j REJECT --reject-with tcp-reset
-A CLUSTER -m iprange --src-range 192.0.2.11-192.0.2.13 -j DROP
-A NOT-LOCAL -m addrtype --dst-type LOCAL -j RETURN
-A NOT-LOCAL -j DROP
COMMIT
"""
IP6TABLES_DROP = """
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p ipv6-icmp -j ACCEPT
COMMIT
"""
# Docker 20.10 to 27, with a published port.
DOCKER = """
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""
# Docker 28 and newer, with a published port.
DOCKER_28 = """
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-INTERNAL - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
"""
# As the actions iptables and nftables of fail2ban 1.0 ban an address.
FAIL2BAN = """
iptables -w -N f2b-sshd
iptables -w -A f2b-sshd -j RETURN
iptables -w -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
iptables -w -I f2b-sshd 1 -s 203.0.113.9 -j REJECT --reject-with icmp-port-unreachable
iptables -w -N f2b-recidive
iptables -w -A f2b-recidive -j RETURN
iptables -w -I INPUT -p tcp -j f2b-recidive
iptables -w -I f2b-recidive 1 -s 203.0.113.9 -j REJECT --reject-with icmp-port-unreachable
"""
FAIL2BAN_NFT = """
nft add table inet f2b-table
nft -- add chain inet f2b-table f2b-chain { type filter hook input priority -1 ; }
nft add set inet f2b-table addr-set-sshd { type ipv4_addr; }
nft add rule inet f2b-table f2b-chain tcp dport { 22 } ip saddr @addr-set-sshd reject
nft add set inet f2b-table addr-set-recidive { type ipv4_addr; }
nft add rule inet f2b-table f2b-chain meta l4proto tcp ip saddr @addr-set-recidive reject
nft add element inet f2b-table addr-set-sshd { 203.0.113.9 }
nft add element inet f2b-table addr-set-recidive { 203.0.113.9 }
"""
FIREWALLD = "/etc/firewalld/firewalld.conf"
BACKEND = f"""
sed -i s/^FirewallBackend=.*/FirewallBackend=%s/ {FIREWALLD}
systemctl restart firewalld
firewall-cmd -q --state
"""
DIRECT = """
firewall-cmd -q --direct %s-rule ipv4 filter INPUT 0 -p tcp --dport 6443 -j DROP
firewall-cmd -q --direct %s-rule ipv4 filter INPUT 1 -p tcp --dport 22 -j ACCEPT
"""


def run(command: str, stdin: str = "") -> list:
    """Return the exit code, the output and the error of a command; 127 if it is missing."""
    try:
        done = subprocess.run(
            command.split(), check=False, input=stdin, capture_output=True, text=True
        )
    except FileNotFoundError:
        return [127, "", f"{command.split()[0]}: No such file or directory\n"]
    return [done.returncode, done.stdout, done.stderr]


def do(commands: str) -> None:
    """Run commands, which have to succeed."""
    for line in commands.strip().splitlines():
        load(line, "")


def load(command: str, stdin: str) -> None:
    """Run a command, which has to succeed."""
    code, out, err = run(command, stdin)
    if code != 0:
        sys.exit(f"{command}: {out}{err}")


def recorded(*more: str) -> dict:
    """Return what the commands print and the files hold."""
    return {
        "answers": {command: run(command) for command in (*COMMANDS, *more)},
        "files": {path: run(f"cat {path}")[1] for path in FILES},
    }


def without_firewalld(one: dict) -> dict:
    """Leave the objects of the table firewalld out, which nobody reads and which are many."""
    answers = dict(one["answers"])
    code, out, err = answers["nft -j list ruleset"]
    kept = [
        entry
        for entry in json.loads(out)["nftables"]
        for (kind, what) in entry.items()
        if kind in ("metainfo", "table")
        or what.get("table") != "firewalld"
        or what.get("name") in ("filter_INPUT", "filter_FORWARD")
        or what.get("chain") in ("filter_INPUT", "filter_FORWARD")
    ]
    answers["nft -j list ruleset"] = [code, json.dumps({"nftables": kept}), err]
    return {**one, "answers": answers}


def k3s() -> None:
    """Load the rules of K3s with kube-proxy on iptables."""
    import k3s_rules  # noqa: PLC0415

    k3s_rules.SERVICES = 1
    load("iptables-nft-restore --noflush", k3s_rules.iptables(k3s_rules.IPV4))
    load("ip6tables-nft-restore --noflush", k3s_rules.iptables(k3s_rules.IPV6))


def k3s_nft() -> None:
    """Load the rules of K3s with kube-proxy on nftables."""
    import k3s_rules  # noqa: PLC0415

    k3s_rules.SERVICES = 1
    text = k3s_rules.nftables(k3s_rules.IPV4)
    # nft 0.9.8 knows neither of both.
    if run("nft -c -f -", text)[0] != 0:
        text = re.sub(r'\n *comment "[^"\n]*"', "", text)
    load("nft -f -", text)


def legacy() -> None:
    """Load rules into tables of iptables-legacy."""
    load("iptables-legacy-restore", IPTABLES_REJECT)
    load("ip6tables-legacy-restore", IP6TABLES_DROP)


def ufw() -> None:
    """Enable ufw."""
    do("ufw allow 22/tcp\nufw --force enable")


def flannel(before: str) -> None:
    """Load rules, then those by which Flannel accepts packets of pods."""
    import k3s_rules  # noqa: PLC0415

    load("iptables-nft-restore", before)
    lines = k3s_rules.iptables(k3s_rules.IPV4).partition("*filter\n")[2].splitlines()
    kept = [line for line in lines if "FLANNEL-FWD" in line]
    text = "\n".join(["*filter", *kept, "COMMIT", ""])
    load("iptables-nft-restore --noflush", text)


SCENARIOS = {
    "empty": lambda: None,
    "nft-drop": lambda: load("nft -f -", NFT_DROP),
    "nft-admits": lambda: load("nft -f -", NFT_ADMITS),
    "nft-forms": lambda: load("nft -f -", NFT_FORMS),
    "nft-in-filter": lambda: load("nft -f -", NFT_IN_FILTER),
    "iptables-reject": lambda: load("iptables-nft-restore", IPTABLES_REJECT),
    "iptables-forms": lambda: load("iptables-nft-restore", IPTABLES_FORMS),
    "iptables-legacy": legacy,
    "docker": lambda: load("iptables-nft-restore", DOCKER),
    "docker-28": lambda: load("iptables-nft-restore", DOCKER_28),
    "docker-flannel": lambda: flannel(DOCKER),
    "reject-flannel": lambda: flannel(IPTABLES_REJECT),
    "fail2ban": lambda: do(FAIL2BAN),
    "fail2ban-nft": lambda: do(FAIL2BAN_NFT),
    "k3s": k3s,
    "k3s-nft": k3s_nft,
    "ufw": ufw,
}


def inside(name: str) -> None:
    """Set a scenario up in this network namespace and print what is recorded."""
    for command in (
        "ip link set lo up",
        "ip link add eth0 type veth peer name peer0",
        "ip link set eth0 up",
    ):
        load(command, "")
    SCENARIOS[name]()
    # Without rules of nft, nobody reads its listing, which is long.
    print(json.dumps(recorded(*[LISTING] if "nft" in name else [])))


def of_firewalld() -> dict:
    """Return what is recorded with firewalld and direct rules on each backend."""
    found = {}
    for backend in ("nftables", "iptables"):
        do(BACKEND % backend)
        do(DIRECT.replace("%s", "--add"))
        found[f"firewalld-{backend}"] = without_firewalld(recorded())
        do(DIRECT.replace("%s", "--remove"))
    do(BACKEND % "nftables")
    return found


def main() -> None:
    """Print the recording, or that of one scenario in its namespace."""
    if len(sys.argv) > 1:
        inside(sys.argv[1])
        return
    version = re.search(r"v([\d.]+)", run("nft --version")[1])
    found = {}
    for name in SCENARIOS:
        if name == "ufw" and not shutil.which("ufw"):
            continue
        command = f"unshare --net {sys.executable} -B {os.path.abspath(__file__)} {name}"
        code, out, err = run(command)
        if code != 0:
            sys.exit(f"{name}: {err}")
        found[name] = json.loads(out)
    found.update(of_firewalld())
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in found.items())
    print(f'{{"version": "{version and version.group(1)}", "scenarios": {{\n{lines}\n}}}}')


if __name__ == "__main__":
    main()
