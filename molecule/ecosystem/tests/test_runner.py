# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as AWX runs them: by ansible-runner, with the answers of a survey."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml
from controller import LAB_INVENTORY

PROJECT = Path(__file__).resolve().parents[3]
TEMPLATES = yaml.safe_load((PROJECT / "playbooks/vars/awx.yml").read_text())
NODES = ["agent1", "server1", "server2"]


@dataclass(frozen=True)
class Job:
    """What came of a job."""

    status: str
    output: str
    changed: dict[str, int]
    # What set_stats hands to the next node of a workflow.
    artifacts: dict[str, Any]


def answers(name: str) -> dict[str, Any]:
    """Return the defaults of a survey in the types that AWX accepts: integers, and text."""
    survey = TEMPLATES["k3s_awx_job_templates"][name]["survey"]
    return {one["variable"]: one["default"] for one in survey if "default" in one}


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """Run a job template."""
    home = tmp_path / "home"
    home.mkdir()

    def run(name: str, *, extra: dict[str, Any] | None = None, **options: Any) -> Job:
        injected = {"awx_job_id": "7", "awx_job_template_name": f"K3s network {name}"}
        done = ansible_runner.run(
            private_data_dir=tempfile.mkdtemp(dir=tmp_path),
            project_dir=str(PROJECT),
            playbook=f"playbooks/{name}.yml",
            inventory=str(LAB_INVENTORY),
            extravars={**injected, **answers(name), **(extra or {})},
            envvars={
                "HOME": str(home),
                "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / ".build"),
                "ANSIBLE_HOST_KEY_CHECKING": "false",
                "ANSIBLE_NOCOLOR": "1",
            },
            # A prompt, which nobody answers, would end the job.
            settings={"idle_timeout": 120},
            quiet=True,
            **options,
        )
        (stats,) = (one for one in done.events if one["event"] == "playbook_on_stats")
        return Job(
            done.status,
            done.stdout.read(),
            stats["event_data"]["changed"],
            stats["event_data"].get("artifact_data", {}),
        )

    return run


def tree() -> str:
    """Return what is in the project that was not there when it was checked out."""
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def test_workflow_of_prepare_and_validate_asks_nothing_and_leaves_no_file(job, tmp_path):
    before = tree()
    workflow = {"awx_workflow_job_id": "6", "awx_workflow_job_name": "K3s network"}
    rule = {
        "name": "runner",
        "port": "7777",
        "protocol": "tcp",
        "source": ["server", "agent"],
        "destination": ["server"],
        "purpose": "a rule of this test",
    }
    changing = {**workflow, "k3s_topology_extra_ports": [rule]}
    try:
        first = job("prepare", extra=changing)
        second = job("prepare", extra=changing)
        proved = job("validate", extra=changing)
        # The artifacts of a job are extra variables of the workflow's next one.
        after = job("preflight", extra={**changing, **proved.artifacts})
    finally:
        back = job("prepare", extra=workflow)
    assert first.status == "successful", first.output
    assert set(first.changed) == {"server1", "server2"}
    assert (second.status, second.changed) == ("successful", {}), second.output
    assert proved.status == "successful", proved.output
    assert proved.artifacts["k3s_connectivity_ok"] is True
    assert proved.artifacts["k3s_connectivity_summary"]["blocked"] == 0
    assert proved.artifacts["k3s_connectivity_failed"] == []
    assert (after.status, after.changed) == ("successful", {}), after.output
    assert set(back.changed) == {"server1", "server2"}
    assert tree() == before
    assert {one.name for one in (tmp_path / "home").iterdir()} <= {".ansible"}


def test_failed_validation_sets_artifacts(job, machine):
    rule = (
        'rule priority="-10" family="ipv4" source ipset="k3s-servers" port port="6443" '
        'protocol="tcp" reject'
    )
    command = f"firewall-cmd --policy=k3s-from-nodes --{{}}-rich-rule='{rule}'"
    machine("server1").run(command.format("add"))
    try:
        failed = job("validate")
    finally:
        machine("server1").run(command.format("remove"))
    assert failed.status == "failed"
    assert failed.artifacts["k3s_connectivity_ok"] is False
    told = failed.artifacts["k3s_connectivity_failed"]
    # A finding may come before it.
    assert any(line.startswith("server2 -> server1 6443/tcp") for line in told)


def test_preflight_and_check_change_nothing(job):
    looked = job("preflight")
    assert (looked.status, looked.changed) == ("successful", {}), looked.output
    assert looked.artifacts["k3s_preflight_ok"] is True
    networks = {"k3s_topology_external_sources": "198.51.100.0/24\n203.0.113.0/24\n"}
    told = job("prepare", extra=networks, cmdline="--check --diff")
    assert told.status == "successful", told.output
    assert sorted(told.changed) == NODES
    for network in networks["k3s_topology_external_sources"].split():
        assert network in told.output
    assert job("prepare").changed == {}


def test_slice_of_a_job_is_refused(job):
    # AWX gives the workflow job that it makes of slices the name of the job template.
    sliced = job("prepare", extra={"awx_workflow_job_name": "K3s network prepare"})
    assert sliced.status == "failed"
    assert "runs in slices" in sliced.output
