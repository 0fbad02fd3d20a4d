# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook manages its own nodes and links of the workflow, and keeps those of the user."""

from __future__ import annotations

import pytest
from fake_awx import NODES, FakeAwx, Row
from fake_rules import workflow_failed, wrong_link

Nodes = tuple[Row, Row, Row]


@pytest.fixture
def nodes(configured: FakeAwx) -> Nodes:
    """Return prepare, validate and a node of the user, to which no link leads."""
    workflow = configured.named("workflow_job_templates", "K3s network")
    mine = configured.add(
        NODES,
        identifier="8a6f0c1e-0000-4000-8000-000000000000",
        workflow_job_template=workflow["id"],
        unified_job_template=configured.named("job_templates", "K3s network preflight")["id"],
    )
    prepare, validate = (configured.node(name, workflow) for name in ("prepare", "validate"))
    return prepare, validate, configured.get(NODES, mine)


def roots(awx: FakeAwx) -> list[str]:
    return awx.roots(awx.named("workflow_job_templates", "K3s network"))


def test_node_of_the_user_in_between_stays(configured, nodes, succeed):
    prepare, validate, mine = nodes
    prepare["success_nodes"] = [mine["id"]]
    mine["success_nodes"] = [validate["id"]]
    assert succeed() == 0
    assert prepare["success_nodes"] == [mine["id"]]
    assert mine["success_nodes"] == [validate["id"]]
    assert roots(configured) == ["prepare"]


def test_links_of_the_user_beside_the_managed_one_stay(configured, nodes, succeed):
    prepare, validate, mine = nodes
    prepare["failure_nodes"] = [mine["id"]]
    validate["always_nodes"] = [mine["id"]]
    assert succeed() == 0
    assert prepare["failure_nodes"] == validate["always_nodes"] == [mine["id"]]


def test_missing_link_is_restored_beside_links_of_the_user(configured, nodes, succeed):
    prepare, validate, mine = nodes
    prepare["success_nodes"] = [mine["id"]]
    assert succeed() > 0
    assert sorted(prepare["success_nodes"]) == sorted([validate["id"], mine["id"]])


@pytest.mark.parametrize("relation", ["failure_nodes", "always_nodes"])
def test_link_of_another_relation_is_restored(configured, nodes, succeed, relation):
    prepare, validate, mine = nodes
    prepare["success_nodes"] = []
    prepare[relation] = [mine["id"], validate["id"]]
    assert succeed() > 0
    assert prepare["success_nodes"] == [validate["id"]]
    assert prepare[relation] == [mine["id"]]


def test_deleted_node_is_restored(configured, nodes, succeed):
    prepare, validate, mine = nodes
    configured.rows[NODES].remove(validate)
    prepare["success_nodes"] = [mine["id"]]
    assert succeed() > 0
    workflow = configured.named("workflow_job_templates", "K3s network")
    restored = configured.node("validate", workflow)["id"]
    assert sorted(prepare["success_nodes"]) == sorted([mine["id"], restored])


def test_node_behind_a_failed_validate_makes_the_workflow_successful(nodes: Nodes) -> None:
    """The documentation warns of it."""
    _prepare, validate, mine = nodes
    assert workflow_failed(list(nodes), {validate["id"]})
    validate["success_nodes"] = [mine["id"]]
    assert workflow_failed(list(nodes), {validate["id"]})
    for relation in ("failure_nodes", "always_nodes"):
        validate.update(success_nodes=[], failure_nodes=[], always_nodes=[])
        validate[relation] = [mine["id"]]
        assert not workflow_failed(list(nodes), {validate["id"]})
        # Unless that node fails, too.
        assert workflow_failed(list(nodes), {validate["id"], mine["id"]})


def test_fake_refuses_a_second_relation_and_a_cycle(nodes: Nodes) -> None:
    prepare, validate, _mine = nodes
    assert (
        wrong_link(list(nodes), prepare, "failure_nodes", validate["id"])
        == "Relationship not allowed."
    )
    assert wrong_link(list(nodes), validate, "success_nodes", prepare["id"]) == "Cycle detected."
