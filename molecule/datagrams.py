# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send datagrams to a machine, and tell which of them a process there receives."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import Any

_DIRECTORY = "/run/datagrams"
_READY = f"{_DIRECTORY}/ready"
_RESULT = f"{_DIRECTORY}/result"

# Ends at a datagram that the machine sends to itself, so it has seen all that came before.
_LISTENER = f"""
import json, os, select, socket, sys
sockets = {{}}
for port in map(int, sys.argv[1:]):
    one = socket.socket(type=socket.SOCK_DGRAM)
    one.bind(("", port))
    sockets[one] = port
open("{_READY}", "w").close()
received, ended = set(), False
while not ended:
    for one in select.select(list(sockets), [], [])[0]:
        if one.recv(100) == b"end":
            ended = True
        else:
            received.add(sockets[one])
with open("{_RESULT}.new", "w") as stream:
    json.dump(sorted(received), stream)
os.rename("{_RESULT}.new", "{_RESULT}")
"""
# Three of each, since one may be lost while the address is resolved. An error that an ICMP
# message has caused belongs to the datagram before.
_SENDER = """
import contextlib, socket, sys, time
address, text, tries, *ports = sys.argv[1:]
for _try in range(int(tries)):
    for port in map(int, ports):
        with socket.socket(type=socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
            one.sendto(text.encode(), (address, port))
    time.sleep(0.2)
"""


def received(source: Any, destination: Any, address: str, ports: Collection[int]) -> set[int]:
    """Send datagrams from one machine to ports of an address of another; return which arrive."""
    numbers = " ".join(map(str, ports))
    destination.run(
        f"rm -rf {_DIRECTORY}; mkdir {_DIRECTORY}; "
        f"(timeout 120 python3 -c {shlex.quote(_LISTENER)} {numbers} >{_DIRECTORY}/log 2>&1 &); "
        + _wait_for(_READY)
    )
    source.run(f"python3 -c {shlex.quote(_SENDER)} {address} knock 3 {numbers}")
    last = max(ports)
    result = destination.run(
        f"python3 -c {shlex.quote(_SENDER)} 127.0.0.1 end 1 {last}; "
        f"{_wait_for(_RESULT)}; cat {_RESULT}; rm -r {_DIRECTORY}"
    )
    return set(json.loads(result))


def _wait_for(path: str) -> str:
    return (
        f"timeout 60 sh -c 'until [ -e {path} ]; do sleep 0.05; done' || "
        f"{{ cat {_DIRECTORY}/log >&2; exit 1; }}"
    )
