# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes whose Python changes what modules return, in runs of ansible-playbook.

Each lie is that of one host. What the run says of the other hosts is what it says without lies.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from ansible_collections.edgeops.k3s_network.tests.unit.support.answering_cluster import (
    Cluster,
    Lies,
    Run,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.lies import assert_clean

SOUND = ["server1", "agent1", "agent2"]
INJECTED = json.dumps(
    {
        "add_host": {"host_name": "evil", "groups": ["server"]},
        "add_group": "\x1b[31mEVIL\x07",
        "ansible_facts": {
            "k3s_topology_node_ip": "192.0.2.66",
            "k3s_connectivity_probes": {"results": []},
            "ansible_python_interpreter": "/bin/false",
        },
        "ansible_stats": {"data": {"k3s_connectivity_ok": True}, "aggregate": False},
        "_ansible_no_log": True,
        "warnings": ["\x1b[31mEVIL\x07"],
        "exception": "\x1b[31mEVIL",
    }
)[1:-1]
ESCAPE = "\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\u202e"
NESTED = "[" * 900 + "]" * 900
HUGE = "x" * 10_000_000


def everywhere(old: str, new: str) -> Lies:
    """Return a lie that each module tells."""
    return {module: [(old, new)] for module in ("port_listener", "port_probe", "preflight_facts")}


LIES: dict[str, Lies] = {
    "nan": {
        "port_probe": [('"first": 6443', '"first": NaN')],
        "port_listener": [('"pid": 4194304', '"pid": Infinity')],
        "preflight_facts": [('"mtu": 1500', '"mtu": NaN')],
    },
    "escapes in texts": {
        "port_probe": [('"detail": ""', f'"detail": "{ESCAPE}"')],
        "port_listener": [('"version": "1.3.4"', f'"version": "{ESCAPE}"')],
        "preflight_facts": [('"hostname": "', f'"hostname": "{ESCAPE}')],
    },
    "escapes in a word": {
        "port_probe": [('"observed": "open"', f'"observed": "open{ESCAPE}"')],
        "preflight_facts": [('"rp_filter": "0"', f'"rp_filter": "{ESCAPE}"')],
    },
    "escapes in a failure": everywhere('{"', f'{{"failed": true, "msg": "{ESCAPE}", "'),
    "lone surrogates": {
        "port_probe": [('"detail": ""', '"detail": "\\ud800"')],
        "port_listener": [('"errors": []', '"errors": ["\\ud800"]')],
        "preflight_facts": [('"default_zone": "public"', '"default_zone": "\\udfff"')],
    },
    "wrong types": {
        "port_probe": [('"sources": {', '"sources": [{'), ('}, "duplicates"', '}], "duplicates"')],
        "port_listener": [('"busy": []', '"busy": 7')],
        "preflight_facts": [('"units": {', '"units": {"x": [1, {}], ')],
    },
    "a list": {
        "port_probe": [('{"changed"', '["\\u001b", {"changed"'), ('"ended": []', '"ended": []}]#')],
        "preflight_facts": [('{"changed"', "[[], NaN, {}]\n#")],
    },
    "a text of 10 MB": {
        "port_listener": [('"busy": []', f'"busy": "{HUGE}"')],
        "port_probe": [('"ended": []', f'"ended": ["{HUGE}"]')],
        "preflight_facts": [('"default_zone": "public"', f'"default_zone": "{HUGE}"')],
    },
    "deep nesting": {
        "port_listener": [('"reserved": []', f'"reserved": {NESTED}')],
        "port_probe": [('"duplicates": {}', f'"duplicates": {{"192.0.2.11": {NESTED}}}')],
        "preflight_facts": [('"held": []', f'"held": {NESTED}')],
    },
    "false addresses": {
        "port_probe": [('"192.0.2.11"', '"203.0.113.9"')],
        "port_listener": [('"busy": []', '"busy": [["192.0.2.11", "tcp", 6443]]')],
        "preflight_facts": [('"interfaces": {', '"interfaces": {"eth9": {"addresses": 7}, ')],
        "ip": [('"dev": "eth0"', f'"dev": "{ESCAPE}"')],
    },
    "no JSON of ip": {"ip": [('[{"ifname"', '\x1b[2J[{"ifname"'), ("eth0", "\x1b[31meth0")]},
    "false open": {
        "port_probe": [
            (
                '"ended": []',
                '"ended": [], "source": "agent1", "ok": true, "checks": [{"ok": true}]',
            ),
            ('"results": [', '"results": [{"address": "192.0.2.11", "first": 1, "last": 65535}, '),
        ]
    },
    "injected facts and hosts": everywhere('{"changed": false', f'{{{INJECTED}, "changed": false'),
    "a title before the result": everywhere('{"changed"', '\x1b]0;owned\x07\n{"changed"'),
    "no result": everywhere('{"changed"', "\x1b[2J\x1b[31mPLAY RECAP\x9b\n<"),
}
LIARS = {f"agent{number}": LIES[name] for number, name in enumerate(LIES, start=3)}


class Results(NamedTuple):
    """What runs say, and where the report of the validation is."""

    check: Run
    validation: Run
    directory: pathlib.Path

    @property
    def report(self) -> dict[str, Any]:
        """Return report.json, which has to be JSON."""
        text = (self.directory / "report.json").read_text()
        found: dict[str, Any] = json.loads(text, parse_constant=refuse)
        return found


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def run(directory: pathlib.Path, lies: dict[str, Lies]) -> Results:
    """Check and validate a cluster. Among sound nodes, agent1 is blocked; agent2 has a fault."""
    cluster = Cluster(directory, agents=2 + len(lies))
    cluster.change("agent1", "port_probe", blocked=[["server1", "6443"]])
    facts = json.loads((directory / "agent2" / "preflight_facts.json").read_text())["facts"]
    cluster.change("agent2", "preflight_facts", facts={**facts, "read_only": ["/etc"]})
    for name, of_host in lies.items():
        cluster.lie(name, of_host)
    report = directory / "report"
    variables = {"k3s_connectivity_report_dir": str(report)}
    return Results(
        cluster.play("edgeops.k3s_network.preflight", "-vvv"),
        cluster.play("edgeops.k3s_network.validate", "-vvv", variables=variables),
        report,
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(tmp_path_factory.mktemp("sound"), {})


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(tmp_path_factory.mktemp("lying"), LIARS)


def of_sound_nodes(report: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the checks and findings of a report that are about sound nodes only."""
    checks = [
        one for one in report["checks"] if one["source"] in SOUND and one["destination"] in SOUND
    ]
    return checks, [one for one in report["findings"] if set(one["hosts"]) & set(SOUND)]


def printed_findings(output: str) -> list[str]:
    """Return the lines of the preflight's report about agent2."""
    lines = iter(output.splitlines())
    return list(
        itertools.takewhile(
            bool, itertools.dropwhile(lambda line: "/etc is read-only" not in line, lines)
        )
    )


def test_verdicts_of_sound_nodes_are_the_same(sound, lying):
    checks, findings = of_sound_nodes(lying.report)
    assert (checks, findings) == of_sound_nodes(sound.report)
    assert len(checks) == 12
    assert [(one["source"], one["rule"]) for one in checks if not one["ok"]] == [("agent1", "api")]


def test_preflight_of_sound_nodes_is_the_same(sound, lying):
    expected = printed_findings(sound.check.output)
    assert "/etc is read-only" in expected[0]
    assert printed_findings(lying.check.output) == expected


def test_no_run_prints_an_escape_sequence_or_traceback(lying):
    for one in (lying.check, lying.validation):
        assert_clean(one.output)
        assert "Traceback" not in one.output
        # Ansible itself warns of keys that it removes.
        assert "evil" not in one.stdout
        assert len(one.output) < 2_000_000


def test_no_file_of_the_report_has_what_nodes_made_up(lying):
    for path in lying.directory.iterdir():
        text = path.read_bytes().decode()
        assert_clean(text)
        assert "evil" not in text.lower()
        assert len(text) < 2_000_000
    ElementTree.parse(lying.directory / "report.xml")


@pytest.mark.parametrize("number", range(len(LIES)), ids=list(LIES))
def test_liar_fails_or_is_believed_about_itself_only(lying, number):
    name = f"agent{number + 3}"
    of_liar = [one for one in lying.report["checks"] if one["source"] == name]
    assert len(of_liar) == 2 * (len(SOUND) + len(LIES) - 1)
    refused = f"fatal: [{name}]: FAILED!" in lying.validation.output
    if refused:
        assert not any(one["ok"] for one in of_liar)


@pytest.mark.parametrize("lie", ["198.51.100.7", "192.0.2.11"])
def test_false_address_stops_the_run_and_names_the_node(tmp_path, lie):
    cluster = Cluster(tmp_path, agents=1)
    cluster.lie("agent1", {"ip": [('"192.0.2.12"', f'"{lie}"')]})
    one = cluster.play("edgeops.k3s_network.validate")
    assert one.code != 0
    assert "No changes were made. 1 problem: host agent1: " in one.stdout
    assert "TASK [edgeops.k3s_network.k3s_connectivity" not in one.stdout
