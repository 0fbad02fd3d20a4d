# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods without a K3s: what Flannel and the CNI's bridge plugin make of nodes, made by hand.

A pod is a network namespace with an address of the pods' network, behind the bridge cni0; VXLAN
devices on port 8472, or routes as of Flannel's backend host-gw, join the nodes' bridges. The zone
of the overlay's interfaces is the collection's business: nothing here tells firewalld of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import guide

# Where pods listen; no rule of the guide's has it.
POD_PORT = 7777
PODS_TO_NODES = guide.PODS_TO_NODES
# The endpoint of the service "kubernetes".
API_PORT = guide.API_PORT
EVERY_WAY = {"tcp", "udp", "icmp"}
# firewalld before 1.0 forwards every ping.
ALWAYS = {"icmp"}

# Addresses and ports, and the endpoints that they lead to.
Endpoints = Mapping[tuple[str, int], tuple[str, int]]

# Returns when the unit has sent READY=1.
START = "systemd-run -q --collect --service-type=notify"

_SETTINGS = "net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables"
_NETWORKMANAGER = "/run/NetworkManager/conf.d"
_NODE = f"""
set -e
sysctl -e {_SETTINGS} >/run/overlay.sysctl
# As K3s does: with the second, pods of one node pass the firewall on their way to each other.
for setting in {_SETTINGS}; do sysctl -qew $setting=1; done
# What udev's rule for veth does, of which the lab has neither: NetworkManager leaves pods alone.
mkdir -p {_NETWORKMANAGER}
printf '[keyfile]\\nunmanaged-devices=interface-name:pod*\\n' >{_NETWORKMANAGER}/overlay.conf
nmcli general reload conf
ip link add cni0 type bridge forward_delay 0
ip address add 10.42.$number.1/24 dev cni0
ip link set cni0 up
"""
_VXLAN = """
ip link add flannel.1 address 0a:58:0a:2a:$(printf %02x $number):00 \
    type vxlan id 1 local $address dev eth0 dstport 8472 nolearning
ip address add 10.42.$number.0/32 dev flannel.1
ip link set flannel.1 up
"""
_VXLAN_PEER = """
mac=0a:58:0a:2a:$(printf %02x $number):00
ip neighbour replace 10.42.$number.0 lladdr $mac dev flannel.1 nud permanent
bridge fdb append $mac dev flannel.1 dst $address
ip route add 10.42.$number.0/24 via 10.42.$number.0 dev flannel.1 onlink
"""
# Flannel's backend host-gw.
_NATIVE_PEER = """
ip route add 10.42.$number.0/24 via $address dev eth0
"""
_POD = """
ip netns add $pod
ip link add $pod master cni0 up type veth peer name eth0 netns $pod
ip -netns $pod link set lo up
ip -netns $pod address add 10.42.$number.$host/24 dev eth0
ip -netns $pod link set eth0 up
ip -netns $pod route add default via 10.42.$number.1
"""
_NOTHING = f"""
systemctl stop 'overlay-*.service'
for pod in $(ip netns list | cut -d' ' -f1); do
  ip link delete $pod
  ip netns delete $pod
done
ip route flush root 10.42.0.0/16
for link in flannel.1 cni0; do ip link delete $link; done
sysctl -qp /run/overlay.sysctl
# It would put a pod that it still knows into a zone, for longer than there is the pod.
timeout 60 sh -c "while nmcli -t -f DEVICE device | grep -q ^pod; do sleep 0.1; done"
rm -f /run/overlay.sysctl {_NETWORKMANAGER}/overlay.conf
rmdir --ignore-fail-on-non-empty {_NETWORKMANAGER}
nmcli general reload conf
"""

# Tells who asks it what its own name is, and from which address it was asked.
_LISTENER = """
import os, selectors, socket, struct, sys
IP_PKTINFO = 8
ready = selectors.DefaultSelector()
for port in sys.argv[2:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        held = socket.socket(type=kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", int(port)))
        if kind == socket.SOCK_STREAM:
            held.listen()
        else:
            held.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        ready.register(held, selectors.EVENT_READ)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    for key, _mask in ready.select():
        held = key.fileobj
        if held.type == socket.SOCK_STREAM:
            connection, peer = held.accept()
            with connection:
                connection.sendall(f"{sys.argv[1]} {peer[0]}".encode())
        else:
            _data, [(level, kind, info)], _flags, peer = held.recvmsg(100, 100)
            # The answer leaves from the address that was asked.
            info = struct.pack("i4s4x", 0, info[4:8])
            answer = f"{sys.argv[1]} {peer[0]}".encode()
            held.sendmsg([answer], [(level, kind, info)], 0, peer)
"""
# Prints who has answered where: "tcp/80 pod12 10.42.3.2".
_ASKER = """
import socket, subprocess, sys, threading
address = sys.argv[1]
def ask(which):
    protocol, _slash, port = which.partition("/")
    if protocol == "icmp":
        ping = ["ping", "-n", "-c", "1", "-W", "2", address]
        if subprocess.run(ping, stdout=subprocess.DEVNULL).returncode == 0:
            sys.stdout.write(f"{which} pong\\n")
        return
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    with socket.socket(type=kind) as connection:
        connection.settimeout(2)
        try:
            connection.connect((address, int(port)))
            connection.send(b"?")
            sys.stdout.write(f"{which} {connection.recv(100).decode()}\\n")
        except OSError:
            pass
for which in sys.argv[2:]:
    threading.Thread(target=ask, args=[which]).start()
"""


@dataclasses.dataclass(frozen=True)
class _Namespace:
    """The host of a machine, as far as Machine uses it, within one of its network namespaces."""

    host: Any
    name: str

    def run(self, command: str) -> Any:
        return self.host.run(f"ip netns exec {self.name} sh -c {shlex.quote(command)}")


@contextlib.contextmanager
def pods(
    nodes: Sequence[Any], answering: bool = True, native: bool = False
) -> Iterator[dict[str, list[Any]]]:
    """Join nodes by an overlay and hand out two pods of each, by the node's name.

    Pods are Machines. They answer on POD_PORT, and the nodes on the ports that pods may reach,
    unless services of theirs hold these already: C(answering) is False then. C(native) routes over
    eth0 instead of VXLAN.
    """
    addresses = {number: node.address() for number, node in enumerate(nodes, 1)}
    made: dict[str, list[Any]] = {}
    try:
        for number, node in enumerate(nodes, 1):
            hosts = {f"pod{number}{host}": host for host in (2, 3)}
            parts = [_filled(_NODE, number=number, address=addresses[number])]
            parts += [] if native else [_VXLAN]
            for peer in addresses.keys() - {number}:
                script = _NATIVE_PEER if native else _VXLAN_PEER
                parts.append(_filled(script, number=peer, address=addresses[peer]))
            for pod, host in hosts.items():
                parts.append(_filled(_POD, number=number, pod=pod, host=host))
            node.run("".join(parts))
            if answering:
                ports = guide.PODS_TO_NODES | guide.PODS_TO_SERVERS
                _listen(node, "", node.name, sorted(port for _tcp, port in ports))
            for pod in hosts:
                _listen(node, f"ip netns exec {pod}", pod, [POD_PORT])
            made[node.name] = [
                dataclasses.replace(node, name=pod, host=_Namespace(node.host, pod))
                for pod in hosts
            ]
        yield made
    finally:
        for node in nodes:
            node.host.run(_NOTHING)


@contextlib.contextmanager
def listening(machine: Any, ports: Iterable[int]) -> Iterator[None]:
    """Answer on ports of a machine, over TCP and over UDP."""
    try:
        _listen(machine, "", machine.name, ports)
        yield
    finally:
        machine.host.run(f"systemctl stop overlay-{machine.name}")


@contextlib.contextmanager
def port_open(machine: Any, port: int) -> Iterator[None]:
    """Open a port in the running firewall of a machine that is not a node."""
    ports = f"{{add}}-port={port}/tcp {{add}}-port={port}/udp"
    machine.run(f"firewall-cmd -q {ports.format(add='--add')}")
    try:
        yield
    finally:
        machine.host.run(f"firewall-cmd -q {ports.format(add='--remove')}")


def answers(
    asker: Any, address: str, ports: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], str]:
    """Return who answers on ports of an address, and whom: "pod12 10.42.3.2"."""
    listed = " ".join(f"{protocol}/{port}" for protocol, port in ports)
    out = asker.run(f"python3 -c {shlex.quote(_ASKER)} {address} {listed}")
    found = {}
    for line in out.splitlines():
        which, answer = line.split(" ", 1)
        protocol, port = which.split("/")
        found[protocol, int(port)] = answer
    return found


def ways(asker: Any, pod: Any) -> set[str]:
    """Return the ways by which a pod is reached and answers, of EVERY_WAY."""
    found = answers(asker, pod.address(), {(protocol, POD_PORT) for protocol in EVERY_WAY})
    for (protocol, _port), answer in found.items():
        # Between pods nobody is masqueraded.
        assert protocol == "icmp" or answer == f"{pod.name} {asker.address()}", answer
    return {protocol for protocol, _port in found}


def filters_bridges(node: Any) -> bool:
    """Whether what crosses a bridge of the node's passes its firewall."""
    return bool(node.run("sysctl -en net.bridge.bridge-nf-call-iptables").strip() == "1")


@contextlib.contextmanager
def without_rules(node: Any, policy: str, word: str) -> Iterator[None]:
    """Take the rules with a word out of a policy of the running firewall, for the while."""
    command = f"firewall-cmd -q --policy={policy}"
    listed = node.run(f"firewall-cmd --policy={policy} --list-rich-rules").splitlines()
    rules = [shlex.quote(rule) for rule in listed if word in rule]
    assert rules, listed
    try:
        for rule in rules:
            node.run(f"{command} --remove-rich-rule={rule}")
        yield
    finally:
        for rule in rules:
            node.run(f"{command} --add-rich-rule={rule}")


@contextlib.contextmanager
def services(
    nodes: Sequence[Any], endpoints: Endpoints, masqueraded: Endpoints | None = None
) -> Iterator[None]:
    """Do what kube-proxy and Flannel do: services lead to endpoints, pods leave as their node.

    C(masqueraded) leads to endpoints as if the node itself sent the packets, as node ports do. The
    nodes are numbered as those of pods() are.
    """
    rules = "".join(
        f"ip daddr {address} {protocol} dport {port} {mark} dnat to {endpoint}:{endpoint_port}; "
        for mark, some in (("", endpoints), ("meta mark set 0x4000", masqueraded or {}))
        for (address, port), (endpoint, endpoint_port) in some.items()
        for protocol in ("tcp", "udp")
    )
    table = f"""
    define own = 10.42.$number.0/24
    table ip overlay {{
      chain services {{ type nat hook prerouting priority -100; {rules} }}
      chain leave {{
        type nat hook postrouting priority 100;
        meta mark 0x4000 masquerade;
        ip saddr 10.42.0.0/16 ip daddr 10.42.0.0/16 return;
        ip saddr 10.42.0.0/16 ip daddr != 224.0.0.0/4 masquerade;
        ip saddr != 10.42.0.0/16 ip daddr $own return;
        ip saddr != 10.42.0.0/16 ip daddr 10.42.0.0/16 masquerade;
      }}
    }}
    """
    try:
        for number, node in enumerate(nodes, 1):
            numbered = table.replace("$number", str(number))
            node.run(f"echo {shlex.quote(numbered)} | nft -f -")
        yield
    finally:
        for node in nodes:
            node.host.run("nft delete table ip overlay")


def _filled(script: str, **values: Any) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items()) + script


def _listen(node: Any, within: str, name: str, ports: Iterable[int]) -> None:
    program = f"python3 -c {shlex.quote(_LISTENER)}"
    node.run(f"{START} --unit=overlay-{name} {within} {program} {name} {' '.join(map(str, ports))}")
