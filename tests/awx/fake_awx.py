# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small fake of AWX's REST API, in memory.

AWX needs Kubernetes. The fake behaves as AWX 24.6.1 does in what the modules of awx.awx and the
users of this collection rely on: organizations, filters, links of workflow nodes, and rights.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

from fake_rules import LINKS, accept_variables, survey_error, wrong_link

Row = dict[str, Any]

PAGE_SIZE = 25
TEMPLATES = ("job_templates", "workflow_job_templates")
NODES = "workflow_job_template_nodes"
# Both kinds of template and others are found here, as in AWX.
UNIFIED = (*TEMPLATES, "projects")
PLAYBOOKS = [f"playbooks/{name}.yml" for name in ("prepare", "validate", "preflight", "remove")]
PROMPTS = ("diff_mode", "job_type", "limit", "variables", "inventory", "job_slice_count")
DEFAULTS: dict[str, Row] = {
    "job_templates": {
        "description": "",
        "extra_vars": "---",
        "limit": "",
        "become_enabled": False,
        "survey_enabled": False,
        "inventory": None,
        **{f"ask_{name}_on_launch": False for name in PROMPTS},
    },
    "workflow_job_templates": {
        "description": "",
        "extra_vars": "---",
        "limit": None,
        "survey_enabled": False,
        "inventory": None,
        **{f"ask_{name}_on_launch": False for name in ("limit", "variables", "inventory")},
    },
    NODES: {"all_parents_must_converge": False, **{link: [] for link in LINKS}},
}


class RefusalError(Exception):
    """An answer of AWX that is an error."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(content)
        self.status = status
        self.content = content


class FakeAwx(ThreadingHTTPServer):
    """Holds what AWX has, by kind."""

    def __init__(self, prefix: str = "/api/") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.prefix = prefix
        self.rows: dict[str, list[Row]] = {}
        self.surveys: dict[int, Row] = {}
        self.credentials: dict[int, list[int]] = {}
        self.writes: list[str] = []
        # The roles of the user as (role, kind, id); without them, a superuser.
        self.rights: Optional[set[tuple[str, str, int]]] = None
        self.organization = self.add("organizations", name="Default")
        self.project = self.add("projects", name="net", organization=self.organization)
        self.inventory = self.add("inventories", name="cluster", organization=self.organization)

    def add(self, kind: str, **fields: Any) -> int:
        """Store an object, and return its id."""
        number = 1 + sum(map(len, self.rows.values()))
        number = max([number, *(1 + row["id"] for rows in self.rows.values() for row in rows)])
        row = {**DEFAULTS.get(kind, {}), **fields, "id": number, "type": kind[:-1]}
        row["url"] = f"{self.prefix}v2/{kind}/{number}/"
        parts = ("survey_spec", "credentials", "launch", *LINKS)
        row["related"] = {part: f"{row['url']}{part}/" for part in parts}
        # AWX returns lists of their own for each object.
        row.update({link: list(row[link]) for link in LINKS if link in row})
        self.rows.setdefault(kind, []).append(row)
        return number

    def get(self, kind: str, number: int) -> Row:
        return next(row for row in self.rows.get(kind, []) if row["id"] == number)

    def named(self, kind: str, name: str, organization: Optional[int] = None) -> Row:
        """Return the object of a name, in an organization."""
        wanted = self.organization if organization is None else organization
        (row,) = (
            row
            for row in self.rows.get(kind, [])
            if row["name"] == name and row["organization"] == wanted
        )
        return row

    def node(self, identifier: str, workflow: Row) -> Row:
        return next(row for row in self.nodes(workflow) if row["identifier"] == identifier)

    def nodes(self, workflow: Row) -> list[Row]:
        return [
            row
            for row in self.rows.get(NODES, [])
            if row["workflow_job_template"] == workflow["id"]
        ]

    def roots(self, workflow: Row) -> list[str]:
        """Return the nodes that AWX starts at once: those to which no link leads."""
        nodes = self.nodes(workflow)
        linked = {number for row in nodes for link in LINKS for number in row[link]}
        return [row["identifier"] for row in nodes if row["id"] not in linked]

    def may(self, role: str, kind: str, number: Optional[int]) -> bool:
        return self.rights is None or number is None or (role, kind, number) in self.rights

    def demand(self, role: str, kind: str, number: Optional[int]) -> None:
        if not self.may(role, kind, number):
            raise RefusalError(
                403, {"detail": "You do not have permission to perform this action."}
            )


class Handler(BaseHTTPRequestHandler):
    """The few requests that the modules and the lookup plugin of awx.awx make."""

    server: FakeAwx

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of the tests clean."""

    def __getattr__(self, name: str) -> Any:
        """Handle do_GET, do_POST, do_PATCH and do_DELETE alike."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        try:
            status, content = self._respond(body)
        except RefusalError as refusal:
            status, content = refusal.status, refusal.content
        payload = b"" if status == 204 else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _respond(self, body: Row) -> tuple[int, Any]:
        awx = self.server
        parsed = urllib.parse.urlparse(self.path)
        if self.headers.get("Authorization") != "Bearer token":
            raise RefusalError(401, {"detail": "Authentication credentials were not provided."})
        if not parsed.path.startswith(f"{awx.prefix}v2/"):
            raise RefusalError(404, {"detail": "The requested resource could not be found."})
        kind, *rest = parsed.path[len(awx.prefix) + 3 :].strip("/").split("/")
        if self.command != "GET":
            awx.writes.append(f"{self.command} {kind}")
        if kind == "ping":
            return 200, {"version": "24.6.1"}
        if not rest:
            if self.command == "POST":
                return 201, shown(awx, kind, create(awx, kind, body))
            return 200, page(awx, kind, parsed)
        row = named_or_id(awx, kind, urllib.parse.unquote(rest[0]))
        if len(rest) > 1:
            return self._related(kind, row, rest[1], body)
        if self.command == "PATCH":
            change(awx, kind, row, body)
        elif self.command == "DELETE":
            delete(awx, kind, row)
            return 204, None
        return 200, shown(awx, kind, row)

    def _related(self, kind: str, row: Row, part: str, body: Row) -> tuple[int, Any]:
        awx = self.server
        posted = self.command == "POST"
        if part == "survey_spec":
            if posted:
                awx.demand("admin", kind, row["id"])
                if error := survey_error(body):
                    raise RefusalError(400, {"error": error})
                awx.surveys[row["id"]] = body
            return 200, awx.surveys.get(row["id"], {})
        if part == "launch":
            return 201, launch(awx, kind, row, body)
        held = row[part] if part in LINKS else awx.credentials.setdefault(row["id"], [])
        if not posted:
            others = NODES if part in LINKS else part
            found = [awx.get(others, number) for number in held]
            return 200, {"count": len(found), "results": found, "next": None}
        number = body["id"]
        if body.get("disassociate"):
            held.remove(number)
        elif part in LINKS:
            if error := wrong_link(
                awx.nodes({"id": row["workflow_job_template"]}), row, part, number
            ):
                raise RefusalError(400, {"Error": error})
            held.append(number)
        else:
            awx.demand("use", part, number)
            held.append(number)
        return 204, None


def page(awx: FakeAwx, kind: str, parsed: urllib.parse.ParseResult) -> Row:
    """Return a page of the objects that a query matches."""
    query = dict(urllib.parse.parse_qsl(parsed.query))
    number = int(query.pop("page", 1))
    size = int(query.pop("page_size", PAGE_SIZE))
    found = [(one, row) for one, row in candidates(awx, kind) if matches(awx, row, query)]
    first = (number - 1) * size
    following = None
    if len(found) > first + size:
        again = urllib.parse.urlencode({**query, "page": number + 1, "page_size": size})
        following = f"{parsed.path}?{again}"
    results = [shown(awx, one, row) for one, row in found[first : first + size]]
    return {"count": len(found), "results": results, "next": following}


def candidates(awx: FakeAwx, kind: str) -> Iterator[tuple[str, Row]]:
    kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
    for one in kinds:
        yield from ((one, row) for row in awx.rows.get(one, []))


def matches(awx: FakeAwx, row: Row, query: dict[str, str]) -> bool:
    """Tell whether an object passes each filter of a query, and one of those with or__."""
    plain = [has(awx, row, key, value) for key, value in query.items() if key[:4] != "or__"]
    either = [has(awx, row, key[4:], value) for key, value in query.items() if key[:4] == "or__"]
    return all(plain) and (any(either) or not either)


def has(awx: FakeAwx, row: Row, key: str, value: str) -> bool:
    field, _separator, way = key.partition("__")
    if field not in row:
        raise RefusalError(400, {"detail": f"{row['type']} has no field named '{field}'"})
    if way == "name":
        return bool(awx.get("organizations", row[field])["name"] == value)
    if way == "startswith":
        return str(row[field]).startswith(value)
    if way:
        raise RefusalError(400, {"detail": f"Unsupported lookup: {way}"})
    return str(row[field]) == value


def named_or_id(awx: FakeAwx, kind: str, text: str) -> Row:
    """Return the object of an id or of a named URL, name++organization."""
    name, _separator, organization = text.partition("++")
    for row in awx.rows.get(kind, []):
        if text == str(row["id"]):
            return row
        if organization and row.get("name") == name:
            of_row = awx.get("organizations", row["organization"])
            if of_row["name"] == organization:
                return row
    raise RefusalError(404, {"detail": "Not found."})


def shown(awx: FakeAwx, kind: str, row: Row) -> Row:
    """Return an object as the API shows it."""
    summary = {}
    if row.get("inventory"):
        inventory = awx.get("inventories", row["inventory"])
        summary["inventory"] = {"id": inventory["id"], "name": inventory["name"]}
    return {**row, "summary_fields": summary}


def create(awx: FakeAwx, kind: str, body: Row) -> Row:
    body = checked(awx, kind, dict(body))
    number = awx.add(kind, **body)
    if awx.rights is not None:
        awx.rights |= {("admin", kind, number), ("execute", kind, number)}
    return awx.get(kind, number)


def checked(awx: FakeAwx, kind: str, body: Row, row: Optional[Row] = None) -> Row:
    """Return what is stored, or raise what AWX answers to it."""
    known = {**(row or DEFAULTS[kind]), **body}
    if kind == "job_templates":
        awx.demand("use", "projects", body.get("project"))
        awx.demand("use", "inventories", body.get("inventory"))
        if not known.get("inventory") and not known["ask_inventory_on_launch"]:
            raise RefusalError(
                400, {"inventory": ["Job Template must either have a default inventory."]}
            )
        if known["playbook"] not in PLAYBOOKS:
            raise RefusalError(400, {"playbook": ["Playbook not found for project."]})
        # It is the project's, whatever a request says.
        body["organization"] = awx.get("projects", known["project"])["organization"]
    elif kind == "workflow_job_templates" and row is None:
        awx.demand("workflow_admin", "organizations", body["organization"])
    elif kind == NODES:
        awx.demand("admin", "workflow_job_templates", known["workflow_job_template"])
        awx.demand("execute", "job_templates", body.get("unified_job_template"))
    key = ("name", "organization") if kind in TEMPLATES else ("workflow_job_template", "identifier")
    for other in awx.rows.get(kind, []):
        if other is not row and all(other[one] == {**known, **body}[one] for one in key):
            raise RefusalError(400, {"__all__": [f"{kind} with this {' and '.join(key)} exists."]})
    return body


def change(awx: FakeAwx, kind: str, row: Row, body: Row) -> None:
    if kind in TEMPLATES:
        awx.demand("admin", kind, row["id"])
    row.update(checked(awx, kind, dict(body), row))


def delete(awx: FakeAwx, kind: str, row: Row) -> None:
    """Delete an object with what belongs to it."""
    if kind in TEMPLATES:
        awx.demand("admin", kind, row["id"])
    if kind == "workflow_job_templates":
        for node in awx.nodes(row):
            awx.rows[NODES].remove(node)
    for node in awx.rows.get(NODES, []):
        if node.get("unified_job_template") == row["id"]:
            node["unified_job_template"] = None
        for link in LINKS:
            node[link] = [number for number in node[link] if number != row["id"]]
    awx.rows[kind].remove(row)
    awx.surveys.pop(row["id"], None)


def launch(awx: FakeAwx, kind: str, row: Row, body: Row) -> Row:
    """Return the job that AWX starts, or raise what it answers if answers or prompts are wrong."""
    survey = awx.surveys.get(row["id"], {}) if row["survey_enabled"] else {}
    given = body.get("extra_vars", {})
    variables, errors = accept_variables(survey, given, row["ask_variables_on_launch"])
    if errors:
        raise RefusalError(400, errors)
    ignored = [
        name for name in body if name != "extra_vars" and not row.get(f"ask_{name}_on_launch")
    ]
    prompts = {name: value for name, value in body.items() if name not in (*ignored, "extra_vars")}
    return {"id": 999, "type": kind, "extra_vars": variables, "ignored_fields": ignored, **prompts}
