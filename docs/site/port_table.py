# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows that firewall and validation derive from, as a table.

It fills a directive that docutils knows, so that linters and GitHub can read the page as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

COLUMNS = ("name", "port", "source", "destination", "purpose")


def table(rows: list[dict[str, Any]]) -> nodes.table:
    """Return the rows as a table of docutils."""
    group = nodes.tgroup(cols=len(COLUMNS))
    group += [nodes.colspec(colwidth=1) for _column in COLUMNS]
    group += nodes.thead("", _line(COLUMNS))
    group += nodes.tbody("", *(_line(_cells(row)) for row in rows))
    return nodes.table("", group)


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["name"],
        f"{row['port']}/{row['protocol']}",
        ", ".join(row["source"]),
        ", ".join(row["destination"]),
        row["purpose"],
    ]


def _line(texts: Iterable[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in texts))


def fill(app: Sphinx, doctree: nodes.document) -> None:
    """Put the port table after what a ``container`` of the class port-table says."""
    path = Path(app.config.port_table_defaults)
    for container in doctree.findall(nodes.container):
        if "port-table" in container["classes"]:
            app.env.note_dependency(str(path))
            defaults = yaml.safe_load(path.read_text(encoding="utf-8"))
            container += table(defaults["k3s_topology_ports"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx fill each page that it has read."""
    app.add_config_value("port_table_defaults", None, "env", str)
    app.connect("doctree-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
