# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Link the labels of Ansible's own documentation that antsibull-docs uses.

intersphinx would fetch the list of all labels; these few are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

BASE = "https://docs.ansible.com/projects/ansible-core/devel"
PAGES = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_collections.ansible.builtin.set_stats_module": (
        "collections/ansible/builtin/set_stats_module.html"
    ),
}


def link(
    _app: Any, _environment: Any, node: nodes.Element, content: nodes.Element
) -> Optional[nodes.reference]:
    """Return a link to the page of a label, or None where the label is not known."""
    page = PAGES.get(node.get("reftarget", ""))
    return page and nodes.reference("", "", content, refuri=f"{BASE}/{page}", internal=False)


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx ask for labels that it does not find."""
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
