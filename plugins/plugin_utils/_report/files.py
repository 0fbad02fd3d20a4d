# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the report's files on the controller. A reader gets the old file or the new one."""

from __future__ import annotations

import datetime
import json
import os

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import files

from .._topology.model import Topology
from .directory import make_directory
from .evaluate import Report
from .html_file import render
from .junit import junit


def to_json(report: Report) -> bytes:
    """Return report.json with one check or finding per line, so that grep finds it."""
    # To have json indent it takes ten times as long, which counts for half a million checks.
    checks = ",\n".join(f"    {json.dumps(check)}" for check in report["checks"])
    findings = ",\n".join(f"    {json.dumps(finding)}" for finding in report["findings"])
    lines = [
        "{",
        f'  "ok": {json.dumps(report["ok"])},',
        f'  "summary": {json.dumps(report["summary"])},',
        '  "checks": [',
        *([checks] if checks else []),
        "  ],",
        '  "findings": [',
        *([findings] if findings else []),
        "  ]",
        "}",
        "",
    ]
    return "\n".join(lines).encode()


def write(directory: str, report: Report, topology: Topology, when: datetime.datetime) -> list[str]:
    """Write the report in each of its forms and return the names of the files. Raises OSError."""
    make_directory(directory)
    forms = {
        "report.html": render(report, topology, when).encode(),
        "report.json": to_json(report),
        "report.xml": junit(report, when),
    }
    for name, content in forms.items():
        # Another job may write to the same directory.
        files.write_shared_file(os.path.join(directory, name), content, 0o644)
    return list(forms)
