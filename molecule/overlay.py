# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods without a K3s: what Flannel and the CNI's bridge plugin make of nodes, made by hand.

A pod is a network namespace with an address of the pods' network, behind the bridge cni0; VXLAN
devices on port 8472 join the nodes' bridges. None of these devices is given a firewalld zone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import guide

# The guide's rows for pods, besides what anyone reaches.
PODS_TO_NODES = {("tcp", port) for port in (6379, 9093, 9095, 8086)}
# Where pods listen; no row of the guide's has it.
POD_PORT = 7777
# The endpoint of the service "kubernetes".
API_PORT = 6443
EVERY_WAY = {"tcp", "udp", "icmp"}
# firewalld before 1.0 forwards every ping.
ALWAYS = {"icmp"}

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
ip link add flannel.1 address 0a:58:0a:2a:$(printf %02x $number):00 \
    type vxlan id 1 local $address dev eth0 dstport 8472 nolearning
ip address add 10.42.$number.0/32 dev flannel.1
ip link set flannel.1 up
"""
_PEER = """
mac=0a:58:0a:2a:$(printf %02x $number):00
ip neighbour replace 10.42.$number.0 lladdr $mac dev flannel.1 nud permanent
bridge fdb append $mac dev flannel.1 dst $address
ip route add 10.42.$number.0/24 via 10.42.$number.0 dev flannel.1 onlink
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
for link in flannel.1 cni0; do ip link delete $link; done
sysctl -qp /run/overlay.sysctl
# It would put a pod that it still knows into a zone, for longer than there is the pod.
timeout 10 sh -c "while nmcli -t -f DEVICE device | grep -q ^pod; do sleep 0.1; done"
rm -f /run/overlay.sysctl {_NETWORKMANAGER}/overlay.conf
rmdir --ignore-fail-on-non-empty {_NETWORKMANAGER}
nmcli general reload conf
"""

# Tells who asks it what its own name is, and from which address it was asked.
_LISTENER = """
import os, selectors, socket, sys
ready = selectors.DefaultSelector()
for port in sys.argv[2:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        held = socket.socket(type=kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", int(port)))
        if kind == socket.SOCK_STREAM:
            held.listen()
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
            peer = held.recvfrom(100)[1]
            held.sendto(f"{sys.argv[1]} {peer[0]}".encode(), peer)
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
def pods(nodes: Sequence[Any], answering: bool = True) -> Iterator[dict[str, list[Any]]]:
    """Join nodes by an overlay and hand out two pods of each, by the node's name.

    Pods are Machines. They answer on POD_PORT, and the nodes on the ports that pods may reach,
    unless services of theirs hold these already: C(answering) is False then.
    """
    addresses = {number: node.address() for number, node in enumerate(nodes, 1)}
    made: dict[str, list[Any]] = {}
    try:
        for number, node in enumerate(nodes, 1):
            hosts = {f"pod{number}{host}": host for host in (2, 3)}
            parts = [_filled(_NODE, number=number, address=addresses[number])]
            for peer in addresses.keys() - {number}:
                parts.append(_filled(_PEER, number=peer, address=addresses[peer]))
            for pod, host in hosts.items():
                parts.append(_filled(_POD, number=number, pod=pod, host=host))
            node.run("".join(parts))
            if answering:
                _listen(node, "", node.name, [*(port for _tcp, port in PODS_TO_NODES), API_PORT])
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


def reached(pod: Any, address: str) -> set[tuple[str, int]]:
    """Return the ports of the guide's, of a node's address, to which a pod finds an open path."""
    states = pod.nmap(address, guide.EVERYTHING)
    found = {one for one, state in states.items() if state in ("open", "closed")}
    # Of a datagram that comes through to a port that Flannel holds, nmap sees nothing.
    assert {states[one] for one in guide.EVERYTHING - found} == {"filtered"}, states
    return found


def filters_bridges(node: Any) -> bool:
    """Whether what crosses a bridge of the node's passes its firewall."""
    return node.run("sysctl -en net.bridge.bridge-nf-call-iptables").strip() == "1"


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
    nodes: Sequence[Any], endpoints: Mapping[tuple[str, int], tuple[str, int]]
) -> Iterator[None]:
    """Do what kube-proxy and Flannel do: services lead to endpoints, pods leave as their node."""
    rules = "".join(
        f"ip daddr {address} tcp dport {port} dnat to {endpoint}:{endpoint_port}; "
        for (address, port), (endpoint, endpoint_port) in endpoints.items()
    )
    table = f"""
    table ip overlay {{
      chain services {{ type nat hook prerouting priority -100; {rules} }}
      chain leave {{
        type nat hook postrouting priority 100;
        ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 masquerade;
      }}
    }}
    """
    try:
        for node in nodes:
            node.run(f"echo {shlex.quote(table)} | nft -f -")
        yield
    finally:
        for node in nodes:
            node.host.run("nft delete table ip overlay")


def _filled(script: str, **values: Any) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items()) + script


def _listen(node: Any, within: str, name: str, ports: Iterable[int]) -> None:
    # Comes back when the listener has bound its ports.
    start = f"systemd-run -q --collect --unit=overlay-{name} --service-type=notify"
    program = f"python3 -c {shlex.quote(_LISTENER)}"
    node.run(f"{start} {within} {program} {name} {' '.join(map(str, ports))}")
