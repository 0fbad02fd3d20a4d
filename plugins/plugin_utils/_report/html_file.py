# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renders report.html, one file that needs nothing else.

Runs on the controller alone, where Ansible has brought Jinja.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from .._topology.model import Topology
from . import page as report_page
from .evaluate import Report

_ASSETS = Path(__file__).parent / "assets"


def render(report: Report, topology: Topology, when: datetime.datetime) -> str:
    """Return report.html; C(when) is in UTC."""
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(_ASSETS),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    style, script = (
        _ASSETS.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    page = report_page.page(report, topology)
    return environment.get_template("report.html.j2").render(
        report=report,
        page=page,
        topology=topology,
        purposes={rule["name"]: rule["purpose"] for rule in topology["rules"]},
        when=when.strftime("%Y-%m-%d %H:%M"),
        # Both are ours, and page() has made the data safe.
        style=Markup(style),
        script=Markup(script),
        data=Markup(page["data"]),
        # The browser itself refuses whatever else would get into the page, or out of it.
        policy="; ".join(
            [
                "default-src 'none'",
                f"script-src '{_hash(script)}'",
                f"style-src '{_hash(style)}'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        ),
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
