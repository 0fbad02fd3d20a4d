# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports that a source probes, their runs, and the address that it probes them from."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional, TypeVar

from .. import _ports

Kind = TypeVar("Kind")


class Endpoint(NamedTuple):
    """A port to probe, and the inventory name of the host that should answer."""

    destination: str
    address: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Target:
    """Ports of a host; C(full_size) asks for packets of the NIC's full size over UDP, too."""

    destination: str
    address: str
    protocol: str
    ports: tuple[_ports.Interval, ...]
    full_size: bool = False

    def __len__(self) -> int:
        """Return the number of ports."""
        return _ports.size(self.ports)

    def endpoints(self) -> Iterator[Endpoint]:
        """Return all ports in order."""
        for first, last in self.ports:
            for port in range(first, last + 1):
                yield Endpoint(self.destination, self.address, self.protocol, port)


def local_address(address: str) -> Optional[str]:
    """Return the address that this host reaches another one from, None if it has no route."""
    version = ipaddress.ip_address(address).version
    with socket.socket(
        socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        try:
            # A datagram socket only looks the route up; nothing is sent.
            sock.connect((address, 9))
            return str(sock.getsockname()[0])
        except OSError:
            return None


def group(
    endpoints: Iterable[Endpoint], outcomes: Iterable[Kind]
) -> Iterator[tuple[int, int, Kind]]:
    """Yield (first, last, outcome) for runs of neighbours with the same outcome."""
    pairs = zip(endpoints, outcomes)
    for outcome, run in itertools.groupby(pairs, key=lambda pair: pair[1]):
        ports = [endpoint.port for endpoint, _outcome in run]
        yield ports[0], ports[-1], outcome
