# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the playbook reaches AWX: rights, the prefix of Automation Controller, and TLS."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from conftest import playing, serving
from fake_awx import FakeAwx


@pytest.fixture
def minimal(awx: FakeAwx) -> FakeAwx:
    """An AWX whose user has the rights that the documentation names, and a credential."""
    credential = awx.add("credentials", name="ssh", organization=awx.organization)
    awx.rights = {
        ("use", "projects", awx.project),
        ("use", "inventories", awx.inventory),
        ("use", "credentials", credential),
        ("workflow_admin", "organizations", awx.organization),
    }
    return awx


def test_documented_rights_suffice(minimal, succeed):
    credentials = ("-e", '{"k3s_awx_credentials": ["ssh"]}')
    assert succeed(*credentials) > 0
    assert all(minimal.credentials[row["id"]] for row in minimal.rows["job_templates"])
    # Nothing else of AWX is written.
    kinds = {"job_templates", "workflow_job_templates", "workflow_job_template_nodes"}
    assert {line.split()[1] for line in minimal.writes} == kinds
    assert succeed(*credentials) == 0
    assert succeed(state="absent") > 0


@pytest.mark.parametrize("missing", ["projects", "inventories", "organizations"])
def test_missing_right_is_refused_in_one_message(minimal, refuse, missing):
    minimal.rights = {right for right in minimal.rights if right[1] != missing}
    message = refuse()
    assert "You don't have permission to POST" in message
    assert message.count("FAILED!") == 1


def test_prefix_of_automation_controller_works() -> None:
    prefix = "/api/controller/"
    with serving(FakeAwx(prefix)) as awx:
        done = playing(awx, CONTROLLER_OPTIONAL_API_URLPATTERN_PREFIX=prefix)()
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(awx.rows["job_templates"]) == 4


def test_certificate_is_verified_unless_disabled(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    awx = FakeAwx()
    awx.socket = context.wrap_socket(awx.socket, server_side=True)
    url = f"https://127.0.0.1:{awx.server_address[1]}"
    with serving(awx):
        verified = playing(awx, CONTROLLER_HOST=url)("--check")
        assert verified.returncode != 0
        assert "certificate verify failed" in verified.stdout + verified.stderr
        options = {"CONTROLLER_HOST": url, "CONTROLLER_VERIFY_SSL": "false"}
        unverified = playing(awx, **options)("--check")
        assert unverified.returncode == 0, unverified.stdout + unverified.stderr
