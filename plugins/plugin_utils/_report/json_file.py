# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns a report into report.json, a check a line, so that grep finds it. Pure functions."""

from __future__ import annotations

import json

from .evaluate import Report


def to_json(report: Report) -> bytes:
    """Return report.json."""
    # To have json indent it takes ten times as long, which counts for half a million checks.
    checks = ",\n".join(f"    {json.dumps(check)}" for check in report["checks"])
    lines = [
        "{",
        f'  "ok": {json.dumps(report["ok"])},',
        f'  "summary": {json.dumps(report["summary"])},',
        '  "checks": [',
        *([checks] if checks else []),
        "  ]",
        "}",
        "",
    ]
    return "\n".join(lines).encode()
