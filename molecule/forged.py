# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send raw packets with forged source addresses and look for them behind the firewall."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import overlay

# The source port tells a packet from the others. No connection of a machine's own has such a port:
# Linux chooses 32768 to 60999.
_FIRST_MARK = 61000
_MARKS = itertools.count(_FIRST_MARK)
# Seconds that genuine packets may take to arrive, on a busy machine.
_PATIENCE = 60

# Sends below the firewall of its own machine, to the MAC address of the node.
_SENDER = r"""
import json, socket, struct, subprocess, sys, time
nic, address = sys.argv[1:3]
command = ["ip", "-json", "neighbour", "show", "to", address, "dev", nic]
for _try in range(60):
    subprocess.run(["ping", "-qnc1", "-W1", address], stdout=subprocess.DEVNULL)
    [entry] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if "lladdr" in entry:
        break
mac = bytes.fromhex(entry["lladdr"].replace(":", ""))
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
def packet(mark, source, destination, protocol, port):
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    if protocol == "tcp":
        number = 6
        body = struct.pack("!HHIIBBHHH", mark, port, 1, 0, 0x50, 0x02, 1000, 0, 0)
        pseudo = addresses + struct.pack("!HH", number, len(body))
        body = body[:16] + struct.pack("!H", checksum(pseudo + body)) + body[18:]
    else:
        number = 17
        body = struct.pack("!HHHH", mark, port, 12, 0) + b"?   "
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), mark, 0, 64, number, 0) + addresses
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
for one in json.load(sys.stdin):
    wire.sendto(packet(*one), (nic, 0x0800, 0, 0, mac))
    time.sleep(0.002)
"""
# Prints the marks of the packets that the host answers and of those that arrive in a pod.
_WATCHER = r"""
import ctypes, os, selectors, socket, sys
libc = ctypes.CDLL(None)
OUTGOING, ETH_P_ALL, CLONE_NEWNET = 4, 3, 0x40000000
first, last = int(sys.argv[1]), int(sys.argv[2])
ready = selectors.DefaultSelector()
for name in ["", *sys.argv[3:]]:
    if name:
        assert libc.setns(os.open(f"/run/netns/{name}", os.O_RDONLY), CLONE_NEWNET) == 0
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    ready.register(wire, selectors.EVENT_READ, name)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    for key, _mask in ready.select():
        packet, (_nic, kind, direction, *_rest) = key.fileobj.recvfrom(100)
        if kind != 0x0800 or packet[9] not in (6, 17):
            continue
        size = (packet[0] & 15) * 4
        ports = [int.from_bytes(packet[size + at : size + at + 2], "big") for at in (0, 2)]
        mark = ports[0] if key.data else ports[1]
        if (direction == OUTGOING) != bool(key.data) and first <= mark <= last:
            print(key.data or "host", mark, flush=True)
"""


@dataclasses.dataclass(frozen=True)
class Packet:
    """A packet that a machine sends out of a NIC to a node, for an address of it or of its pods."""

    sender: str
    nic: str
    node: str
    next_hop: str
    source: str
    destination: str
    protocol: str
    port: int
    # The port is published and leads to a pod.
    published: bool = False

    @property
    def to_pod(self) -> bool:
        """Whether a pod is the destination."""
        return self.published or self.destination != self.next_hop


def arrived(
    machines: Mapping[str, Any],
    pods: Mapping[str, Sequence[Any]],
    lies: Sequence[Packet],
    genuine: Sequence[Packet],
) -> set[Packet]:
    """Send packets and return those that a listener of the node answers or that reach a pod.

    The genuine packets are sent last and waited for. By then, all earlier packets have arrived.
    """
    # Never the same twice: the kernel still tracks what an earlier call's packets opened.
    marked = {next(_MARKS): packet for packet in [*lies, *genuine]}
    watched = sorted({packet.node for packet in marked.values()})
    last = max(marked)
    with contextlib.ExitStack() as stack:
        logs = {
            name: stack.enter_context(_watching(machines[name], pods[name], last))
            for name in watched
        }
        groups: dict[tuple[str, str, str], list[Any]] = {}
        for mark, packet in marked.items():
            key = (packet.sender, packet.nic, packet.next_hop)
            groups.setdefault(key, []).append(
                (mark, packet.source, packet.destination, packet.protocol, packet.port)
            )
        for (sender, nic, next_hop), frames in groups.items():
            program = f"python3 -c {shlex.quote(_SENDER)} {nic} {next_hop}"
            machines[sender].run(f"echo {shlex.quote(json.dumps(frames))} | {program}")
        deadline = time.monotonic() + _PATIENCE
        while True:
            seen = {
                (name, where != "host", int(mark))
                for name, log in logs.items()
                for where, mark in (line.split() for line in machines[name].run(log).splitlines())
            }
            found = {
                packet
                for mark, packet in marked.items()
                if (packet.node, packet.to_pod, mark) in seen
            }
            if found >= set(genuine) or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


@contextlib.contextmanager
def _watching(node: Any, pods: Iterable[Any], last: int) -> Iterator[str]:
    log = "/run/overlay.watch"
    unit = f"overlay-watch-{node.name}"
    arguments = " ".join([str(_FIRST_MARK), str(last), *(pod.name for pod in pods)])
    try:
        node.run(
            f"rm -f {log}; {overlay.START} --unit={unit} -p StandardOutput=file:{log} "
            f"python3 -c {shlex.quote(_WATCHER)} {arguments}"
        )
        yield f"cat {log}"
    finally:
        node.host.run(f"systemctl stop {unit}; rm -f {log}")
