# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook that configures AWX's templates, with the real modules of awx.awx."""

from __future__ import annotations

import copy
from typing import Any

from fake_awx import PLAYBOOKS, FakeAwx

NAME = "K3s network"


def state(awx: FakeAwx) -> Any:
    """Return all that AWX has, to compare with later."""
    return copy.deepcopy((awx.rows, awx.surveys, awx.credentials))


def test_it_makes_templates_surveys_and_the_workflow_once(awx, succeed):
    assert succeed() > 0
    templates = awx.rows["job_templates"]
    assert [row["playbook"] for row in templates] == PLAYBOOKS
    assert all(row["job_slice_count"] == 1 for row in templates)
    assert all(row["inventory"] == awx.inventory for row in templates)
    workflow = awx.named("workflow_job_templates", NAME)
    assert set(awx.surveys) == {row["id"] for row in [*templates, workflow]}
    assert awx.roots(workflow) == ["prepare"]
    validate = awx.node("validate", workflow)
    assert awx.node("prepare", workflow)["success_nodes"] == [validate["id"]]
    before = state(awx)
    assert succeed() == 0
    assert state(awx) == before


def test_check_mode_before_the_first_run_changes_nothing(awx, succeed):
    before = state(awx)
    assert succeed("--check") > 0
    assert state(awx) == before
    assert awx.writes == []


def test_check_mode_of_a_complete_workflow_reports_no_change(configured, succeed):
    before = state(configured)
    assert succeed("--check") == 0
    assert state(configured) == before


def test_check_mode_without_a_template_of_the_workflow_succeeds(configured, succeed):
    configured.rows["job_templates"] = [
        row for row in configured.rows["job_templates"] if row["name"] != f"{NAME} validate"
    ]
    before = state(configured)
    assert succeed("--check") > 0
    assert state(configured) == before


def test_second_organization_has_templates_of_its_own(configured, succeed):
    edge = configured.add("organizations", name="Edge")
    configured.add("projects", name="net", organization=edge)
    lab = configured.add("inventories", name="lab", organization=edge)
    first = state(configured)
    succeed(organization="Edge", inventory="lab")
    template = configured.named("job_templates", f"{NAME} prepare", edge)
    assert template["inventory"] == lab
    workflow = configured.named("workflow_job_templates", NAME, edge)
    assert configured.node("prepare", workflow)["unified_job_template"] == template["id"]
    assert succeed() == 0
    assert succeed(organization="Edge", inventory="lab") == 0
    assert first[0]["job_templates"] == configured.rows["job_templates"][:4]


def test_inventory_of_an_equal_name_is_chosen_by_id_or_organization(awx, succeed, refuse):
    edge = awx.add("organizations", name="Edge")
    awx.add("projects", name="net", organization=edge)
    other = awx.add("inventories", name="cluster", organization=edge)
    message = refuse(organization="Edge")
    assert f"inventory++organization, or to one of the ids {awx.inventory}, {other}" in message
    assert awx.writes == []
    succeed(organization="Edge", inventory="cluster++Edge")
    assert {row["inventory"] for row in awx.rows["job_templates"]} == {other}
    assert succeed(organization="Edge", inventory=str(other)) == 0


def test_another_name_makes_templates_of_another_cluster(configured, succeed):
    second = configured.add("inventories", name="cluster2", organization=configured.organization)
    first = copy.deepcopy(configured.rows["job_templates"])
    succeed(name="cluster2", inventory="cluster2")
    assert configured.rows["job_templates"][:4] == first
    assert configured.named("job_templates", "cluster2 remove")["inventory"] == second
    assert configured.roots(configured.named("workflow_job_templates", "cluster2")) == ["prepare"]


def test_templates_of_another_inventory_are_moved_only_on_request(configured, succeed, refuse):
    second = configured.add("inventories", name="cluster2", organization=configured.organization)
    before = state(configured)
    message = refuse(inventory="cluster2")
    assert f"The job template '{NAME} prepare' has the inventory 'cluster'" in message
    assert "k3s_awx_name" in message and "k3s_awx_allow_inventory_change" in message
    assert state(configured) == before
    succeed(inventory="cluster2", allow_inventory_change="true")
    assert {row["inventory"] for row in configured.rows["job_templates"]} == {second}


def test_absent_deletes_templates_and_workflow(configured, succeed):
    user = {"name": f"{NAME} mine", "inventory": None, "organization": configured.organization}
    configured.add("job_templates", **user)
    assert succeed(state="absent", project="", inventory="") > 0
    assert [row["name"] for row in configured.rows["job_templates"]] == [f"{NAME} mine"]
    assert configured.rows["workflow_job_templates"] == []
    assert succeed(state="absent", project="", inventory="") == 0


def test_absent_in_check_mode_deletes_nothing(configured, succeed):
    before = state(configured)
    assert succeed("--check", state="absent") > 0
    assert state(configured) == before


def test_absent_keeps_templates_of_another_inventory(configured, succeed, refuse):
    configured.add("inventories", name="cluster2", organization=configured.organization)
    before = state(configured)
    assert "it is of another cluster" in refuse(state="absent", inventory="cluster2")
    assert state(configured) == before


def test_absent_keeps_a_workflow_with_a_node_of_the_user(configured, succeed, refuse):
    workflow = configured.named("workflow_job_templates", NAME)
    configured.add(
        "workflow_job_template_nodes", identifier="mine", workflow_job_template=workflow["id"]
    )
    before = state(configured)
    assert "would be deleted with it: mine." in refuse(state="absent")
    assert state(configured) == before


def test_rerun_restores_what_it_manages_and_leaves_the_rest(configured, succeed):
    """The two tables of the documentation."""
    template = configured.named("job_templates", f"{NAME} prepare")
    managed = {"description": "x", "ask_limit_on_launch": False, "job_slice_count": 3}
    managed |= {"playbook": PLAYBOOKS[3], "survey_enabled": False, "ask_diff_mode_on_launch": False}
    wanted = {name: template[name] for name in managed}
    left = {"extra_vars": "a: 1", "limit": "server1", "become_enabled": True, "verbosity": 2}
    survey = copy.deepcopy(configured.surveys)
    template.update(managed, **left)
    configured.surveys[template["id"]]["spec"] = []
    configured.surveys[configured.named("workflow_job_templates", NAME)["id"]]["spec"].pop()
    succeed()
    assert {name: template[name] for name in managed} == wanted
    assert {name: template[name] for name in left} == left
    assert configured.surveys == survey
