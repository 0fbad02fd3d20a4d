# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes reports on clusters of any size without a probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    CLOSED,
    OPEN,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.evaluate import (
    Check,
    Report,
    summarize,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.findings import (
    Finding,
    grouped,
    has_errors,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    Rule,
    Topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    default_ports,
    default_rules,
    node,
    topology,
)

Broken = Callable[[str, str, Rule], Optional[tuple[str, str]]]
"""What a source observed of a rule at a destination, and the detail; None where all is well."""

DROPPED = (
    "no answer, so a firewall on {} or on the way drops it: its firewalld policy k3s-from-nodes "
    "(firewall-cmd --info-policy=k3s-from-nodes) should admit it; run the playbook prepare"
)
REJECTED = (
    "{}'s firewall rejects it (ICMP administratively prohibited from {}): its firewalld policy "
    "k3s-from-nodes (firewall-cmd --info-policy=k3s-from-nodes) should admit it; run the playbook "
    "prepare"
)
ADMITTED = (
    "open to {}, which no rule admits; see what else admits it: firewall-cmd --list-all-zones on {}"
)
SILENT = "the source did not report; see its own failure above"


def cluster(count: int, clients: int = 0) -> Topology:
    """Return a cluster of that many nodes, three of them servers, with the shipped rules."""
    nodes = [
        node(
            f"{'server' if number < 3 else 'agent'}{number + 1 if number < 3 else number - 2}",
            "server" if number < 3 else "agent",
            f"10.20.{number // 250}.{number % 250 + 1}",
        )
        for number in range(count)
    ]
    rules = default_rules()
    for rule, shipped in zip(rules, default_ports()):
        rule["purpose"] = shipped["purpose"]
    return topology(
        nodes, rules, external_clients=[f"client{number + 1}" for number in range(clients)]
    )


def check(source="agent1", destination="server1", **others) -> Check:
    """Return a check that went well."""
    return Check(
        **{
            "source": source,
            "destination": destination,
            "address": "192.0.2.11",
            "port": "6443",
            "protocol": "tcp",
            "rule": "kubernetes-api",
            "expected": OPEN,
            "observed": "open",
            "ok": True,
            "detail": "",
            **others,
        }
    )


def finding(*hosts: str, **others) -> Finding:
    """Return a finding of level error."""
    return Finding(
        **{
            "level": "error",
            "hosts": list(hosts or ("server1",)),
            "cause": "the policy k3s-from-nodes is not in force",
            "remedy": "run the playbook prepare",
            **others,
        }
    )


def report(checks: list[Check], findings: Iterable[Finding] = ()) -> Report:
    """Return the report on these checks and findings."""
    problems = grouped(findings)
    return Report(
        ok=all(one["ok"] for one in checks) and not has_errors(problems),
        summary=summarize(checks),
        checks=checks,
        findings=problems,
    )


def mesh(
    topology: Topology,
    broken: Broken = lambda source, destination, rule: None,
    findings: Iterable[Finding] = (),
) -> Report:
    """Return the report on a full mesh, of which some is broken."""
    return report(list(_mesh(topology, broken)), findings)


def _mesh(topology: Topology, broken: Broken) -> Iterator[Check]:
    groups = {one["name"]: one["group"] for one in topology["nodes"]}
    for source in (*groups, *topology["external_clients"]):
        kind = groups.get(source, "external")
        for destination in topology["nodes"]:
            if destination["name"] == source:
                continue
            for rule in topology["rules"]:
                if destination["group"] not in rule["destination"]:
                    continue
                expected = OPEN if kind in rule["source"] else CLOSED
                if expected == CLOSED and "external" in rule["source"]:
                    continue
                wrong = broken(source, destination["name"], rule)
                good = ("open", "") if expected == OPEN else ("timeout", "")
                observed, detail = wrong or good
                span = rule["last"] - rule["first"] + 1
                yield check(
                    source,
                    destination["name"],
                    address=destination["address"],
                    port=str(rule["first"]) if span == 1 else f"{rule['first']}-{rule['last']}",
                    protocol=rule["protocol"],
                    rule=rule["name"],
                    expected=expected,
                    observed=observed,
                    ok=wrong is None,
                    detail="; ".join(
                        part
                        for part in (detail, f"18 of {span} ports probed" if span > 18 else "")
                        if part
                    ),
                )


def some_broken(topology: Topology) -> Broken:
    """Return a bad night: a node unprepared, another gone, a port open, a rule lost."""
    names = [one["name"] for one in topology["nodes"]]
    addresses = {one["name"]: one["address"] for one in topology["nodes"]}
    groups = {one["name"]: one["group"] for one in topology["nodes"]}
    unprepared, gone, lost = names[-1], names[len(names) // 2], names[1]

    def broken(source: str, destination: str, rule: Rule) -> Optional[tuple[str, str]]:
        expected_open = groups.get(source, "external") in rule["source"]
        if source == gone:
            return "error", SILENT
        if destination == unprepared and expected_open and source in names:
            return "rejected", REJECTED.format(destination, addresses[destination])
        if destination == lost and rule["name"] == "spegel" and source in names and expected_open:
            return "timeout", DROPPED.format(destination)
        if destination == names[0] and rule["name"] == "etcd" and not expected_open:
            return "open", ADMITTED.format(source, destination)
        return None

    return broken
