# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was observed: the outcomes of the sources, and the listeners of the destinations."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import prober

from .._probe_plan.plan import Expectation
from .._topology.model import Topology
from .firewalls import Firewall

# Only a host that is reached, and whose packets arrive, causes these.
_ANSWERED = frozenset(
    {
        prober.ACCEPTED,
        prober.LOSS,
        prober.MTU_HOLE,
        prober.OPEN,
        prober.REFUSED,
        prober.REJECTED,
        prober.WRONG_HOST,
    }
)


class Seen:
    """What was observed: the outcomes of every source, and the listeners of every destination."""

    def __init__(
        self,
        probes: Mapping[str, Optional[Mapping[str, Any]]],
        listeners: Mapping[str, Optional[Mapping[str, Any]]],
        mode: str,
        firewalls: Optional[Mapping[str, Firewall]] = None,
    ) -> None:
        """Take the results of port_probe by source, and the others by destination."""
        self.mode = mode
        self._firewalls = firewalls or {}
        self._addresses: dict[str, str] = {}
        self._busy = _places(listeners, "busy")
        self._witnessed = _places(listeners, "witnessed")
        self._reserved = {
            (name, one["address"], one["protocol"], one["port"]): one["unit"]
            for name, result in listeners.items()
            if result is not None
            for one in result.get("reserved", ())
        }
        self._elsewhere = {
            (name, one["address"], one["protocol"], one["port"]): one["held_at"]
            for name, result in listeners.items()
            if result is not None
            for one in result.get("bound_elsewhere", ())
        }
        self._errors = {
            name: result.get("errors", [])
            for name, result in listeners.items()
            if result is not None
        }
        self._ended = {
            name for name, result in probes.items() if result is not None and result.get("ended")
        }
        self._duplicates: dict[str, Mapping[str, Sequence[str]]] = {
            name: result.get("duplicates", {})
            for name, result in probes.items()
            if result is not None
        }
        self._runs: dict[str, dict[tuple[str, str], list[tuple[int, int, str, str]]]] = {}
        self._sources: dict[str, Mapping[str, str]] = {}
        self._unrouted: dict[str, set[str]] = {}
        for source, result in probes.items():
            if result is None or "results" not in result:
                continue
            runs: dict[tuple[str, str], list[tuple[int, int, str, str]]] = defaultdict(list)
            for one in result["results"]:
                runs[one["address"], one["protocol"]].append(
                    (one["first"], one["last"], one["observed"], one["detail"])
                )
            self._runs[source] = {key: sorted(value) for key, value in runs.items()}
            self._sources[source] = _addresses(result.get("sources"))
            self._unrouted[source] = _without_route(result.get("sources"))

    def outcome(self, expectation: Expectation, port: int) -> tuple[str, str]:
        """Return what a source observed of a port, and the detail that goes with it."""
        if expectation["source"] not in self._runs:
            return prober.ERROR, "the source did not report; see its own failure above"
        runs = self._runs[expectation["source"]].get(
            (expectation["address"], expectation["protocol"]), []
        )
        index = bisect_right(runs, port, key=lambda run: run[0]) - 1
        if index < 0 or runs[index][1] < port:
            return prober.ERROR, "the source did not probe this port"
        return runs[index][2], runs[index][3]

    def duplicate(self, name: str, address: Optional[str]) -> str:
        """Say who else has an address of a node, where that has found somebody."""
        macs = self._duplicates.get(name, {}).get(address or "", ())
        if not macs:
            return ""
        return (
            f"another host has {address} of {name} as well (its NIC is {', '.join(macs)}): give "
            f"the address to {name} alone"
        )

    def way_back(self, topology: Topology, expectation: Expectation, port: int) -> str:
        """Return what the destination observed of the same port of the source."""
        for node in topology["nodes"]:
            if node["name"] == expectation["source"]:
                back = expectation.copy()
                back["source"], back["destination"] = expectation["destination"], node["name"]
                back["address"] = node["address"]
                return self.outcome(back, port)[0]
        return ""

    def listens(self, name: str) -> bool:
        """Tell whether a node reported on its listeners."""
        return name in self._busy

    def is_busy(self, expectation: Expectation, port: int) -> bool:
        """Tell whether a process of its own holds the port on the destination."""
        key = (expectation["address"], expectation["protocol"], port)
        return key in self._busy.get(expectation["destination"], ())

    def held_at(self, expectation: Expectation, port: int) -> str:
        """Return at which other addresses alone a process of the destination holds the port."""
        key = (expectation["address"], expectation["protocol"], port)
        return ", ".join(self._elsewhere.get((expectation["destination"], *key), ()))

    def reserved_for(self, expectation: Expectation, port: int) -> str:
        """Return the unit for which the destination left a port free, empty if there is none."""
        key = (expectation["address"], expectation["protocol"], port)
        return str(self._reserved.get((expectation["destination"], *key), ""))

    def is_witnessed(self, expectation: Expectation, port: int) -> bool:
        """Tell whether what reaches the port is seen, whoever holds it."""
        key = (expectation["address"], expectation["protocol"], port)
        return key in self._witnessed.get(expectation["destination"], ())

    def trouble(self, expectation: Expectation, port: int, observed: str) -> str:
        """Say what is wrong with the listener on a port, where the destination has told."""
        destination = expectation["destination"]
        for one in self._errors.get(destination, ()):
            if (one["address"], one["protocol"]) == (
                expectation["address"],
                expectation["protocol"],
            ) and one["first"] <= port <= one["last"]:
                return f"{destination} can't listen there: {one['detail']}"
        # Over TCP, nobody listening is a refusal; silence over UDP may be that as well.
        doubtful = {prober.REFUSED, prober.ACCEPTED}
        if expectation["protocol"] == "udp":
            doubtful |= {prober.TIMEOUT, prober.LOSS}
        unit = self.reserved_for(expectation, port)
        if unit and observed in {*doubtful, prober.OVERLAY_SILENT}:
            start = "it" if " or " in unit else f"it (systemctl start {unit})"
            return (
                f"{unit} does not run on {destination} and may need this port when it starts, so "
                f"that nothing listens there and nothing is proved: start {start}, and validate "
                "again"
            )
        if observed not in doubtful or self.is_busy(expectation, port):
            return ""
        if destination in self._ended:
            return (
                f"the listener of {destination} has ended, so nothing is proved (killed, or out of "
                "memory or file descriptors: journalctl -k there); validate again"
            )
        if self.mode != "live" and not self.listens(destination):
            return f"{destination} has started no listeners; see its own failure above"
        return ""

    def firewall(self, name: str) -> Optional[Firewall]:
        """Return the firewall of a node if it could be read, at least in part."""
        return self._firewalls.get(name)

    def address(self, topology: Topology, name: str) -> Optional[str]:
        """Return the address of a node, from which it sends; None for other hosts."""
        if not self._addresses:
            self._addresses = {node["name"]: node["address"] for node in topology["nodes"]}
        return self._addresses.get(name)

    def has_no_route(self, name: str, address: str) -> bool:
        """Return whether a host has reported that it has no route to an address."""
        return address in self._unrouted.get(name, ())

    def own_address(self, name: str, peer: str) -> Optional[str]:
        """Return the address that a host sends from to a peer's address, if it is known."""
        return self._sources.get(name, {}).get(peer)

    def is_reached(self, name: str, address: str) -> bool:
        """Return whether an address has answered any probe of a host."""
        return any(
            observed in _ANSWERED
            for (probed, _protocol), runs in self._runs.get(name, {}).items()
            if probed == address
            for _first, _last, observed, _detail in runs
        )

    def came_from(self, expectation: Expectation) -> Optional[str]:
        """Return the address that a source reached a destination from, if it is known."""
        return self.own_address(expectation["source"], expectation["address"])


def _addresses(sources: Any) -> dict[str, str]:
    """Return the addresses that a source returned, without what is not an address."""
    found = {}
    for destination, address in sources.items() if isinstance(sources, Mapping) else ():
        try:
            found[str(destination)] = str(ipaddress.ip_address(str(address)))
        except ValueError:
            continue
    return found


def _without_route(sources: Any) -> set[str]:
    """Return the addresses to which a source has returned that it has no route."""
    pairs = sources.items() if isinstance(sources, Mapping) else ()
    return {str(destination) for destination, address in pairs if address is None}


def _places(
    listeners: Mapping[str, Optional[Mapping[str, Any]]], key: str
) -> dict[str, set[tuple[str, str, int]]]:
    return {
        name: {(one["address"], one["protocol"], one["port"]) for one in result[key]}
        for name, result in listeners.items()
        if result is not None and key in result
    }
