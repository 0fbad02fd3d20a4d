# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook that makes AWX's templates, with the real modules of awx.awx.

AWX needs Kubernetes, so what answers is a small fake of its REST API, in memory. The modules are
looked for in K3S_AWX_COLLECTIONS, a path of collections that has awx.awx.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELATED = (
    "survey_spec",
    "success_nodes",
    "always_nodes",
    "failure_nodes",
    "credentials",
    "labels",
    "instance_groups",
    "workflow_nodes",
)
FILTERS = ("name", "identifier", "organization", "workflow_job_template")


class FakeAwx(ThreadingHTTPServer):
    """Holds what was made of it, by kind."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: dict[str, list[dict[str, Any]]] = {
            "organizations": [{"id": 1, "name": "Default"}],
            "projects": [{"id": 2, "name": "net"}],
            "inventories": [{"id": 3, "name": "cluster"}],
        }
        self.surveys: dict[str, dict[str, Any]] = {}
        self.links: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        number = 10 + sum(map(len, self.rows.values()))
        url = f"/api/v2/{kind}/{number}/"
        related = {name: f"{url}{name}/" for name in RELATED}
        row = {**body, "id": number, "type": kind[:-1], "url": url, "related": related}
        self.rows.setdefault(kind, []).append(row)
        return row


class Handler(BaseHTTPRequestHandler):
    """The few requests that the modules make."""

    server: FakeAwx

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _list(self, rows: list[dict[str, Any]]) -> None:
        self._answer(200, {"count": len(rows), "results": rows, "next": None})

    def _handle(self) -> None:
        parsed = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(parsed.query))
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        kind, *rest = [part for part in parsed.path.split("/") if part][2:] or [""]
        kind = {"unified_job_templates": "job_templates"}.get(kind, kind)
        posted = self.command == "POST"
        if kind in ("", "ping"):
            self._answer(200, {"version": "24.6.1", "current_version": "/api/v2/"})
        elif not rest and posted:
            self._answer(201, self.server.create(kind, body))
        elif not rest:
            wanted = {key: value for key, value in query.items() if key in FILTERS}
            self._list(
                [
                    row
                    for row in self.server.rows.get(kind, [])
                    if all(str(row[key]) == value for key, value in wanted.items() if key in row)
                ]
            )
        else:
            row = next(row for row in self.server.rows[kind] if str(row["id"]) == rest[0])
            self._one(row, rest[1] if len(rest) > 1 else None, posted, body)

    def _one(
        self, row: dict[str, Any], part: Optional[str], posted: bool, body: dict[str, Any]
    ) -> None:
        if part is None:
            row.update(body)
            self._answer(200, row)
        elif part == "survey_spec":
            if posted:
                self.server.surveys[row["name"]] = body
            self._answer(200, self.server.surveys.get(row["name"], {}))
        else:
            links = self.server.links.setdefault((row["url"], part), [])
            if posted:
                links.append({"id": body["id"]})
                self._answer(204, {})
            else:
                self._list(links)

    def __getattr__(self, name: str) -> Any:
        """Handle do_GET, do_POST and do_PATCH alike."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)


@pytest.fixture
def awx() -> Iterator[FakeAwx]:
    with FakeAwx() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def play(url: str, collections: str) -> subprocess.CompletedProcess[str]:
    path = f"{ROOT / '.build'}:{collections}"
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": path,
        "ANSIBLE_NOCOLOR": "1",
        "CONTROLLER_HOST": url,
        "CONTROLLER_OAUTH_TOKEN": "token",
    }
    command = ["ansible-playbook", "edgeops.k3s_network.awx"]
    command += ["-e", "k3s_awx_project=net", "-e", "k3s_awx_inventory=cluster"]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def test_it_makes_templates_surveys_and_the_workflow_once(awx: FakeAwx) -> None:
    url = f"http://127.0.0.1:{awx.server_address[1]}"
    collections = os.environ["K3S_AWX_COLLECTIONS"]
    first = play(url, collections)
    assert first.returncode == 0, first.stdout + first.stderr
    templates = awx.rows["job_templates"]
    assert [row["playbook"] for row in templates] == [
        f"playbooks/{name}.yml" for name in ("prepare", "validate", "preflight", "remove")
    ]
    assert all(row["job_slice_count"] == 1 for row in templates)
    assert set(awx.surveys) == {row["name"] for row in templates}
    nodes = {row["identifier"]: row for row in awx.rows["workflow_job_template_nodes"]}
    after = awx.links[(nodes["prepare"]["url"], "success_nodes")]
    assert after == [{"id": nodes["validate"]["id"]}]
    again = play(url, collections)
    assert re.search(r"changed=0 .*failed=0", again.stdout), again.stdout


def test_it_says_so_where_awx_awx_is_missing(tmp_path: pathlib.Path) -> None:
    result = play("http://127.0.0.1:9", str(tmp_path))
    assert result.returncode != 0
    assert "The collection awx.awx has to be installed here" in result.stdout + result.stderr
