# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that one source has to find out in a run: its ports, full-size packets and the overlay."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from .._host import iproute
from . import arp, listener, overlay, path_mtu, workers
from .prober import (
    LOSS,
    MTU_HOLE,
    NOT_SEEN_AT_PORT,
    OPEN,
    OVERLAY_SILENT,
    PORT_IS_OPEN,
    TIMEOUT,
    Outcome,
    Outcomes,
)
from .targets import Endpoint, Target

_LOST = "some packets are answered and others are lost, whatever their size"


@dataclass(frozen=True)
class Found:
    """What a source has found out."""

    outcomes: Outcomes
    """In the order of the targets."""
    duplicates: dict[str, list[str]]
    """MACs of others by the address of this host that they have as well."""
    ended: list[int]
    """The listeners of this host that are gone, by their process numbers."""


def run(
    targets: Sequence[Target],
    token: str,
    timeout: float,
    renew: Sequence[dict[str, int]],
    ask: iproute.Ask = iproute.ask,
) -> Found:
    """Find all out. C(renew) names the listeners of this host, which last as long as this takes."""
    gone = listener.renew(renew)
    listeners = [process["pid"] for process in renew if process["pid"] not in gone]
    watch = arp.follow(listeners) or arp.watch(ask)
    outcomes = workers.probe(targets, token, timeout, lambda: listener.renew(renew))
    datagrams = _datagrams(targets, outcomes)
    if datagrams:
        listener.renew(renew)
        _look_deeper(datagrams, outcomes, token, timeout, ask)
    return Found(outcomes, watch.found(), listener.renew(renew))


@dataclass
class _Datagram:
    """An endpoint over UDP that stayed silent, or by which full-size IPv4 packets are sent."""

    position: int
    endpoint: Endpoint
    before: Outcome
    full_size: bool
    path: Optional[path_mtu.PathResult] = None
    peer: Optional[overlay.Peer] = None
    through_overlay: Optional[path_mtu.PathResult] = None

    @property
    def answered(self) -> bool:
        """Whether a listener of ours holds the port, which a witness does not."""
        return self.before == Outcome(OPEN)


def _datagrams(targets: Sequence[Target], outcomes: Outcomes) -> list[_Datagram]:
    """Return what is worth a closer look; of each address one endpoint for full-size packets."""
    found: list[_Datagram] = []
    base = 0
    for target in targets:
        start, base = base, base + len(target)
        if target.protocol != "udp":
            continue
        full_size = target.full_size and ":" not in target.address
        for endpoint, (position, outcome) in zip(target.endpoints(), outcomes.between(start, base)):
            if outcome.observed in (OPEN, TIMEOUT):
                found.append(_Datagram(position, endpoint, outcome, full_size))
    chosen: dict[str, _Datagram] = {}
    for one in found:
        if one.full_size:
            before = chosen.get(one.endpoint.address)
            if before is None or (one.answered and not before.answered):
                chosen[one.endpoint.address] = one
    for one in found:
        one.full_size = chosen.get(one.endpoint.address) is one
    return [one for one in found if one.full_size or not one.answered]


def _look_deeper(
    datagrams: Sequence[_Datagram],
    outcomes: Outcomes,
    token: str,
    timeout: float,
    ask: iproute.Ask,
) -> None:
    """Send full-size packets, and packets through the overlay, all at the same time."""
    silent = [(one.endpoint.address, one.endpoint.port) for one in datagrams if not one.answered]
    peers = overlay.find(ask, silent) if silent else {}
    addresses = sorted({one.endpoint.address for one in datagrams if one.full_size})
    interfaces = path_mtu.interfaces(ask, addresses) if addresses else {}
    ways: list[tuple[path_mtu.PathProbe, int]] = []
    ends: list[tuple[_Datagram, bool]] = []
    try:
        for one in datagrams:
            destination, address, _protocol, port = one.endpoint
            # Without a raw socket, or without a route, this proves nothing.
            with contextlib.suppress(OSError):
                if one.full_size and address in interfaces:
                    way: path_mtu.PathProbe = (
                        path_mtu.UdpWay(token, destination, address, port)
                        if one.answered
                        else path_mtu.EchoWay(address)
                    )
                    ways.append((way, interfaces[address].mtu))
                    ends.append((one, False))
                one.peer = None if one.answered else peers.get((address, port))
                if one.peer is not None:
                    way = path_mtu.EchoWay(one.peer.address, one.peer.device)
                    ways.append((way, one.peer.mtu))
                    ends.append((one, True))
        shaking = any(one.peer is not None and one.peer.is_wireguard for one, _inside in ends)
        first_seconds = overlay.HANDSHAKE_SECONDS if shaking else 0
        measured = path_mtu.measure(ways, timeout, first_seconds)
        for (one, through_overlay), passage in zip(ends, measured):
            if through_overlay:
                one.through_overlay = passage
            else:
                one.path = passage
    finally:
        for way, _wanted in ways:
            way.close()
    for one in datagrams:
        outcomes[one.position] = _verdict(one, interfaces.get(one.endpoint.address))


def _verdict(datagram: _Datagram, interface: Optional[path_mtu.Interface]) -> Outcome:
    """Say what became of an endpoint, now that more is known."""
    outcome = datagram.before
    if datagram.through_overlay is not None and datagram.peer is not None:
        port_is_open = outcome.observed == OPEN
        outcome = _through_overlay(datagram.through_overlay, datagram.peer, port_is_open)
    path = datagram.path
    if path is None or interface is None:
        return outcome
    # A rule that limits echoes says nothing about the port.
    if datagram.answered and (path.is_lossy or not path.largest) and outcome.observed == OPEN:
        return Outcome(LOSS, _LOST)
    if not path.is_hole:
        return outcome
    hole = f"{_hole(path, interface.name)}; an MTU hole on the way"
    if outcome.observed in (OPEN, MTU_HOLE):
        return Outcome(MTU_HOLE, hole)
    return Outcome(outcome.observed, "; besides, ".join(filter(None, [outcome.detail, hole])))


def _through_overlay(
    passage: path_mtu.PathResult, peer: overlay.Peer, port_is_open: bool
) -> Outcome:
    where = f"{peer.address} behind {peer.device}"
    if not passage.largest:
        but = f", {PORT_IS_OPEN}" if port_is_open else ""
        return Outcome(OVERLAY_SILENT, f"through the overlay: {where} did not answer{but}")
    if passage.is_lossy:
        return Outcome(LOSS, f"through the overlay to {where}: {_LOST}")
    if passage.is_hole:
        return Outcome(MTU_HOLE, f"through the overlay to {where}: {_hole(passage, peer.device)}")
    # WireGuard sends both directions by one port, so a stateful firewall admits what answers.
    but = f", {NOT_SEEN_AT_PORT}" if peer.is_wireguard and not port_is_open else ""
    return Outcome(OPEN, f"through the overlay: {where} answered{but}")


def _hole(passage: path_mtu.PathResult, interface: str) -> str:
    said = (
        f"small packets pass, but none of more than {passage.largest} bytes does: the interface "
        f"{interface} says {passage.wanted}"
    )
    message = passage.message
    if message is None or not message.is_too_big:
        return said
    takes = f" (it takes {message.next_hop_mtu})" if message.next_hop_mtu else ""
    return f"{said}, and {message.sender} says by ICMP that fragmentation is needed{takes}"
