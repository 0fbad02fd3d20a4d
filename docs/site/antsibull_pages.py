# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fit the pages of antsibull-docs into the theme: short names in the navigation, under captions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_PLUGIN = re.compile(r"(?P<name>\w+)_(?:module|filter|role)")


def fit(app: Sphinx, doctree: nodes.document) -> None:
    """Change what has been read of a page."""
    # The theme has a table of contents beside each page.
    for topic in [one for one in doctree.findall(nodes.topic) if "contents" in one["classes"]]:
        topic.parent.remove(topic)
    docname = app.env.docname
    plugin = _PLUGIN.fullmatch(docname)
    if plugin:
        entry = next(app.env.tocs[docname].findall(nodes.reference))
        entry.children = [nodes.Text(plugin["name"])]
    if docname == app.config.root_doc:
        _root(app, doctree)


def _root(app: Sphinx, doctree: nodes.document) -> None:
    title = next(doctree.findall(nodes.title))
    title.children = [nodes.Text(app.config.project)]
    app.env.titles[app.config.root_doc] = nodes.title("", app.config.project)
    for toctree in doctree.findall(addnodes.toctree):
        section: Any = toctree.parent
        while not isinstance(section, nodes.section):
            section = section.parent
        caption = section.next_node(nodes.title).astext()
        toctree["caption"] = toctree["rawcaption"] = caption


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx pass on each page, after it has taken down the titles."""
    app.connect("doctree-read", fit, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
