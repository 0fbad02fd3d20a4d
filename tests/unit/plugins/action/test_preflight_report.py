# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.plugins.action.preflight_report import collect
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.sound_nodes import facts

CLUSTER = topology()
NAMES = [node["name"] for node in CLUSTER["nodes"]]
ARGUMENTS = {"topology": CLUSTER, "facts_variable": "seen"}


def seen(name, **route):
    """Return a node's variables, with what prepare would do about its default route."""
    nothing = {"changed": False, "refused": "", "warned": []}
    return {
        "seen": {
            "facts": facts(name),
            "asked": [999.0, 1001.0],
            "predicted": {"default_route": {**nothing, **route}, "firewalld_state": nothing},
        }
    }


def test_what_all_nodes_would_be_refused_is_told_at_once():
    hostvars = {name: seen(name, refused="dummy0 is there already") for name in NAMES}
    (finding,), changes = collect(ARGUMENTS, hostvars, NAMES)
    assert finding.nodes == tuple(sorted(NAMES))
    assert "default route: dummy0 is there already" in finding.problem
    assert changes == []


def test_what_would_be_changed_is_told_with_the_nodes():
    hostvars = {NAMES[0]: seen(NAMES[0], changed=True), NAMES[1]: seen(NAMES[1])}
    findings, changes = collect(ARGUMENTS, hostvars, NAMES)
    assert findings == []
    assert changes == [f"prepare would change the default route of 1: {NAMES[0]}"]


def test_a_node_that_was_unreachable_does_not_end_it():
    hostvars = {NAMES[0]: seen(NAMES[0]), NAMES[1]: {"seen": {"unreachable": True, "msg": "no"}}}
    (finding,), _changes = collect(ARGUMENTS, hostvars, NAMES)
    assert (finding.severity, finding.nodes) == ("error", (NAMES[1],))


def test_failure_of_a_node_is_told_with_its_message():
    hostvars = {
        name: {
            "seen": {
                "failed": True,
                "msg": f"host {name}: the modules need Python 3.9\x1b\nor newer" + "x" * 9000,
            }
        }
        for name in NAMES
    }
    (finding,), _changes = collect(ARGUMENTS, hostvars, NAMES)
    assert (finding.severity, finding.nodes) == ("error", tuple(sorted(NAMES)))
    assert finding.problem.startswith(
        "its facts cannot be read: the modules need Python 3.9? or newerx"
    )
    assert len(finding.problem) < 600
    assert "does not reach it" not in finding.problem


def test_failure_without_a_message_is_a_finding_all_the_same():
    hostvars = {NAMES[0]: seen(NAMES[0]), NAMES[1]: {"seen": {"failed": True, "msg": ["x"]}}}
    (finding,), _changes = collect(ARGUMENTS, hostvars, NAMES)
    assert (finding.severity, finding.nodes) == ("error", (NAMES[1],))
