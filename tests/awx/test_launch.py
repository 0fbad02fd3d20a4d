# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs that AWX starts from the templates: answers, their types, and prompts."""

from __future__ import annotations

from typing import Any

import pytest
from fake_awx import FakeAwx, RefusalError, launch

DEFAULTS = {
    "prepare": {
        "k3s_firewall_confirm_timeout": 60,
        "k3s_firewall_allow_disruptive_reload": "false",
    },
    "validate": {
        "k3s_connectivity_mode": "auto",
        "k3s_connectivity_range_coverage": "sample",
        "k3s_connectivity_probe_from_controller": "false",
    },
    "preflight": {"k3s_preflight_fail_on": "error"},
}


def start(awx: FakeAwx, step: str, kind: str = "job_templates", **body: Any) -> dict[str, Any]:
    """Start a job through the API."""
    return launch(awx, kind, awx.named(kind, f"K3s network {step}".strip()), body)


def start_workflow(awx: FakeAwx, **body: Any) -> dict[str, Any]:
    return start(awx, "", "workflow_job_templates", **body)


@pytest.mark.parametrize("step", DEFAULTS)
def test_job_starts_without_answers(configured, step):
    assert start(configured, step)["extra_vars"] == DEFAULTS[step]


def test_workflow_starts_without_answers(configured):
    expected = {**DEFAULTS["prepare"], **DEFAULTS["validate"]}
    assert start_workflow(configured)["extra_vars"] == expected


@pytest.mark.parametrize("begin", [start_workflow, lambda *a, **b: start(*a, "prepare", **b)])
def test_integer_is_accepted_and_text_is_not(configured, begin):
    taken = begin(configured, extra_vars={"k3s_firewall_confirm_timeout": 90})
    assert taken["extra_vars"]["k3s_firewall_confirm_timeout"] == 90
    with pytest.raises(RefusalError, match="expected to be an integer"):
        begin(configured, extra_vars={"k3s_firewall_confirm_timeout": "90"})
    with pytest.raises(RefusalError, match="too large"):
        begin(configured, extra_vars={"k3s_firewall_confirm_timeout": 3601})


def test_choice_is_accepted_as_text_only(configured):
    name = "k3s_firewall_allow_disruptive_reload"
    taken = start(configured, "prepare", extra_vars={name: "true"})
    assert taken["extra_vars"][name] == "true"
    with pytest.raises(RefusalError, match="expected to be one of"):
        start(configured, "prepare", extra_vars={name: True})


def test_remove_starts_only_with_a_confirmation(configured):
    with pytest.raises(RefusalError, match="'k3s_awx_confirm_remove' value missing"):
        start(configured, "remove")
    with pytest.raises(RefusalError, match="expected to be one of"):
        start(configured, "remove", extra_vars={"k3s_awx_confirm_remove": ""})
    job = start(configured, "remove", extra_vars={"k3s_awx_confirm_remove": "remove"})
    assert job["extra_vars"]["k3s_firewall_confirm_timeout"] == 60


@pytest.mark.parametrize("step", [*DEFAULTS, "remove"])
def test_job_may_be_limited_and_run_in_check_mode_with_diff(configured, step):
    confirmed = {"k3s_awx_confirm_remove": "remove"} if step == "remove" else {}
    prompts = {"limit": "server1", "job_type": "check", "diff_mode": True}
    job = start(configured, step, extra_vars=confirmed, **prompts)
    assert {name: job.get(name) for name in prompts} == prompts
    assert job["ignored_fields"] == []


def test_workflow_may_be_limited_and_has_no_inventory(configured):
    assert start_workflow(configured, limit="server1")["limit"] == "server1"
    # Its templates do not prompt for one, so it would have no effect.
    workflow = configured.named("workflow_job_templates", "K3s network")
    assert workflow["inventory"] is None
    assert start_workflow(configured, inventory=1)["ignored_fields"] == ["inventory"]


def test_consent_is_explained_in_each_survey_that_asks_for_it(configured):
    asked = {
        row["name"]: question["question_description"]
        for kind in ("job_templates", "workflow_job_templates")
        for row in configured.rows[kind]
        for question in configured.surveys[row["id"]]["spec"]
        if question["variable"] == "k3s_firewall_allow_disruptive_reload"
    }
    assert set(asked) == {"K3s network", "K3s network prepare", "K3s network remove"}
    assert asked["K3s network"] == asked["K3s network prepare"]
    assert "up to 2 seconds" in asked["K3s network"]
    assert "rejects traffic between the nodes" in asked["K3s network remove"]
