# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures of the playbook: one short message for each cause, before anything changes."""

from __future__ import annotations

import json

import pytest
from conftest import playing
from fake_awx import FakeAwx


def failed_once(message: str) -> bool:
    """Tell whether one task failed, and no survey was printed."""
    return message.count("FAILED!") == 1 and "question_name" not in message


def test_missing_variables_are_named_together(awx, refuse):
    message = refuse(project="", inventory="")
    assert "k3s_awx_project is not set" in message
    assert "k3s_awx_inventory is not set" in message
    assert "awx.awx is not installed" not in message
    assert awx.writes == []


def test_unknown_state_is_refused(awx, refuse):
    assert "k3s_awx_state is 'gone': set it to present or absent." in refuse(state="gone")
    assert awx.writes == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [("", "awx.awx is not installed,"), ("21.6.0", "awx.awx 21.6.0 is older than 21.7.0,")],
)
def test_missing_or_old_collection_is_named(tmp_path, monkeypatch, awx, version, expected):
    if version:
        folder = tmp_path / "ansible_collections" / "awx" / "awx"
        folder.mkdir(parents=True)
        information = {"namespace": "awx", "name": "awx", "version": version}
        manifest = {"collection_info": information, "format": 1}
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("K3S_AWX_COLLECTIONS", str(tmp_path))
    done = playing(awx)()
    message = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert expected in message
    assert "ansible-galaxy collection install --upgrade 'awx.awx:>=21.7.0'" in message
    assert "k3s_awx_project" not in message


def test_ansible_galaxy_need_not_be_in_path(configured: FakeAwx) -> None:
    done = playing(configured, PATH="/usr/bin:/bin")("--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "organization",
            "Nowhere",
            "k3s_awx_organization is 'Nowhere', which this user of AWX cannot read",
        ),
        (
            "inventory",
            "nowhere",
            "k3s_awx_inventory is 'nowhere', which this user of AWX cannot read",
        ),
        ("project", "nowhere", "The project nowhere in organization Default was not found"),
    ],
)
def test_unknown_object_of_awx_is_named(awx, refuse, variable, value, expected):
    message = refuse(**{variable: value})
    assert expected in message
    assert failed_once(message)
    assert awx.writes == []


def test_refusal_by_awx_is_printed_once_and_without_surveys(configured, refuse, monkeypatch):
    monkeypatch.setattr("fake_awx.PLAYBOOKS", [])
    configured.named("job_templates", "K3s network prepare")["description"] = "changed"
    message = refuse()
    assert "Playbook not found for project" in message
    assert failed_once(message)
