# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what was expected and what was seen to the report. Pure functions."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypedDict

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _ports
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import prober

from .._probe_plan.plan import CLOSED, OPEN, Expectation
from .._topology.model import (
    EXTERNAL,
    NODE_GROUPS,
    Topology,
    find_node,
)
from .findings import Finding, grouped, has_errors
from .remedies import is_wireguard, opened, remedy, returns
from .seen import Seen

# What port_probe tells more closely than the report.
_REPORTED = {
    prober.LOSS: prober.TIMEOUT,
    prober.MTU_HOLE: prober.TIMEOUT,
    prober.OVERLAY_SILENT: prober.TIMEOUT,
}


class Check(TypedDict):
    """One line of the report; C(port) is a number, or C(a-b) for neighbours with one outcome."""

    source: str
    destination: str
    address: str
    port: str
    protocol: str
    rule: str
    expected: str
    observed: str
    ok: bool
    detail: str


class Report(TypedDict):
    """The report as report.json holds it."""

    ok: bool
    summary: dict[str, int]
    checks: list[Check]
    findings: list[Finding]


def build(
    topology: Topology,
    expectations: Iterable[Expectation],
    seen: Seen,
    findings: Iterable[Finding] = (),
) -> Report:
    """Return the report on what every source was expected to see, and on findings besides."""
    checks: list[Check] = []
    for expectation in expectations:
        checks += _checks(topology, expectation, seen)
    # A single node has no peer to prove anything with; elsewhere no check means no proof.
    provable = len(topology["nodes"]) > 1 or bool(topology["external_clients"])
    problems = grouped(findings)
    return Report(
        ok=all(check["ok"] for check in checks)
        and (bool(checks) or not provable)
        and not has_errors(problems),
        summary=summarize(checks),
        checks=checks,
        findings=problems,
    )


def summarize(checks: Sequence[Check]) -> dict[str, int]:
    """Return how many checks there are of each kind.

    Those that the probe could not make are not determined: they are neither blocked nor open.
    """
    expected = Counter(check["expected"] for check in checks)
    counts = Counter(
        (check["expected"], check["ok"]) for check in checks if check["observed"] != prober.ERROR
    )
    return {
        "expected_open": expected[OPEN],
        "open": counts[OPEN, True],
        "blocked": counts[OPEN, False],
        "expected_closed": expected[CLOSED],
        "closed": counts[CLOSED, True],
        "unexpectedly_open": counts[CLOSED, False],
        "not_determined": len(checks) - sum(counts.values()),
    }


def _checks(topology: Topology, expectation: Expectation, seen: Seen) -> list[Check]:
    expected = _expected(topology, expectation, seen)
    runs: list[tuple[list[int], tuple[str, bool, str]]] = []
    for port in expectation["ports"]:
        verdict = _evaluate(topology, expectation, expected, port, seen)
        if runs and runs[-1][1] == verdict:
            runs[-1][0].append(port)
        else:
            runs.append(([port], verdict))
    checks = []
    for ports, (observed, ok, detail) in runs:
        probed, size = len(expectation["ports"]), expectation["size"]
        if probed == size:
            # All of them; but between neighbours may lie ports of other rules.
            probed, size = len(ports), ports[-1] - ports[0] + 1
        share = f"{probed} of {size} ports probed" if probed < size else ""
        checks.append(
            Check(
                source=expectation["source"],
                destination=expectation["destination"],
                address=expectation["address"],
                port=_ports.format_port((ports[0], ports[-1])),
                protocol=expectation["protocol"],
                rule=expectation["rule"],
                expected=expected,
                observed=observed,
                ok=ok,
                detail="; ".join(part for part in (detail, share) if part),
            )
        )
    return checks


def _expected(topology: Topology, expectation: Expectation, seen: Seen) -> str:
    """An outside client sees a rule open only where its address is one that the rule admits."""
    admitted = topology["external_sources"]
    if expectation["expected"] != OPEN or not admitted:
        return expectation["expected"]
    nodes = {node["name"] for node in topology["nodes"]}
    rule = next(rule for rule in topology["rules"] if rule["name"] == expectation["rule"])
    if expectation["source"] in nodes or EXTERNAL not in rule["source"]:
        return OPEN
    address = seen.came_from(expectation)
    if address is None:
        return OPEN
    inside = any(_contains(cidr, address) for cidr in admitted)
    return OPEN if inside or _is_plain(topology, expectation) else CLOSED


def _is_plain(topology: Topology, expectation: Expectation) -> bool:
    """Tell whether a rule of the nodes opens one of the ports to anyone who reaches the NIC."""
    node = find_node(topology, expectation["destination"])
    return (
        not topology["restrict_sources"]
        and node["mode"] == "shared"
        and any(
            rule["first"] <= port <= rule["last"]
            for rule in topology["rules"]
            if rule["protocol"] == expectation["protocol"]
            and node["group"] in rule["destination"]
            and any(group in rule["source"] for group in NODE_GROUPS)
            for port in expectation["ports"]
        )
    )


def _contains(cidr: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _evaluate(
    topology: Topology, expectation: Expectation, expected: str, port: int, seen: Seen
) -> tuple[str, bool, str]:
    """Return (observed, ok, detail) for one port."""
    observed, said = seen.outcome(expectation, port)
    source, destination = expectation["source"], expectation["destination"]
    busy = seen.is_busy(expectation, port)
    service = busy or seen.mode == "live"
    if busy and seen.mode == "listen":
        return (
            prober.ERROR,
            False,
            f"{destination} has another process on this port; stop it, or set "
            "k3s_connectivity_mode to auto",
        )
    if expected == OPEN:
        # Which of the two hosts has answered is a matter of luck.
        twice = seen.duplicate(destination, expectation["address"])
        if twice:
            return prober.WRONG_HOST, False, twice
        lost = seen.duplicate(source, seen.came_from(expectation))
        if lost and observed != prober.OPEN:
            observed = _REPORTED.get(observed, observed)
            observed = prober.WRONG_HOST if observed == prober.ACCEPTED else observed
            return observed, False, f"what comes back may get lost, since {lost}"
    started = bool(seen.reserved_for(expectation, port)) and observed == prober.ACCEPTED
    service = service or started
    trouble = "" if started else seen.trouble(expectation, port, observed)
    if trouble and observed not in (prober.OPEN, prober.WRONG_HOST):
        return prober.ERROR, False, trouble
    witnessed = seen.is_witnessed(expectation, port)
    if witnessed and observed == prober.OPEN and said.endswith(prober.NOT_SEEN_AT_PORT):
        observed = prober.TIMEOUT
        said = "WireGuard still answers by a connection that was established before"
    if expectation["protocol"] == "udp" and service and not witnessed:
        observed, said = _of_udp_service(destination, observed, said)
    if observed == prober.ACCEPTED:
        if service:
            how = "TCP accept" if expectation["protocol"] == "tcp" else "over UDP"
            observed, said = prober.OPEN, f"a service answered ({how}), not our listener"
        else:
            observed = prober.WRONG_HOST
            said = (
                f"something answered that is not {destination}'s listener: another host with this "
                f"address, or a NAT on the way; see who has {expectation['address']} (arping from "
                f"{source})"
            )
    elif observed == prober.WRONG_HOST and said.startswith(f"{destination}'s "):
        said = (
            f"{said} answered instead: a NAT on {destination} or on the way leads there; take it "
            f"back (nft list ruleset on {destination})"
        )
    elif observed == prober.WRONG_HOST:
        said = (
            f"{said} answered instead of {destination}; do both have this address? Give "
            f"{expectation['address']} to {destination} alone, or take a NAT on the way back"
        )
    elif observed in (prober.MTU_HOLE, prober.LOSS) and expected == CLOSED:
        observed = prober.OPEN

    if expected == OPEN:
        if observed == prober.OPEN:
            return observed, True, said
        if (
            observed == prober.OVERLAY_SILENT
            # Both directions of WireGuard are one connection, and firewalls admit its answers.
            and not is_wireguard(said)
            and seen.way_back(topology, expectation, port) == prober.REJECTED
        ):
            said = (
                f"no answer {said}, since {source}'s own firewall rejects what comes back, as "
                f"{destination} has found: {returns(topology, expectation, port, seen)}"
            )
        elif observed == prober.REFUSED and seen.held_at(expectation, port):
            said = (
                f"the path is open, but {destination}'s service listens on "
                f"{seen.held_at(expectation, port)} alone: have it listen on "
                f"{expectation['address']}"
            )
        else:
            said = remedy(topology, expectation, port, observed, said, seen)
        return _REPORTED.get(observed, observed), False, said
    observed = _REPORTED.get(observed, observed)
    if observed in (prober.OPEN, prober.WRONG_HOST):
        return observed, False, opened(topology, expectation, port, seen)
    if observed in (prober.TIMEOUT, prober.REJECTED, prober.UNREACHABLE):
        return observed, True, said
    if observed == prober.REFUSED:
        # With a listener there, only a firewall can refuse.
        guarded = seen.listens(destination) and (witnessed or not service)
        ok = guarded and not seen.held_at(expectation, port)
        return observed, ok, said if ok else "the path is open, though nobody listens"
    return observed, False, said


def _of_udp_service(destination: str, observed: str, said: str) -> tuple[str, str]:
    """Judge what came of a UDP port that a service holds, which does not speak our language."""
    if observed == prober.TIMEOUT:
        # Silence proves nothing (k3s#8348).
        more = f"; {said}" if said else ""
        return prober.ERROR, (
            f"another process of {destination} holds this port, and a silent UDP port proves "
            f"nothing; validate before that process is started, or with become: true{more}"
        )
    if observed == prober.ACCEPTED and said == prober.REFLECTED:
        return prober.ERROR, (
            f"what answered only sent back what it got, which proves nothing; stop the process of "
            f"{destination} that holds this port and validate again"
        )
    return observed, said
