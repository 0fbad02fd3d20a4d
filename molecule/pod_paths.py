# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe all paths of the pod network with packets, with few SSH connections."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import forged
import guide
import overlay

# What a probe observes, besides the answer of a listener.
PONG, REFUSED, BLOCKED = "pong", "refused", "blocked"
SSH = ("tcp", 22)
# The listeners hold every port of the guide's but this: the kernel's VXLAN device has it.
_VXLAN = ("udp", 8472)
HOST_PORTS = guide.EVERYTHING - {_VXLAN}
EVERY_PROTOCOL = ("tcp", "udp", "icmp")
# Ports of services that lead to pods and to the API, and published ports.
SERVICE, HOST_PORT, NODE_PORT = 443, 18080, 31080
PATHS = (
    "pod to pod of its own node",
    "pod to pod of another node",
    "pod to service on its own node",
    "pod to service on another node",
    "pod to API service on its own node",
    "pod to API service on another node",
    "pod to its own host",
    "pod to another host",
    "host to pod of its own node",
    "host to pod of another node",
    "client to host port",
    "client to node port",
    "client to node port of another node",
    "pod to the outside world",
)
# Seconds that a probe waits for an answer.
_PATIENCE = 3

# Sends each probe from a thread that has entered the network namespace of its source.
_PROBER = r"""
import ctypes, json, os, socket, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
patience = int(sys.argv[1])
def enter(name):
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    if libc.setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(descriptor)
def observe(namespace, protocol, address, port):
    if namespace:
        enter(namespace)
    if protocol == "icmp":
        ping = ["ping", "-nqc3", "-i0.3", "-W1", address]
        done = subprocess.run(ping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return "blocked" if done.returncode else "pong"
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    with socket.socket(type=kind) as connection:
        # A datagram may be lost on a busy machine; TCP repeats by itself.
        tries = patience if protocol == "udp" else 1
        connection.settimeout(patience / tries)
        try:
            connection.connect((address, port))
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "blocked"
        for _try in range(tries):
            try:
                if protocol == "udp":
                    connection.send(b"?")
                return connection.recv(100).decode().strip()
            except ConnectionRefusedError:
                return "refused"
            except socket.timeout:
                pass
            except OSError:
                return "blocked"
        return "blocked"
probes = json.load(sys.stdin)
answers = ["error"] * len(probes)
def run(index):
    answers[index] = observe(*probes[index])
threads = [threading.Thread(target=run, args=[index]) for index in range(len(probes))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
json.dump(answers, sys.stdout)
"""


@dataclasses.dataclass(frozen=True)
class Probe:
    """A packet to send: from a machine, or from a pod of it, to a port of an address."""

    source: str
    namespace: str
    protocol: str
    address: str
    port: int


# What is expected of each probe, by the name of the path that it takes.
Paths = dict[str, dict[Probe, str]]


def observe(machines: Mapping[str, Any], probes: Iterable[Probe]) -> dict[Probe, str]:
    """Send all probes, with one SSH connection a source, and return what each observes."""
    by_source: dict[str, list[Probe]] = {}
    for probe in probes:
        by_source.setdefault(probe.source, []).append(probe)

    def run(source: str) -> dict[Probe, str]:
        sent = by_source[source]
        listed = json.dumps([(one.namespace, one.protocol, one.address, one.port) for one in sent])
        program = f"python3 -c {shlex.quote(_PROBER)} {_PATIENCE}"
        out = machines[source].run(f"echo {shlex.quote(listed)} | {program}")
        return dict(zip(sent, json.loads(out)))

    with ThreadPoolExecutor() as pool:
        return {
            probe: answer
            for observed in pool.map(run, by_source)
            for probe, answer in observed.items()
        }


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Nodes joined by an overlay, and an external client.

    C(external) is the NIC of the nodes that external clients reach. In C(native) mode the nodes
    route the pods' packets over C(eth0). C(trusting) nodes let their pods reach all their ports.
    """

    nodes: Sequence[Any]
    pods: Mapping[str, Sequence[Any]]
    client: Any
    external: str = "eth0"
    native: bool = False
    trusting: bool = False

    @property
    def machines(self) -> dict[str, Any]:
        """The machines that send probes, by name."""
        return {machine.name: machine for machine in (*self.nodes, self.client)}

    def numbered(self) -> list[tuple[int, Any]]:
        """Return the nodes with the number that their pod network has."""
        return list(enumerate(self.nodes, 1))


@contextlib.contextmanager
def cluster(
    machine: Any, names: Sequence[str], external: str, native: bool = False, trusting: bool = False
) -> Iterator[Cluster]:
    """Join nodes by an overlay, with the listeners, services and published ports of the paths."""
    nodes, client = [machine(name) for name in names], machine("client1")
    with overlay.pods(nodes, answering=False, native=native) as pods:
        made = Cluster(nodes, pods, client, external, native, trusting)
        with _joined(made):
            yield made


@contextlib.contextmanager
def _joined(cluster: Cluster) -> Iterator[None]:
    ports = sorted({port for _protocol, port in HOST_PORTS})
    addresses = _addresses(cluster)
    with contextlib.ExitStack() as stack:
        for node in cluster.nodes:
            stack.enter_context(overlay.listening(node, ports))
        stack.enter_context(overlay.listening(cluster.client, [overlay.POD_PORT]))
        stack.enter_context(overlay.port_open(cluster.client, overlay.POD_PORT))
        endpoints, masqueraded = {}, {}
        for number, node in cluster.numbered():
            following = cluster.nodes[number % len(cluster.nodes)]
            own = cluster.pods[node.name][1].address()
            pod = (own, overlay.POD_PORT)
            other = (cluster.pods[following.name][1].address(), overlay.POD_PORT)
            endpoints[f"10.43.1.{number}", SERVICE] = pod
            endpoints[f"10.43.0.{number}", SERVICE] = (addresses[node.name], overlay.API_PORT)
            published = node.address(cluster.external)
            for address in sorted({published, addresses[node.name]}):
                endpoints[address, HOST_PORT] = pod
            masqueraded[published, NODE_PORT] = other
            masqueraded[published, NODE_PORT + 1] = pod
        stack.enter_context(overlay.services(cluster.nodes, endpoints, masqueraded))
        yield


def expected(cluster: Cluster) -> Paths:
    """Return every path with what its probes should observe: the answering machine and address."""
    paths: Paths = {}
    addresses = _addresses(cluster)
    segregated = cluster.external != "eth0"
    client = cluster.client.address()

    def add(path: str, source: Any, protocol: str, address: str, port: int, answer: str) -> None:
        pod = source.name.startswith("pod")
        machine = next(
            (node.name for node in cluster.nodes if source in cluster.pods[node.name]), source.name
        )
        probe = Probe(machine, source.name if pod else "", protocol, address, port)
        paths.setdefault(path, {})[probe] = PONG if protocol == "icmp" else answer

    for number, node in cluster.numbered():
        pod, second = cluster.pods[node.name]
        for peer_number, peer in cluster.numbered():
            same = peer is node
            target = second if same else cluster.pods[peer.name][0]
            where = "its own node" if same else "another node"
            bridge = not same or overlay.filters_bridges(node)
            for protocol in EVERY_PROTOCOL:
                listener = (protocol, target.address(), overlay.POD_PORT)
                add(f"pod to pod of {where}", pod, *listener, f"{target.name} {pod.address()}")
                if same:
                    sender = f"10.42.{number}.1"
                else:
                    sender = addresses[node.name] if cluster.native else f"10.42.{number}.0"
                add(f"host to pod of {where}", node, *listener, f"{target.name} {sender}")
            for protocol in ("tcp", "udp") if bridge else ():
                answer = f"{cluster.pods[peer.name][1].name} {pod.address()}"
                service = (protocol, f"10.43.1.{peer_number}", SERVICE)
                add(f"pod to service on {where}", pod, *service, answer)
            if "server" in peer.name:
                seen = pod.address() if same else addresses[node.name]
                service = ("tcp", f"10.43.0.{peer_number}", SERVICE)
                add(f"pod to API service on {where}", pod, *service, f"{peer.name} {seen}")
            for nic in ["eth0", cluster.external] if segregated else ["eth0"]:
                admitted = _admitted(node.name, peer.name, nic, cluster.external)
                if same and cluster.trusting:
                    admitted = HOST_PORTS
                path = f"pod to {'its own' if same else 'another'} host"
                seen = pod.address() if same else node.address(nic)
                for protocol, port in sorted(HOST_PORTS):
                    answer = f"{peer.name} {seen}" if (protocol, port) in admitted else BLOCKED
                    add(path, pod, protocol, peer.address(nic), port, answer)
                # The default zone admits SSH, and zone k3s-pods is a copy of it.
                add(path, pod, *(SSH[0], peer.address(nic), SSH[1]), "SSH")
        outward = node.address(cluster.external)
        for protocol in EVERY_PROTOCOL:
            answer = f"{cluster.client.name} {outward}"
            add("pod to the outside world", pod, protocol, client, overlay.POD_PORT, answer)
        following = cluster.nodes[number % len(cluster.nodes)]
        over = addresses[node.name] if cluster.native else f"10.42.{number}.0"
        other = cluster.pods[following.name][1].name
        for protocol in ("tcp", "udp"):
            for path, port, answer in (
                ("client to host port", HOST_PORT, f"{second.name} {client}"),
                ("client to node port of another node", NODE_PORT, f"{other} {over}"),
                ("client to node port", NODE_PORT + 1, f"{second.name} 10.42.{number}.1"),
            ):
                add(path, cluster.client, protocol, outward, port, answer)
    return paths


def deviations(cluster: Cluster, paths: Paths) -> dict[str, list[str]]:
    """Send the probes of all paths and describe, by path, those that differ."""
    observed = observe(cluster.machines, [probe for path in paths.values() for probe in path])
    found: dict[str, list[str]] = {}
    for path, probes in paths.items():
        for probe, answer in probes.items():
            seen = observed[probe]
            if seen != answer and not (answer == "SSH" and seen.startswith("SSH-")):
                found.setdefault(path, []).append(
                    f"{probe.source} {probe.namespace} {probe.protocol} {probe.address} "
                    f"{probe.port}: {seen!r}, expected {answer!r}"
                )
    return found


def _addresses(cluster: Cluster) -> dict[str, str]:
    return {node.name: node.address() for node in cluster.nodes}


def _admitted(source: str, destination: str, nic: str, external: str) -> set[tuple[str, int]]:
    segregated = external != "eth0"
    if source == destination:
        ports = guide.pods_admitted(destination)
        return ports if segregated else ports | guide.OUTSIDE_TO_NODES
    # Flannel masquerades pods towards other nodes.
    if not segregated:
        return guide.admitted(source, destination) - {_VXLAN}
    if nic == external:
        return guide.OUTSIDE_TO_NODES
    nodes = guide.NODES_TO_NODES - {_VXLAN}
    if destination.startswith("server"):
        nodes |= guide.NODES_TO_SERVERS
        if source.startswith("server"):
            nodes |= guide.SERVERS_TO_SERVERS
    return nodes


def forge(
    machine: Any, cluster: Cluster, forgers: Iterable[tuple[str, str, str]]
) -> tuple[set[forged.Packet], set[forged.Packet]]:
    """Send packets with forged pod addresses to the first node; return them and those that arrived.

    C(forgers) are machines, with their NIC and the NIC of the node that receives the packets.
    Genuine packets of the same machines to published ports and to SSH have to arrive.
    """
    node = cluster.nodes[0]
    machines = dict(cluster.machines)
    lies, genuine = [], []
    for name, nic, into in forgers:
        sender = machines[name] = machine(name)
        found = _forged_packets(cluster, sender, nic, node, into)
        lies += found[0]
        genuine += found[1]
    arrived = forged.arrived(machines, cluster.pods, lies, genuine)
    assert set(genuine) <= arrived, set(genuine) - arrived
    return set(lies), arrived & set(lies)


def _forged_packets(
    cluster: Cluster, sender: Any, nic: str, node: Any, into: str
) -> tuple[list[forged.Packet], list[forged.Packet]]:
    """Return packets with forged pod addresses from a machine, and genuine ones that arrive.

    C(nic) is the sender's, C(into) the NIC of the node that receives them. Ports that admit anyone
    on that NIC are left out.
    """
    next_hop = node.address(into)
    own = cluster.pods[node.name][0].address()
    elsewhere = next(pods[0].address() for name, pods in cluster.pods.items() if name != node.name)
    sources = [own, elsewhere, "10.42.200.9", "10.43.0.1"]
    anyone = guide.OUTSIDE_TO_NODES if into == cluster.external else set()
    ports = {port for _tcp, port in guide.pods_admitted(node.name) - anyone}
    targets = [(next_hop, port) for port in sorted(ports)]
    targets += [(pod.address(), overlay.POD_PORT) for pod in cluster.pods[node.name]]

    def packet(source: str, destination: str, protocol: str, port: int) -> forged.Packet:
        return forged.Packet(
            sender.name, nic, node.name, next_hop, source, destination, protocol, port
        )

    lies = [
        packet(source, destination, protocol, port)
        for source in sources
        for destination, port in targets
        for protocol in ("tcp", "udp")
        if source != destination
    ]
    # Towards the host and towards a pod, published ports let anyone in.
    truth = sender.address(nic)
    genuine = [
        dataclasses.replace(packet(truth, next_hop, protocol, HOST_PORT), published=True)
        for protocol in ("tcp", "udp")
    ]
    genuine.append(packet(truth, next_hop, *SSH))
    return lies, genuine
